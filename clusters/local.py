"""A Ray session: on this machine, or on a cluster that is already up."""

import contextlib
import logging
import os
from collections.abc import Callable, Iterator
from typing import Any

OBJECT_STORE_BYTES = 512 * 1024**2
PREFIX = "PALMARES_"
Machines = Callable[[], list[dict[str, float]]]
"""Asks Ray what there is of each resource on every machine that is up by now."""


@contextlib.contextmanager
def ray_session(address: str | None = None) -> Iterator[Machines]:
    """Connect to Ray, starting a local head where no address is given; yields what tells the cluster's machines.

    Processes on a cluster have the environment of its nodes, and of this process what begins with ``PALMARES_``: which
    hand and which methods there are. A session that is already up is used and left up.
    ``address`` is Ray's (``auto``, ``host:port``, ``ray://...``). Raises ConnectionError when nothing answers there.
    """
    import ray

    if ray.is_initialized():
        yield machines
        return
    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
    if may_grow(address):
        ours = {name: value for name, value in os.environ.items() if name.startswith(PREFIX)}
        ray.init(address=address or "auto", runtime_env={"env_vars": ours}, **quiet)
    else:
        ray.init(object_store_memory=OBJECT_STORE_BYTES, include_dashboard=True, **quiet)
    try:
        yield machines
    finally:
        ray.shutdown()


def machines() -> list[dict[str, float]]:
    """What Ray counts of each resource on every machine that is up."""
    import ray

    return [dict(node["Resources"]) for node in ray.nodes() if node["Alive"]]


def head_address(address: str | None) -> str | None:
    """``host:port`` of the head of the session that is up; None where a proxy (``ray://``) stands before it."""
    import ray

    if (address or os.environ.get("RAY_ADDRESS", "")).startswith("ray://"):
        return None
    return str(ray.get_runtime_context().gcs_address)


def may_grow(address: str | None) -> bool:
    """Whether this is a cluster that is already up, which may get more machines, and not one that is started here."""
    return bool(address or os.environ.get("RAY_ADDRESS"))

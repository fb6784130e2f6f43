"""A Ray session: on this machine, or on a cluster that is already up."""

import contextlib
import logging
import os
from collections.abc import Iterator
from typing import Any

OBJECT_STORE_BYTES = 512 * 1024**2
PREFIX = "PALMARES_"


@contextlib.contextmanager
def ray_session(address: str | None = None) -> Iterator[dict[str, float]]:
    """Connect to Ray, starting a local head where no address is given; yields the cluster's resources.

    Processes on a cluster have the environment of its nodes, and of this process what begins with ``PALMARES_``: which
    hand and which methods there are. A session that is already up is used and left up.
    ``address`` is Ray's (``auto``, ``host:port``, ``ray://...``). Raises ConnectionError when nothing answers there.
    """
    import ray

    if ray.is_initialized():
        yield ray.cluster_resources()
        return
    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
    if may_grow(address):
        ours = {name: value for name, value in os.environ.items() if name.startswith(PREFIX)}
        ray.init(address=address or "auto", runtime_env={"env_vars": ours}, **quiet)
    else:
        ray.init(object_store_memory=OBJECT_STORE_BYTES, include_dashboard=True, **quiet)
    try:
        yield ray.cluster_resources()
    finally:
        ray.shutdown()


def may_grow(address: str | None) -> bool:
    """Whether this is a cluster that is already up, which may get more machines, and not one that is started here."""
    return bool(address or os.environ.get("RAY_ADDRESS"))

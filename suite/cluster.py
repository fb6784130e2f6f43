"""The Ray cluster that work runs on."""

import contextlib
from collections.abc import Iterator

from suite.train import Resources
from tasks.errors import RequestError


@contextlib.contextmanager
def on_cluster(resources: Resources, address: str | None) -> Iterator[dict[str, float]]:
    """Inside, Ray is up: the cluster at the address, or one started here; yields what there is of each resource.

    Raises RequestError where none answers, and where so many workers can never be placed.
    """
    from clusters.local import may_grow, ray_session

    with contextlib.ExitStack() as session:
        try:
            cluster = session.enter_context(ray_session(address))
        except ConnectionError as error:
            raise RequestError(f"no Ray cluster answers: {error}: check --address and RAY_ADDRESS.") from None
        if not may_grow(address):
            require_room(resources, cluster)
        yield cluster


def require_room(resources: Resources, cluster: dict[str, float]) -> None:
    """Raise RequestError where so many workers can never be placed: Ray would wait for more machines forever.

    Without any, the process that trains needs a place.
    """
    workers = max(1, resources.workers)
    for kind, each in {"CPU": 1.0, "GPU": resources.gpus_per_worker}.items():
        there = cluster.get(kind, 0.0)
        if workers * each > there:
            raise RequestError(
                f"{workers} worker{'s' * (workers > 1)} with {each:g} {kind} each is more than there is here "
                f"({there:g} {kind}): ask for less, or name a cluster with --address."
            )

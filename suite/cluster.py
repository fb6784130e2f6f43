"""The Ray cluster that work runs on."""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from suite.places import Machine, Places, Room, places
from suite.progress import say
from suite.train import Resources
from tasks.errors import RequestError

if TYPE_CHECKING:
    from clusters.local import Machines


@contextlib.contextmanager
def on_cluster(resources: Resources, address: str | None) -> "Iterator[Machines]":
    """Inside, Ray is up: the cluster at the address, or one started here; yields what tells its machines by now.

    Raises RequestError where none answers, and where so many workers can never be placed.
    """
    from clusters.head import watched_head
    from clusters.local import head_address, may_grow, ray_session

    with contextlib.ExitStack() as session:
        try:
            machines = session.enter_context(ray_session(address))
        except ConnectionError as error:
            raise RequestError(f"no Ray cluster answers: {error}: check --address and RAY_ADDRESS.") from None
        if not may_grow(address):
            require_room(resources, machines())
        if reached := head_address(address):
            session.enter_context(watched_head(reached, say))
        yield machines


def room_on(machines: "Machines", resources: Resources, jobs: int | None, address: str | None) -> Room:
    """The room for cells that each use so much; a cluster that may grow is asked for what ``jobs`` at once need."""
    from clusters.demand import Demand
    from clusters.local import may_grow

    demand = Demand() if jobs and may_grow(address) else None
    return Room(places(resources, machines(), jobs), machines, demand)


def require_room(resources: Resources, machines: Sequence[Machine]) -> None:
    """Raise RequestError where so many workers can never be placed: Ray would wait for more machines forever.

    Without any, the process that trains needs a place.
    """
    least = resources.least
    if Places(least).fit(1, machines):
        return
    gpus = {"GPU": least.gpus_per_worker} if least.gpus_per_worker else {}
    each = {"CPU": float(least.cpus_per_worker)} | gpus
    there = {kind: sum(machine.get(kind, 0.0) for machine in machines) for kind in each}
    workers = max(1, resources.workers)
    raise RequestError(
        f"{workers} worker{'s' * (workers > 1)} with {_listed(each)} each is more than there is here "
        f"({_listed(there)}): ask for less, or name a cluster with --address."
    )


def _listed(amounts: Mapping[str, float]) -> str:
    return " and ".join(f"{amount:g} {kind}" for kind, amount in amounts.items())

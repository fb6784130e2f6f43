"""How many cells a cluster runs at once.

Nothing spans machines but the workers of a cell, so what fits is counted machine by machine. Machines come and go while
a sweep runs: what a cell may use is settled when it begins, how many run at once is asked again and again.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from suite.train import Resources

if TYPE_CHECKING:
    from clusters.demand import Demand

Machine = Mapping[str, float]
"""What Ray counts of each kind there."""
NEXT_TO_NOTHING = {"memory": 1.0}
"""A byte: what a trial asks for whose cell is trained by workers of its own. Tune does not take an empty bundle, and
the smallest part of a CPU would be missing where workers need all of them."""
LOOK_EVERY_S, ASK_EVERY_S = 5.0, 1.0
ROUNDING = 1e-6
"""Three thirds of a GPU are one."""


@dataclass(frozen=True)
class Places:
    """What each cell may use, and at most how many run at once."""

    resources: Resources
    jobs: int | None = None

    @property
    def of_trial(self) -> dict[str, float]:
        """What Tune reserves for a trial; workers of Ray Train reserve theirs themselves."""
        if self.resources.workers:
            return NEXT_TO_NOTHING
        return {kind.lower(): amount for kind, amount in self.bundles[0].items()}

    @property
    def bundles(self) -> list[dict[str, float]]:
        """What a cell needs: a place for its process or for each of its workers."""
        gpus = {"GPU": self.resources.gpus_per_worker} if self.resources.gpus_per_worker else {}
        each = {"CPU": float(self.resources.cpus_per_worker), **gpus}
        return [each] * max(1, self.resources.workers)

    def on(self, machines: Sequence[Machine]) -> int:
        """As many cells at once as fit on these machines, at most ``jobs``; one, where there is no room yet.

        No more than fit at once: workers of one cell that wait for those of another would starve.
        """
        fitting = max(1, self._fitting(machines))
        return min(fitting, self.jobs or fitting)

    def fit(self, count: int, machines: Sequence[Machine]) -> bool:
        """Whether so many cells fit on these machines."""
        return self._fitting(machines) >= count

    def workers_on(self, machines: Sequence[Machine]) -> int:
        """How many workers, or processes that train, these machines have room for."""
        return sum(_workers_on(machine, self.resources) for machine in machines)

    def _fitting(self, machines: Sequence[Machine]) -> int:
        return self.workers_on(machines) // max(1, self.resources.workers)


class Room:
    """How many cells may run at once on a cluster, as it is by now; one that grows is asked for more."""

    def __init__(
        self, at: Places, machines: Callable[[], Sequence[Machine]], demand: Demand | None = None
    ) -> None:
        self.at, self._machines, self._demand = at, machines, demand
        self._look()
        self._asked_s = 0.0

    @property
    def count(self) -> int:
        """Looked up every few seconds."""
        if time.monotonic() - self._looked_s >= LOOK_EVERY_S:
            self._look()
        return self._count

    def want(self, startable: Callable[[int], int]) -> None:
        """There is no room left: ask for more, up to ``jobs`` in all, if that is what cells wait for.

        ``startable`` tells how many could begin, at most so many.
        """
        if self._demand is None or time.monotonic() - self._asked_s < ASK_EVERY_S:
            return
        self._asked_s = time.monotonic()
        if self._has_free_place(self._demand.free_cpus()):
            return
        missing = startable(max(0, (self.at.jobs or 0) - self.count))
        if self._demand.ask(self.at.bundles * missing):
            self._look()

    def _has_free_place(self, free_cpus: float) -> bool:
        """Whether a place that there is stands empty: its cell is just beginning, and must not lose it to a wish."""
        machines = self._machines()
        each = self.at.resources.cpus_per_worker
        beside_places = sum(int(m.get("CPU", 0)) for m in machines) - each * self.at.workers_on(machines)
        return free_cpus - beside_places >= each

    def suffices(self) -> None:
        """Nothing waits for room: ask for no more."""
        if self._demand is not None:
            self._demand.withdraw()

    def _look(self) -> None:
        self._count, self._looked_s = self.at.on(self._machines()), time.monotonic()


def places(resources: Resources, machines: Sequence[Machine], jobs: int | None) -> Places:
    """As many cells at once as fit on these machines, at most ``jobs``.

    Each has as many CPUs as that leaves, unless so many were asked for.
    """
    least = Places(resources.least, jobs)
    if resources.cpus_are_asked:
        return least
    most = max((int(machine.get("CPU", 0)) for machine in machines), default=1)
    larger = (Places(replace(resources, cpus_per_worker=cpus), jobs) for cpus in range(most, 1, -1))
    count = least.on(machines)
    return next((at for at in larger if at.fit(count, machines)), least)


def _workers_on(machine: Machine, resources: Resources) -> int:
    """How many workers a machine has room for."""
    by_cpu = int(machine.get("CPU", 0)) // resources.cpus_per_worker
    each = resources.gpus_per_worker
    return min(by_cpu, _gpu_shares(machine.get("GPU", 0), each)) if each else by_cpu


def _gpu_shares(gpus: float, each: float) -> int:
    """How many workers get so much of a GPU: a part of one never lies on two."""
    if each > 1:
        return int(gpus / each + ROUNDING)
    return int(gpus) * int(1 / each + ROUNDING)

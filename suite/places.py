"""How many cells a cluster runs at once.

Nothing spans machines but the workers of a cell, so what fits is counted machine by machine. Machines come and go while
a sweep runs: what a cell may use is settled when it begins, how many run at once is asked again and again.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from suite.train import Resources

Machine = Mapping[str, float]
"""What Ray counts of each kind there."""
NEXT_TO_NOTHING = {"memory": 1.0}
"""A byte: what a trial asks for whose cell is trained by workers of its own. Tune does not take an empty bundle, and
the smallest part of a CPU would be missing where workers need all of them."""
LOOK_EVERY_S = 5.0
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
        gpus = {"gpu": self.resources.gpus_per_worker} if self.resources.gpus_per_worker else {}
        return {"cpu": float(self.resources.cpus_per_worker), **gpus}

    def on(self, machines: Sequence[Machine]) -> int:
        """As many cells at once as fit on these machines, at most ``jobs``; one, where there is no room yet.

        No more than fit at once: workers of one cell that wait for those of another would starve.
        """
        fitting = max(1, self._fitting(machines))
        return min(fitting, self.jobs or fitting)

    def fit(self, count: int, machines: Sequence[Machine]) -> bool:
        """Whether so many cells fit on these machines."""
        return self._fitting(machines) >= count

    def _fitting(self, machines: Sequence[Machine]) -> int:
        workers = sum(_workers_on(machine, self.resources) for machine in machines)
        return workers // max(1, self.resources.workers)


class Room:
    """How many cells may run at once on a cluster, as it is by now."""

    def __init__(self, at: Places, machines: Callable[[], Sequence[Machine]]) -> None:
        self.at, self._machines = at, machines
        self._count, self._looked_s = at.on(machines()), time.monotonic()

    @property
    def count(self) -> int:
        """Looked up every few seconds."""
        if time.monotonic() - self._looked_s >= LOOK_EVERY_S:
            self._count, self._looked_s = self.at.on(self._machines()), time.monotonic()
        return self._count


def places(resources: Resources, machines: Sequence[Machine], jobs: int | None) -> Places:
    """As many cells at once as fit on these machines, at most ``jobs``, each with as many CPUs as that leaves."""
    one_each = Places(replace(resources, cpus_per_worker=1), jobs)
    most = max((int(machine.get("CPU", 0)) for machine in machines), default=1)
    larger = (Places(replace(resources, cpus_per_worker=cpus), jobs) for cpus in range(most, 1, -1))
    count = one_each.on(machines)
    return next((at for at in larger if at.fit(count, machines)), one_each)


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

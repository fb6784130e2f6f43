"""How many cells a cluster runs at once."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from suite.train import Resources

NEXT_TO_NOTHING = {"memory": 1.0}
"""A byte: what a trial asks for whose cell is trained by workers of its own. Tune does not take an empty bundle, and
the smallest part of a CPU would be missing where workers need all of them."""


@dataclass(frozen=True)
class Places:
    """How many cells run at once, and what each may use."""

    count: int
    resources: Resources

    @property
    def of_trial(self) -> dict[str, float]:
        """What Tune reserves for a trial; workers of Ray Train reserve theirs themselves."""
        if self.resources.workers:
            return NEXT_TO_NOTHING
        gpus = {"gpu": self.resources.gpus_per_worker} if self.resources.gpus_per_worker else {}
        return {"cpu": float(self.resources.cpus_per_worker), **gpus}


def places(resources: Resources, cluster: Mapping[str, float], jobs: int | None) -> Places:
    """As many cells at once as fit on the cluster, at most ``jobs``; its CPUs are split evenly among them.

    No more than fit at once: workers of one cell that wait for those of another would starve.
    """
    workers, cpus = max(1, resources.workers), int(cluster.get("CPU", 1))
    count = cpus // workers
    if resources.gpus_per_worker:
        count = min(count, int(cluster.get("GPU", 0) / resources.gpus_per_worker) // workers)
    count = max(1, min(count, jobs or count))
    return Places(count, replace(resources, cpus_per_worker=max(1, cpus // (count * workers))))

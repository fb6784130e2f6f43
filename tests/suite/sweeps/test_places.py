"""Places: no more cells at once than fit, and every CPU used."""

import pytest

from suite.sweeps.places import places
from suite.train import Resources


@pytest.mark.parametrize(
    ("workers", "gpus", "jobs", "cluster", "count", "cpus"),
    [
        (0, 0.0, None, {"CPU": 2.0}, 2, 1),
        (0, 0.0, 1, {"CPU": 2.0}, 1, 2),
        (1, 0.0, None, {"CPU": 8.0}, 8, 1),
        (4, 0.0, None, {"CPU": 10.0}, 2, 1),
        (0, 0.25, None, {"CPU": 16.0, "GPU": 2.0}, 8, 2),
        (2, 1.0, None, {"CPU": 64.0, "GPU": 8.0}, 4, 8),
        (2, 1.0, 3, {"CPU": 64.0, "GPU": 8.0}, 3, 10),
        (16, 0.0, None, {"CPU": 4.0}, 1, 1),
    ],
)
def test_what_fits(workers, gpus, jobs, cluster, count, cpus):
    at = places(Resources(workers, gpus_per_worker=gpus), cluster, jobs)
    assert (at.count, at.resources.cpus_per_worker) == (count, cpus)
    asked = at.count * max(1, workers)
    assert asked * cpus <= max(cluster["CPU"], workers)
    assert asked * gpus <= cluster.get("GPU", 0.0)


def test_a_trial_holds_what_its_process_uses_and_next_to_nothing_where_workers_hold_it():
    here = places(Resources(0, gpus_per_worker=0.5), {"CPU": 8.0, "GPU": 1.0}, None)
    assert here.of_trial == {"cpu": 4.0, "gpu": 0.5}
    assert places(Resources(2), {"CPU": 8.0}, None).of_trial == {"memory": 1.0}, "no CPU that a worker needs"

"""Sweeps on a cluster of several machines: one stops, one joins, the head is stopped."""

import tempfile
from pathlib import Path

import pytest

from tests.suite.sweeps.cluster import RAY, Cluster
from tests.suite.sweeps.sweeping import Sweeping, leftovers, records, running_cells, sweep

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

AXES = ("weight", "--seeds", "0", "--set", "training.epochs=40")
CELLS = 4
LONG = ("weight", "--seeds", "0,1", "--set", "training.epochs=120")
"""Twice as many, and long enough for a machine to come meanwhile."""


@pytest.fixture
def cluster(request):
    """(CPUs at its head, machines that it may start). In a folder with a short name: the paths of Ray's sockets may not
    be long."""
    cpus, grows_by = request.param
    with tempfile.TemporaryDirectory(prefix="ray-", ignore_cleanup_errors=True) as folder:
        made = Cluster(Path(folder), cpus)
        made.start(grows_by)
        yield made
        made.stop()


@pytest.mark.parametrize("cluster", [(2, 0)], indirect=True)
def test_a_stopped_head_ends_the_sweep_and_the_same_command_goes_on_with_another(
    tmp_path, pairs_data, cluster
):
    """The head has not the environment of the sweep, whose method is a plug-in named there."""
    run = Sweeping(tmp_path, pairs_data, *AXES, "--address", cluster.address, **RAY)
    run.wait_for(lambda: records(tmp_path))
    run.wait_for(lambda: running_cells(tmp_path))
    cluster.stop()
    assert run.end(seconds=180) != 0
    assert f":{cluster.port} does not answer" in run.stderr
    assert "the same command then goes on where it ended" in run.stderr
    cluster.start()
    done = sweep(tmp_path, pairs_data, *AXES, "--address", cluster.address, **RAY)
    assert done.returncode == 0, done.stderr
    assert len(records(tmp_path)) == CELLS
    assert leftovers(tmp_path) == []


@pytest.mark.parametrize("cluster", [(1, 0)], indirect=True)
def test_a_machine_that_joins_is_used_and_what_it_did_is_done_again_elsewhere_when_it_is_lost(
    tmp_path, pairs_data, cluster
):
    run = Sweeping(tmp_path, pairs_data, *LONG, "--address", cluster.address, **RAY)
    run.wait_for(lambda: records(tmp_path))
    assert "2 running" not in run.stderr, "one CPU is one place, whatever --jobs allows"
    second = cluster.home / "second"
    cluster.join(second, cpus=1)
    run.wait_for(lambda: len(running_cells(tmp_path)) == 2)
    cluster.stop(second)
    assert run.end(seconds=300) == 0, run.stderr
    assert len(records(tmp_path)) == 2 * CELLS
    assert leftovers(tmp_path) == []


@pytest.mark.parametrize("cluster", [(1, 1)], indirect=True)
def test_a_cluster_that_grows_starts_a_machine_for_the_cells_that_jobs_allows(tmp_path, pairs_data, cluster):
    """The autoscaler is Ray's own; its machines are processes here."""
    run = Sweeping(tmp_path, pairs_data, *LONG, "--address", cluster.address, **RAY)
    run.wait_for(lambda: len(running_cells(tmp_path)) == 2)
    assert run.end(seconds=300) == 0, run.stderr
    assert len(records(tmp_path)) == 2 * CELLS
    assert leftovers(tmp_path) == []

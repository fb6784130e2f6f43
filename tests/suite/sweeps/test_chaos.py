"""Chaos: trials, the driver and the tracking server are killed at random times, and the sweep comes out as if
undisturbed.

What is killed in which order, and when, is drawn from a seed; what it was doing then is the machine's affair.
``PALMARES_CHAOS`` asks for more rounds than the one that every test run can afford.
"""

import contextlib
import os
import random
import signal
import subprocess
import sys
import time

import pytest

from tests.reports.tracking.server import Server
from tests.suite.sweeps.sweeping import (
    SOURCES,
    Sweeping,
    environment,
    leftovers,
    mlflow_runs,
    processes,
    records,
    running_cells,
    sweep,
)

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

ROUNDS = int(os.environ.get("PALMARES_CHAOS", "1"))
BLOWS = ("trial", "server", "driver", "trial", "driver")
AXES = ("weight", "--seeds", "0,1,2", "--set", "training.epochs=12")
CELLS = 12
PAUSES_S = (2.0, 8.0)


class Chaos:
    """A sweep under blows."""

    def __init__(self, home, data, server, seed):
        self.home, self.data, self.server = home, data, server
        self.chance = random.Random(seed)
        self.blows = [blow for _ in range(ROUNDS) for blow in self.chance.sample(BLOWS, len(BLOWS))]

    def run(self):
        """Give the command again and again until it ends by itself; its exit code and what it said."""
        while True:
            run = Sweeping(self.home, self.data, *AXES, MLFLOW_TRACKING_URI=self.server.uri)
            while self.blows and run.process.poll() is None:
                time.sleep(self.chance.uniform(*PAUSES_S))
                if self.blow(self.blows.pop(), run):
                    break
            else:
                return run.end(), run.stderr

    def blow(self, kind, run):
        """Whether the driver is gone."""
        if kind == "driver":
            run.kill()
        elif kind == "server":
            self.server.stop()
            self.server.start()  # it takes a while until it answers
        elif pids := list(running_cells(self.home).values()):
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.chance.choice(pids), signal.SIGKILL)
        return kind == "driver"


@pytest.fixture
def server(tmp_path):
    (tmp_path / "server").mkdir()
    made = Server(tmp_path / "server")
    made.start()
    made.wait()  # MLflow cannot go on with tables that it was making when it was killed
    yield made
    made.stop()


@pytest.fixture(scope="module")
def quiet(tmp_path_factory, pairs_data):
    """The same sweep, undisturbed."""
    home = tmp_path_factory.mktemp("quiet")
    done = sweep(home, pairs_data, *AXES)
    assert done.returncode == 0, done.stderr
    return home


def test_killed_at_random_it_comes_out_as_if_undisturbed(tmp_path, pairs_data, server, quiet):
    home = tmp_path / "home"
    code, said = Chaos(home, pairs_data, server, seed=0).run()
    assert code == 0, said
    assert numbers(home) == numbers(quiet)
    assert len(records(home)) == CELLS
    assert leftovers(home) == []
    server.wait()
    assert synced(home, server).returncode == 0
    runs = mlflow_runs(home, server.uri)
    cells = [run.data.tags["palmares.cell"] for run in runs if run.data.tags["palmares.kind"] == "run"]
    assert sorted(cells) == sorted(records(home)), "one run a cell, and none of anything else"
    assert len(runs) == CELLS + 1
    assert {run.info.status for run in runs} == {"FINISHED"}


def test_workers_of_ray_train_and_their_trials_may_be_killed(tmp_path, pairs_data):
    """With a worker process for every training: the worker is started again, and so is the trial that drives it."""
    axis = ("scale", "--set", "training.epochs=40", "--set", "training.checkpoint_epochs=1")
    plain = sweep(tmp_path / "plain", pairs_data, *axis)
    assert plain.returncode == 0, plain.stderr
    home = tmp_path / "home"
    run = Sweeping(home, pairs_data, *axis, "--workers", "1")
    worker = run.wait_for(lambda: processes(home, "RayTrainWorker"))[0]
    run.wait_for(lambda: list(home.glob("train/*/curve.jsonl")))
    os.kill(worker, signal.SIGKILL)
    run.wait_for(lambda: set(processes(home, "RayTrainWorker")) - {worker})
    trial = next(iter(running_cells(home).values()))
    os.kill(trial, signal.SIGKILL)
    assert run.end() == 0, run.stderr
    assert numbers(home) == numbers(tmp_path / "plain"), "one worker computes what the plain loop does"
    assert leftovers(home) == []


def numbers(home):
    """Every number of every cell, and of its stages what they were trained on."""
    return {
        cell: (header["metrics"], [(stage["key"], stage["steps"]) for stage in header["stages"]])
        for cell, header in records(home).items()
    }


def synced(home, server):
    return subprocess.run(
        [sys.executable, "-m", "suite", "sync"],
        env=environment(home, MLFLOW_TRACKING_URI=server.uri), cwd=SOURCES, capture_output=True, text=True,
    )  # fmt: skip

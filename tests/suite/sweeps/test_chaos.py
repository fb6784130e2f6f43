"""Chaos: trials, the driver and the tracking server are killed at random, and the sweep comes out as if undisturbed.

Which process is killed when is drawn from a seed; what it was doing then is the machine's affair. ``PALMARES_CHAOS``
asks for more kills than the few that every test run can afford.
"""

import contextlib
import os
import random
import signal
import time

import pytest

from tests.suite.sweeps.sweeping import Sweeping, leftovers, mlflow_runs, records, running_cells, sweep

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("ray"), pytest.mark.timeout(1800)]

KILLS = int(os.environ.get("PALMARES_CHAOS", "5"))
AXES = ("weight", "--seeds", "0,1,2", "--set", "training.epochs=12")
CELLS = 12


def killed(home, run, chance):
    """Kill the driver or a process that runs a cell; whether the driver is gone."""
    victims = list(running_cells(home).values())
    if not victims or chance.random() < 0.3:
        run.kill()
        return True
    with contextlib.suppress(ProcessLookupError):
        os.kill(chance.choice(victims), signal.SIGKILL)
    return False


def disturbed(home, data, seed):
    """Run the sweep, with kills, until it ends by itself; how often it was begun."""
    chance, kills, begun = random.Random(seed), KILLS, 0
    while True:
        run, begun = Sweeping(home, data, *AXES), begun + 1
        gone = False
        while kills and not gone:
            time.sleep(chance.uniform(2.0, 12.0))
            if run.process.poll() is not None:
                break
            gone, kills = killed(home, run, chance), kills - 1
        if not gone:
            return run.end(), begun, run.stderr


def test_killed_at_random_it_comes_out_as_if_undisturbed(tmp_path, pairs_data):
    quiet = sweep(tmp_path / "quiet", pairs_data, *AXES)
    assert quiet.returncode == 0, quiet.stderr
    home = tmp_path / "chaos"
    code, _, said = disturbed(home, pairs_data, seed=0)
    assert code == 0, said
    assert numbers(home) == numbers(tmp_path / "quiet")
    assert len(records(home)) == CELLS
    assert leftovers(home) == []
    runs = mlflow_runs(home)
    cells = [run.data.tags["palmares.cell"] for run in runs if run.data.tags["palmares.kind"] == "run"]
    assert sorted(cells) == sorted(records(home)), "one run a cell, and none of anything else"
    assert len(runs) == CELLS + 1
    assert {run.info.status for run in runs} == {"FINISHED"}


def numbers(home):
    """Every number of every cell, and of its stages what they were trained on."""
    return {
        cell: (header["metrics"], [(stage["key"], stage["steps"]) for stage in header["stages"]])
        for cell, header in records(home).items()
    }

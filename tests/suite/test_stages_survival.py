"""A method of three stages on two Ray workers, one of which is killed while the last stage trains.

The stand-in methods are plug-ins. ``CASES`` names a method and the settings that make its trainings long enough
to be killed in.
"""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from suite.home import read_json
from suite.train import resumable
from tests.suite.standins import AS_PLUG_INS

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

SOURCES = Path(__file__).parents[2]
CASES = {
    "relay": ["--set", "polish=on", "--set", "training.epochs=25", "--set", "training.batch_size=4"],
    "im2hands": [
        "--set", "refiner.use=on", "--set", "refiner.training.epochs=1", "--set", "initial.training.epochs=1",
        "--set", "refinement.training.epochs=25", "--set", "refinement.training.batch_size=4",
    ],
}  # fmt: skip


class Run:
    """``palmares run`` with the stand-ins as plug-ins, followed from outside."""

    def __init__(self, home, data, method, *more):
        home.mkdir(exist_ok=True)
        self.home, self.said = home, home / "stderr.txt"
        arguments = [
            "run",
            method,
            "--task",
            "two_hands",
            "--data",
            str(data),
            "--workers",
            "2",
            "--json",
            *more,
        ]
        with self.said.open("w") as stderr:
            self.driver = subprocess.Popen(
                [sys.executable, "-m", "suite", *arguments],
                cwd=SOURCES, env={**os.environ, "PALMARES_HOME": str(home), **AS_PLUG_INS},
                stdout=subprocess.PIPE, stderr=stderr, text=True,
            )  # fmt: skip

    def wait_for(self, condition, seconds=600):
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            assert self.driver.poll() is None, self.said.read_text()
            if value := condition():
                return value
            time.sleep(0.05)
        raise TimeoutError(self.said.read_text())

    def trained(self):
        """The names of the stages that are published."""
        return {read_json(note)["stage"] for note in self.home.glob("cache/stages/*/stage.json")}

    def checkpoints(self):
        """Those of stages that are not published yet."""
        folders = [
            f for f in self.home.glob("train/*") if not (self.home / "cache" / "stages" / f.name).exists()
        ]
        return [path for folder in folders for path in resumable(folder)]

    def workers(self):
        """Pids of the processes that train for this home."""
        mark, found = f"PALMARES_HOME={self.home}".encode(), []
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                trains = b"RayTrainWorker" in (folder / "cmdline").read_bytes()
                if trains and mark in (folder / "environ").read_bytes():
                    found.append(int(folder.name))
            except OSError:
                continue
        return found

    def __enter__(self):
        return self

    def __exit__(self, *error):
        if self.driver.poll() is None:
            self.driver.send_signal(signal.SIGINT)
            self.driver.wait(120)

    def cell(self):
        """The cell that is printed at the end."""
        out, _ = self.driver.communicate(timeout=600)
        assert self.driver.returncode == 0, self.said.read_text()
        return json.loads(out)[0]

    def header(self, cell):
        return read_json(self.home / "records" / cell["cell"] / "record.json")


@pytest.mark.parametrize("method", CASES)
def test_a_worker_killed_in_the_last_stage_costs_no_earlier_stage_and_nothing_that_was_derived(
    tmp_path, pairs_data, method
):
    with Run(tmp_path / "killed", pairs_data, method, *CASES[method]) as run:
        run.wait_for(lambda: len(run.trained()) == 2 and run.checkpoints())
        derived = {path: path.stat().st_mtime_ns for path in run.home.glob("cache/derived/*/*/*.npy")}
        victim = run.workers()[0]
        os.kill(victim, signal.SIGKILL)
        run.wait_for(lambda: [pid for pid in run.workers() if pid != victim])
        cell = run.cell()
    assert derived
    assert {path: path.stat().st_mtime_ns for path in run.home.glob("cache/derived/*/*/*.npy")} == derived
    said = run.said.read_text()
    assert len(re.findall(r"deriving for \w+: done", said)) == 1
    for stage in run.header(cell)["stages"]:
        assert said.count(f"training {stage['name']}: done") == 1
        assert stage["workers"] == 2

    last = run.header(cell)["stages"][-1]["key"]
    shutil.copytree(run.home / "cache", tmp_path / "undisturbed" / "cache", ignore=lambda *names: {last})
    with Run(tmp_path / "undisturbed", pairs_data, method, *CASES[method]) as undisturbed:
        assert undisturbed.cell() == cell
    assert [stage["cached"] for stage in undisturbed.header(cell)["stages"]] == [True, True, False]

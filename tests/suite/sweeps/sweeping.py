"""``palmares sweep`` over the stand-ins in processes of its own, followed from outside."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from tests.suite.standins import AS_PLUG_INS

SOURCES = Path(__file__).parents[3]


def environment(home, **more):
    return {**os.environ, **AS_PLUG_INS, "PALMARES_HOME": str(home), **more}


def command(data, *arguments, method="relay"):
    """A sweep whose cells share the processes of two trials."""
    fixed = ("--task", "two_hands", "--data", str(data), "--jobs", "2", "--workers", "0", "--json")
    return [sys.executable, "-m", "suite", "sweep", method, *fixed, *arguments]


def sweep(home, data, *arguments, **more):
    """Run it to the end; returns the finished process, with ``cells`` from its JSON."""
    done = subprocess.run(
        command(data, *arguments), env=environment(home, **more), cwd=SOURCES, capture_output=True, text=True
    )
    done.cells = json.loads(done.stdout) if done.stdout else []
    return done


def palmares(home, *arguments):
    """Any other command."""
    line = [sys.executable, "-m", "suite", *arguments]
    return subprocess.run(line, env=environment(home), cwd=SOURCES, capture_output=True, text=True)


class Sweeping:
    """A sweep that runs while the test does things to it."""

    def __init__(self, home, data, *arguments, **more):
        home.mkdir(exist_ok=True)
        self.home, self.said = home, home / f"stderr-{time.monotonic_ns()}.txt"
        with self.said.open("w") as stderr:
            self.process = subprocess.Popen(
                command(data, *arguments), env=environment(home, **more), cwd=SOURCES,
                stdout=subprocess.PIPE, stderr=stderr, text=True,
            )  # fmt: skip

    @property
    def stderr(self):
        return self.said.read_text()

    def wait_for(self, condition, seconds=240):
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if value := condition():
                return value
            assert self.process.poll() is None, self.stderr
            time.sleep(0.05)
        raise TimeoutError(self.stderr)

    def end(self, number=None, seconds=300):
        """Its exit code, after a signal if one is given."""
        if number is not None:
            self.process.send_signal(number)
        self.out, _ = self.process.communicate(timeout=seconds)
        return self.process.returncode

    def kill(self):
        return self.end(signal.SIGKILL)


def running_cells(home):
    """Cell -> pid of the process that holds its lease."""
    found = {}
    for path in home.glob("cells/*/lease.json"):
        try:
            found[path.parent.name] = json.loads(path.read_text())["pid"]
        except (OSError, ValueError):
            continue
    return found


def records(home):
    """Cell -> header of its record."""
    return {path.parent.name: json.loads(path.read_text()) for path in home.glob("records/*/record.json")}


def leftovers(home):
    """Leases, half-written files and folders, and Tune's own state: nothing of it may be left."""
    patterns = (
        "cells/*", "train/*", "records/.*", "cache/stages/.*", "cache/derived/*/.*", "cache/derived/*/shards",
        "cache/keypoints/*/shards", "sweeps/.tune-*",
    )  # fmt: skip
    return sorted(str(path.relative_to(home)) for pattern in patterns for path in home.glob(pattern))


def processes(home, title):
    """Pids of this home's processes whose command line holds ``title``."""
    mark = f"PALMARES_HOME={home}".encode()
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            is_titled = title.encode() in (folder / "cmdline").read_bytes()
            if is_titled and mark in (folder / "environ").read_bytes().split(b"\0"):
                found.append(int(folder.name))
    return found


def mlflow_runs(home, uri=None):
    """Every run of a server, or of the embedded mirror."""
    from mlflow import MlflowClient

    client = MlflowClient(uri or f"sqlite:///{home}/mlflow.db")
    experiments = [e.experiment_id for e in client.search_experiments() if e.name.startswith("palmares/")]
    return client.search_runs(experiments, max_results=1000) if experiments else []

"""One attempt at a cell, as whoever listens is told of it."""

import json
import os
import socket
import subprocess
import sys

from suite.attempt import Nobody, attempt
from suite.data import open_source
from suite.failures import TRIES, write_failure
from suite.home import write_json
from suite.plan import Request, make_cells
from suite.train import Resources
from tests.suite.sweeps.sweeping import mlflow_runs


class Told(Nobody):
    """Keeps what it is told, by name."""

    def __init__(self):
        self.calls = []

    def start(self, header):
        self.calls.append(("start", header["cell"]))

    def fail(self, cell, reason):
        self.calls.append(("fail", cell, reason))


def mean_hand(home, data):
    (cell,) = make_cells(Request("mean_hand", "single_hand", data=data), open_source(home, "freihand", data))
    return cell


def test_a_cell_that_killed_too_many_processes_is_said_to_have_failed(home, data):
    """The run that the last of them left is found again, and does not go on for ever."""
    cell = mean_hand(home, data)
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    folder, told = home.cells / cell.id, Told()
    folder.mkdir(parents=True)
    (folder / "lease.json").write_text(json.dumps({"host": socket.gethostname(), "pid": dead.pid}))
    write_json(folder / "tries.json", {"tries": TRIES - 1, "mark": None})
    header = attempt(home, cell, Resources(workers=0), told)
    assert header["state"] == "failed"
    assert told.calls == [("start", cell.id), ("fail", cell.id, header["reason"])]


def test_a_failure_that_no_server_heard_of_is_mirrored_by_sync(home, data):
    cell = mean_hand(home, data)
    write_json(home.cells / cell.id / "cell.json", cell.header())
    write_failure(home.cells / cell.id, MemoryError("out of memory"))
    subprocess.run(
        [sys.executable, "-m", "suite", "sync", "--json"],
        env={**os.environ, "PALMARES_HOME": str(home.root)}, check=True, stdout=subprocess.DEVNULL,
    )  # fmt: skip
    (run,) = mlflow_runs(home.root)
    assert run.info.status == "FAILED"
    assert run.data.tags["palmares.reason"] == "out of memory"

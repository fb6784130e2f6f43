"""A sweep on a cluster whose head is stopped in the middle, and that same sweep on the next one."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time

import pytest

from tests.suite.sweeps.sweeping import Sweeping, leftovers, processes, records, running_cells, sweep

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("ray"), pytest.mark.timeout(900)]

AXES = ("weight", "--seeds", "0", "--set", "training.epochs=40")
CELLS = 4


class Head:
    """``ray start --head`` with processes of its own, told from others by a mark in their environment."""

    def __init__(self, folder):
        self.home = folder
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]

    @property
    def address(self):
        return f"127.0.0.1:{self.port}"

    def start(self):
        line = (
            "--head", "--node-ip-address=127.0.0.1", f"--port={self.port}", "--num-cpus=2", "--block",
            "--include-dashboard=false", "--ray-client-server-port=0", f"--temp-dir={self.home}",
            "--object-store-memory=200000000", "--disable-usage-stats",
        )  # fmt: skip
        self.process = subprocess.Popen(
            [sys.executable, "-m", "ray.scripts.scripts", "start", *line],
            env={**os.environ, "PALMARES_HOME": str(self.home)},
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
                return
            time.sleep(0.2)
        raise TimeoutError("no head")

    def stop(self):
        for title in ("raylet", "gcs_server", "ray"):
            for pid in processes(self.home, title):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        self.process.wait()


@pytest.fixture
def head(tmp_path_factory):
    made = Head(tmp_path_factory.mktemp("r"))
    made.start()
    yield made
    made.stop()


def test_a_stopped_head_ends_the_sweep_and_the_same_command_goes_on_with_another(tmp_path, pairs_data, head):
    run = Sweeping(tmp_path, pairs_data, *AXES, "--address", head.address)
    run.wait_for(lambda: records(tmp_path))
    run.wait_for(lambda: running_cells(tmp_path))
    head.stop()
    assert run.end(seconds=180) != 0
    print(run.stderr)
    head.start()
    done = sweep(tmp_path, pairs_data, *AXES, "--address", head.address)
    assert done.returncode == 0, done.stderr
    assert len(records(tmp_path)) == CELLS
    assert leftovers(tmp_path) == []

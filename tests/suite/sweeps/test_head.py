"""A sweep on a cluster whose head is stopped in the middle, and that same sweep on the next one."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from tests.suite.sweeps.sweeping import Sweeping, leftovers, processes, records, running_cells, sweep

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("ray"), pytest.mark.timeout(900)]

AXES = ("weight", "--seeds", "0", "--set", "training.epochs=40")
CELLS = 4
RAY = {
    "RAY_AUTH_MODE": "token",
    "RAY_AUTH_RAY": "0123456789abcdef" * 4,
    "RAY_gcs_rpc_server_reconnect_timeout_s": "10",  # how long a head may be away: a minute unless told
}


def free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


class Head:
    """``ray start --head`` with processes of its own, told from others by a mark in their environment."""

    def __init__(self, folder):
        self.home = folder
        self.port, self.client_port = free_port(), free_port()

    @property
    def address(self):
        return f"127.0.0.1:{self.port}"

    def start(self):
        line = (
            "--head", "--node-ip-address=127.0.0.1", f"--port={self.port}", "--num-cpus=2", "--block",
            "--include-dashboard=false", f"--ray-client-server-port={self.client_port}", f"--temp-dir={self.home}",
            "--object-store-memory=200000000", "--disable-usage-stats",
        )  # fmt: skip
        self.process = subprocess.Popen(
            [sys.executable, "-m", "ray.scripts.scripts", "start", *line],
            env={**os.environ, **RAY, "PALMARES_HOME": str(self.home)},
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
def head():
    """In a folder with a short name: the paths of Ray's sockets may not be long."""
    with tempfile.TemporaryDirectory(prefix="ray-", ignore_cleanup_errors=True) as folder:
        made = Head(Path(folder))
        made.start()
        yield made
        made.stop()


def test_a_stopped_head_ends_the_sweep_and_the_same_command_goes_on_with_another(tmp_path, pairs_data, head):
    """The head has not the environment of the sweep, whose method is a plug-in named there."""
    run = Sweeping(tmp_path, pairs_data, *AXES, "--address", head.address, **RAY)
    run.wait_for(lambda: records(tmp_path))
    run.wait_for(lambda: running_cells(tmp_path))
    head.stop()
    assert run.end(seconds=180) != 0
    head.start()
    done = sweep(tmp_path, pairs_data, *AXES, "--address", head.address, **RAY)
    assert done.returncode == 0, done.stderr
    assert len(records(tmp_path)) == CELLS
    assert leftovers(tmp_path) == []

"""A Ray cluster of several machines on this one: raylets of their own, marked in their environment."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time

from tests.suite.sweeps.sweeping import processes

RAY = {
    "RAY_AUTH_MODE": "token",
    "RAY_AUTH_TOKEN": "0123456789abcdef" * 4,
    "RAY_gcs_rpc_server_reconnect_timeout_s": "10",  # how long a head may be away: a minute unless told
}


def free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


class Cluster:
    """``ray start --head``, and machines that join it."""

    def __init__(self, folder, cpus):
        self.home, self.cpus = folder, cpus
        self.port, self.client_port = free_port(), free_port()
        self._started = []

    @property
    def address(self):
        return f"127.0.0.1:{self.port}"

    def start(self):
        """The head."""
        self._ray_start(
            self.home, "--head", f"--port={self.port}", f"--num-cpus={self.cpus}", "--include-dashboard=false",
            f"--ray-client-server-port={self.client_port}", f"--temp-dir={self.home}",
        )  # fmt: skip
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
                return
            time.sleep(0.2)
        raise TimeoutError("no head")

    def join(self, mark, cpus):
        """One more machine, whose processes have ``mark`` for a home folder in their environment."""
        self._ray_start(mark, f"--address={self.address}", f"--num-cpus={cpus}")

    def stop(self, *marks):
        """The machines with these marks, all of them with none, without a warning."""
        for mark in marks or [mark for mark, _ in self._started]:
            for title in ("raylet", "gcs_server", "ray"):
                for pid in processes(mark, title):
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)
        for mark, process in self._started:
            if not marks or mark in marks:
                process.wait()
        self._started = [(mark, process) for mark, process in self._started if marks and mark not in marks]

    def _ray_start(self, mark, *arguments):
        line = (
            *arguments, "--node-ip-address=127.0.0.1", "--block", "--object-store-memory=100000000",
            "--disable-usage-stats",
        )  # fmt: skip
        process = subprocess.Popen(
            [sys.executable, "-m", "ray.scripts.scripts", "start", *line],
            env={**os.environ, **RAY, "PALMARES_HOME": str(mark)},
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        self._started.append((mark, process))

"""``mlflow server`` for tests that stop and start it."""

import os
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request

from tests.reports.tracking.seeing import wait_until


class Server:
    """``mlflow server`` over one database; the same address whenever it is up."""

    def __init__(self, folder):
        self.folder = folder
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]

    @property
    def uri(self):
        return f"http://127.0.0.1:{self.port}"

    def start(self):
        settings = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "OMP_NUM_THREADS": "1"}
        where = ("--host", "127.0.0.1", "--port", str(self.port), "--workers", "1")
        kept = ("--backend-store-uri", f"sqlite:///{self.folder}/mlflow.db")
        with (self.folder / "server.txt").open("a") as said:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "mlflow", "server", *where, *kept,
                 "--artifacts-destination", str(self.folder / "artifacts")],
                cwd=self.folder, env={**os.environ, **settings}, stdout=said, stderr=said,
                start_new_session=True,
            )  # fmt: skip

    def wait(self):
        wait_until(self.answers, patience_s=240)

    def answers(self):
        assert self.process.poll() is None, (self.folder / "server.txt").read_text()
        try:
            return urllib.request.urlopen(f"{self.uri}/health", timeout=1).status == 200
        except (urllib.error.URLError, OSError):
            return False

    def stop(self):
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

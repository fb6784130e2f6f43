"""``mlflow server`` in a process of its own, stopped and started while cells run."""

import os
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request

import pytest

from reports.tracking.live import LiveMirror
from reports.tracking.sync import sync
from tests.reports.tracking.seeing import declaration, family, points, state_of, states, steps_of, wait_until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


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


@pytest.fixture
def server(home, monkeypatch):
    made = Server(home)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", made.uri)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "5")
    made.start()
    yield made
    made.stop()


def test_a_server_that_is_killed_and_started_again_shows_every_cell_once(home, server, header, fabricate):
    cells = begun, failed, missed = [header(seed=seed) for seed in range(3)]
    said, mirror = declaration(*cells), LiveMirror(home, retry_s=1.0)
    mirror.begin_sweep(said)
    mirror.start(begun)
    mirror.start(failed)
    mirror.log(failed["cell"], points(0, 5))
    running = ("RUNNING", "running")
    wait_until(lambda: set(states(home).values()) == {running} and len(states(home)) == 3)
    server.stop()
    mirror.log(failed["cell"], points(5, 9))
    mirror.fail(failed["cell"], "loss is not finite")
    mirror.finish(fabricate(home / "records", seed=0))
    mirror.start(missed)
    wait_until(lambda: mirror.gave_up)
    server.start()
    mirror.finish(fabricate(home / "records", seed=2))
    mirror.end_sweep(said, {"ablation.md": b"| depth |"}, "failed")
    mirror.close(timeout_s=240)
    parent, children = family(home)
    assert state_of(parent) == ("FAILED", "failed")
    assert [state_of(children[cell["cell"]])[0] for cell in cells] == ["FINISHED", "FAILED", "FINISHED"]
    assert steps_of(home, children[failed["cell"]]) == list(range(9))
    assert steps_of(home, children[missed["cell"]]) == list(range(40))
    assert sync(home).mirrored == []

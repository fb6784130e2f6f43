"""``mlflow server`` in a process of its own, stopped and started while cells run."""

import pytest

from reports.tracking.live import LiveMirror
from reports.tracking.sync import sync
from tests.reports.tracking.seeing import declaration, family, points, state_of, states, steps_of, wait_until
from tests.reports.tracking.server import Server

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.fixture
def server(home, monkeypatch):
    made = Server(home)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", made.uri)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "5")
    made.start()
    made.wait()
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
    server.wait()
    mirror.finish(fabricate(home / "records", seed=2))
    mirror.end_sweep(said, {"ablation.md": b"| depth |"}, "failed")
    mirror.close(timeout_s=240)
    parent, children = family(home)
    assert state_of(parent) == ("FAILED", "failed")
    assert [state_of(children[cell["cell"]])[0] for cell in cells] == ["FINISHED", "FAILED", "FINISHED"]
    assert steps_of(home, children[failed["cell"]]) == list(range(9))
    assert steps_of(home, children[missed["cell"]]) == list(range(40))
    assert sync(home).mirrored == []

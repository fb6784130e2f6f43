"""Embedded databases, and servers that go away."""

import shutil

import pytest

from reports.tracking import store
from reports.tracking.mirror import Mirror


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory):
    """Making MLflow's tables takes seconds: once per session."""
    home = tmp_path_factory.mktemp("mlflow")
    Mirror(home)
    return home / "mlflow.db"


@pytest.fixture
def home(tmp_path, empty_database, monkeypatch):
    """A home folder with an empty embedded database."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    shutil.copy(empty_database, tmp_path / "mlflow.db")
    return tmp_path


@pytest.fixture
def dead_server(monkeypatch):
    """A tracking server that is down."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    return monkeypatch


class Wire:
    """Between the mirror and MLflow; it breaks where a test wants it to."""

    def __init__(self):
        self.is_down = False
        self.loses_answer_of = None
        """A request that is carried out once without an answer."""
        self.sends_twice = None
        """A request that the client sends again, since the answer took too long."""
        self.dies_at = None
        """Number of the request, from now on, at which the process is killed."""
        self.goes_down_after = None
        """The request after which nobody listens any more."""
        self.requests = []
        self.asked_in_vain = 0

    def send(self, name, call, *arguments, **named):
        if self.is_down:
            self.asked_in_vain += 1
            raise ConnectionError("nobody listens")
        self.requests.append(name)
        if self.dies_at is not None and len(self.requests) > self.dies_at:
            raise KeyboardInterrupt
        if self.sends_twice == name:
            self.sends_twice = None
            call(*arguments, **named)
        answer = call(*arguments, **named)
        if self.goes_down_after == name:
            self.is_down, self.goes_down_after = True, None
        if self.loses_answer_of == name:
            self.loses_answer_of = None
            raise ConnectionError("the answer was lost")
        return answer


class WiredClient:
    """MLflow's client, over a wire."""

    def __init__(self, client, wire):
        self.client, self.wire = client, wire

    def __getattr__(self, name):
        call = getattr(self.client, name)
        return lambda *arguments, **named: self.wire.send(name, call, *arguments, **named)


@pytest.fixture
def wire(home, monkeypatch):
    """The wire of every client that is made from now on."""
    made, there = Wire(), store.connect
    monkeypatch.setattr(store, "connect", lambda uri: WiredClient(there(uri), made))
    return made

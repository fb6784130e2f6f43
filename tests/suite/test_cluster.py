"""The cluster that work runs on, or one line that says why there is none."""

import contextlib

import pytest

from suite.cluster import on_cluster
from suite.train import Resources
from tasks.errors import RequestError


@pytest.fixture
def cluster(monkeypatch):
    """A cluster that counts two CPUs; what ``ray_session`` is to raise instead goes into the list."""
    wrong = []

    @contextlib.contextmanager
    def session(address):
        if wrong:
            raise wrong[0]
        yield {"CPU": 2.0}

    monkeypatch.setattr("clusters.local.ray_session", session)
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    return wrong


def test_what_there_is_of_it_is_told(cluster):
    with on_cluster(Resources(2), None) as there:
        assert there == {"CPU": 2.0}


def test_workers_that_can_never_be_placed_are_refused_unless_the_cluster_may_grow(cluster):
    with pytest.raises(RequestError, match="3 workers with 1 CPU each"), on_cluster(Resources(3), None):
        pass
    with on_cluster(Resources(3), "10.0.0.1:6379"):
        pass


def test_an_address_where_nobody_answers_is_refused(cluster):
    cluster.append(ConnectionError("nobody at 10.0.0.1:6379"))
    with (
        pytest.raises(
            RequestError, match=r"no Ray cluster answers: nobody at 10.0.0.1:6379: check --address"
        ),
        on_cluster(Resources(1), "10.0.0.1:6379"),
    ):
        pass


def test_what_fails_inside_is_not_taken_for_a_missing_cluster(cluster):
    with pytest.raises(ConnectionResetError), on_cluster(Resources(1), None):
        raise ConnectionResetError("another server's affair")

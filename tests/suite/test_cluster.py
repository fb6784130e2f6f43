"""The cluster that work runs on, or one line that says why there is none."""

import contextlib

import pytest

from suite.cluster import on_cluster, require_room
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
        yield lambda: [{"CPU": 2.0}]

    monkeypatch.setattr("clusters.local.ray_session", session)
    monkeypatch.setattr("clusters.local.head_address", lambda address: None)
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    return wrong


def test_what_there_is_of_it_is_told(cluster):
    with on_cluster(Resources(2), None) as machines:
        assert machines() == [{"CPU": 2.0}]


@pytest.mark.parametrize(
    ("resources", "complaint"),
    [
        (
            Resources(workers=3),
            r"3 workers with 1 CPU each is more than there is here \(2 CPU\): ask for less, or",
        ),
        (
            Resources.asked(1, 4, 0.0),
            r"1 worker with 4 CPU each is more than there is here \(2 CPU\)",
        ),
        (
            Resources(workers=0, gpus_per_worker=1),
            r"1 worker with 1 CPU and 1 GPU each is more than there is here \(2 CPU and 0 GPU\)",
        ),
    ],
)
def test_workers_that_can_never_be_placed_are_refused_unless_the_cluster_may_grow(
    cluster, resources, complaint
):
    with pytest.raises(RequestError, match=complaint), on_cluster(resources, None):
        pass
    with on_cluster(resources, "10.0.0.1:6379"):
        pass


def test_a_part_of_a_gpu_never_lies_on_two():
    machine = {"CPU": 4.0, "GPU": 2.0}
    require_room(Resources(workers=4, gpus_per_worker=0.5), [machine])
    with pytest.raises(RequestError, match="3 workers"):
        require_room(Resources(workers=3, gpus_per_worker=0.6), [machine])


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

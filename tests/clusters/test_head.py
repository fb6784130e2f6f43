"""A head that stops to answer is told of once, and so is its return."""

import socket
import time

import pytest

from clusters import head
from clusters.head import answers, watched_head


@pytest.fixture
def quick(monkeypatch):
    monkeypatch.setattr(head, "LOOK_EVERY_S", 0.02)


def listener(port=0):
    made = socket.socket()
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    made.bind(("127.0.0.1", port))
    made.listen()
    return made


def wait_for(condition, seconds=20):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_head_that_goes_and_comes_is_told_of_once_each(quick):
    there = listener()
    port, told = there.getsockname()[1], []
    with watched_head(f"127.0.0.1:{port}", told.append):
        time.sleep(0.2)
        assert told == []
        there.close()
        wait_for(lambda: told)
        time.sleep(0.2)
        assert len(told) == 1
        assert told[0].startswith(f"Ray's head at 127.0.0.1:{port} does not answer.")
        with listener(port):
            wait_for(lambda: len(told) == 2)
            assert told[1].endswith("answers again.")


def test_nobody_is_told_of_a_head_that_is_left(quick):
    told = []
    with listener() as there, watched_head(f"127.0.0.1:{there.getsockname()[1]}", told.append):
        pass
    time.sleep(0.1)
    assert told == []


def test_nobody_answers_at_an_address_that_does_not_exist():
    assert not answers("name.invalid:6379")

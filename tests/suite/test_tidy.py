"""What killed processes left is cleared away, and nothing that somebody needs."""

import os
import socket

import pytest

from suite.home import write_json
from suite.tidy import tidy

KEY, DEAD = "0123456789abcdef", 2**22 + 1


def lease(folder, pid):
    write_json(folder / "lease.json", {"host": socket.gethostname(), "pid": pid, "started": 0, "token": ""})


def whole(home, room, key):
    """As if what is made in the room had been published."""
    notes = {
        "cells": home.records / key / "record.json",
        "train": home.stages / key / "stage.json",
        "derived": home.derived / key / "samples.json",
        "keypoints": home.keypoints / key / "samples.json",
    }
    write_json(notes[room], {})


def under_way(home, room, key=KEY):
    """A folder with work in it, and what of it may be left over."""
    folder = getattr(home, room) / key
    left = folder / "shards" if room in ("derived", "keypoints") else folder
    write_json(left / "work.json", {})
    return folder, left


@pytest.mark.parametrize("room", ["cells", "train", "derived", "keypoints"])
class TestWork:
    def test_of_what_is_whole_is_removed(self, home, room):
        folder, left = under_way(home, room)
        whole(home, room, KEY)
        lease(folder, DEAD)
        tidy(home)
        assert not left.exists()

    def test_that_was_cut_off_stays_for_who_goes_on_without_the_lease_of_the_dead(self, home, room):
        folder, left = under_way(home, room)
        lease(folder, DEAD)
        tidy(home)
        assert (left / "work.json").exists()
        assert not (folder / "lease.json").exists()

    def test_that_somebody_is_at_is_left_alone(self, home, room):
        folder, left = under_way(home, room)
        whole(home, room, KEY)
        lease(folder, os.getppid())
        tidy(home)
        assert (left / "work.json").exists()
        assert (folder / "lease.json").exists()


def test_a_home_that_is_not_there_is_tidy(home):
    tidy(home)
    assert not list(home.root.glob("cells/*"))

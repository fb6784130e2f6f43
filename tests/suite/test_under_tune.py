"""Tune's own state is kept for as long as its driver lives."""

import os
import time

from suite.home import write_json
from suite.lease import STALE_S
from suite.under_tune import tune_storage


def test_it_is_gone_afterwards(tmp_path):
    with tune_storage(tmp_path / "sweeps") as folder:
        assert os.path.isdir(folder)
    assert list((tmp_path / "sweeps").iterdir()) == []


def test_what_a_killed_driver_left_is_removed_and_that_of_a_living_one_is_not(tmp_path):
    dead, young, old = (tmp_path / f".tune-{name}" for name in ("dead", "young", "old"))
    for folder in (dead, young, old):
        folder.mkdir()
    write_json(
        dead / "lease.json", {"host": os.uname().nodename, "pid": 2**22 + 1, "started": 0, "token": ""}
    )
    os.utime(old, (time.time() - 2 * STALE_S,) * 2)
    write_json(living := tmp_path / ".tune-living" / "lease.json", {"host": "far", "pid": 1, "token": ""})
    with tune_storage(tmp_path):
        assert not dead.exists()
        assert not old.exists()
        assert young.exists()
        assert living.exists()

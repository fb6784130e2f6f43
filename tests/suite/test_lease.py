"""Leases: one process per cell, taken over when its holder is gone."""

import json
import os
import socket
import subprocess
import sys
import time

import pytest

from suite.lease import STALE_S, Lease, LeaseHeldError, alive, read_lease


def hold(folder, pid, host=None, age_s=0.0):
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "lease.json"
    path.write_text(json.dumps({"host": host or socket.gethostname(), "pid": pid, "started": 0}))
    then = time.time() - age_s
    os.utime(path, (then, then))


@pytest.fixture
def dead_pid():
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_a_lease_is_there_inside_and_gone_after(tmp_path):
    with Lease(tmp_path / "cell"):
        assert read_lease(tmp_path / "cell")["pid"] == os.getpid()
    assert read_lease(tmp_path / "cell") is None


def test_a_lease_is_gone_after_a_failure(tmp_path):
    with pytest.raises(ValueError, match="boom"), Lease(tmp_path / "cell"):
        raise ValueError("boom")
    assert read_lease(tmp_path / "cell") is None


def test_a_cell_that_another_process_runs_is_refused(tmp_path):
    hold(tmp_path / "cell", pid=os.getppid())
    with (
        pytest.raises(LeaseHeldError, match=f"being run by process {os.getppid()}"),
        Lease(tmp_path / "cell"),
    ):
        pass


def test_a_dead_process_loses_its_lease(tmp_path, dead_pid):
    hold(tmp_path / "cell", pid=dead_pid)
    with Lease(tmp_path / "cell"):
        assert read_lease(tmp_path / "cell")["pid"] == os.getpid()


def test_a_lease_of_another_host_holds_until_its_heart_stops(tmp_path):
    hold(tmp_path / "cell", pid=1, host="elsewhere", age_s=STALE_S / 2)
    assert alive(read_lease(tmp_path / "cell"))
    hold(tmp_path / "cell", pid=1, host="elsewhere", age_s=STALE_S * 2)
    assert not alive(read_lease(tmp_path / "cell"))

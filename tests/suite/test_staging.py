"""Stages that several cells share, made at the same time by processes that know nothing of each other."""

import json
import multiprocessing
import os
import time
from collections import Counter

import pytest

from reports.record import scan_records
from suite import staging
from suite.run import run_cells
from suite.train import Resources
from tests.suite import standins
from tests.suite.pairs import pair_cells

HERE = Resources(workers=0)


def run_noting(home, cells, notes):
    """Run cells in a process of their own, slowly, and note every stage trained and every batch derived."""
    train, derive = staging.train, standins.Second.derive

    def note(what):
        with notes.open("a") as file:
            file.write(f"{what}\n")
        time.sleep(0.2)

    def noted_train(job, resources, *told):
        note(job.key)
        train(job, resources, *told)

    def noted_derive(self, upstream, batch):
        note(f"derived {batch.index.tolist()}")
        return derive(self, upstream, batch)

    staging.train, standins.Second.derive = noted_train, noted_derive
    run_cells(home, cells, HERE)


@pytest.fixture
def shared(home, standins_registered, pairs_data):
    """Cells of a process each: they differ in how the last stage is trained, and share all that comes before."""
    return [pair_cells(home, pairs_data, "relay", weight=weight) for weight in (0, 1, 2)]


def test_processes_at_once_make_what_they_share_once(home, shared, tmp_path):
    notes, fork = tmp_path / "notes", multiprocessing.get_context("fork")
    processes = [fork.Process(target=run_noting, args=(home, cells, notes)) for cells in shared]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    headers = [record.header for record in scan_records(home.records)[0]]
    assert [header["state"] for header in headers] == ["done"] * 3
    assert not list(home.cells.iterdir())
    times = Counter(notes.read_text().splitlines())
    assert set(times.values()) == {1}
    assert sum(not name.startswith("derived") for name in times) == 1 + 3
    assert sum(not header["stages"][0]["cached"] for header in headers) == 1
    assert not list(home.train.iterdir())
    assert not list(home.derived.rglob("lease.json"))


def test_a_stage_that_another_process_makes_is_waited_for_and_said(home, shared, monkeypatch, capsys):
    (cell,) = shared[0]
    first, *_ = staging.planned_stages(cell)
    folder = home.train / first.key
    folder.mkdir(parents=True)
    (folder / "lease.json").write_text(
        json.dumps({"host": os.uname().nodename, "pid": os.getppid(), "started": 0})
    )
    monkeypatch.setattr("suite.lease.time.sleep", lambda seconds: (folder / "lease.json").unlink())
    staging.trained_stages(home, cell, HERE)
    assert f"waits for first, which process {os.getppid()} on " in capsys.readouterr().err

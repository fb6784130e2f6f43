"""Running cells in this process: records, the stage cache, failures that stay where they happen."""

import pytest
import torch

from reports.record import read_record
from suite.data import open_source
from suite.lease import Lease
from suite.plan import Request, make_cells
from suite.run import require_gpu, run_cells
from suite.status import describe, every_cell
from suite.train import Resources
from tasks.errors import RequestError

HERE = Resources(workers=0)


def cells(home, data, method, seeds=(0,), **overrides):
    request = Request(method, "single_hand", data=data, overrides=overrides, seeds=seeds)
    return make_cells(request, open_source(home, "freihand", data))


def test_a_record_holds_everything_that_tells_how_its_numbers_came_about(home, data):
    (header,) = run_cells(home, cells(home, data, "mean_hand"), HERE)
    record = read_record(home.records / header["cell"])
    assert header["state"] == "done"
    assert header["synthetic"] is True
    assert set(header["identity"]) >= {
        "method",
        "method_version",
        "config",
        "protocol",
        "data_fingerprint",
        "hand",
        "seed",
    }
    assert header["cost"]["wall_s"] > 0
    assert header["environment"]["torch"]
    assert header["stages"][0]["cached"] is False
    assert record.predictions["verts_cam_m"].shape[1:] == (778, 3)
    assert len(record.per_sample) == len(record.predictions["verts_cam_m"])
    assert record.renders


def test_a_stage_is_trained_once_and_used_again_when_the_record_is_gone(home, data):
    import shutil

    cell = cells(home, data, "mean_hand")
    (first,) = run_cells(home, cell, HERE)
    shutil.rmtree(home.records)
    (second,) = run_cells(home, cell, HERE)
    assert second["stages"][0]["cached"] is True
    assert second["metrics"] == first["metrics"]
    assert second["cost"]["train_s"] == 0


def test_a_failing_cell_keeps_its_reason_and_stops_no_other(home, data):
    bad = cells(home, data, "mano_regressor", **{"training.learning_rate": "1e30", "training.epochs": "3"})
    headers = run_cells(home, bad + cells(home, data, "mean_hand"), HERE)
    assert [h["state"] for h in headers] == ["failed", "done"]
    assert "is not finite at step" in headers[0]["reason"]
    states = {h["cell"]: h for h in every_cell(home)}
    failed = states[bad[0].id]
    assert failed["state"] == "failed"
    assert any("TrainingDivergedError" in line for line in failed["log"])
    assert "is not finite" in describe(failed)
    assert not (home.records / bad[0].id).exists()


def test_a_cell_that_another_process_works_on_is_left_to_it(home, data, monkeypatch):
    import os

    cell = cells(home, data, "mean_hand")
    with Lease(home.cells / cell[0].id):
        pid = os.getpid()
        monkeypatch.setattr("suite.lease.os.getpid", lambda: pid + 1)
        (header,) = run_cells(home, cell, HERE)
        assert header["state"] == "running"
        assert every_cell(home)[0]["state"] == "running"


def test_a_record_of_an_older_method_is_stale(home, data, monkeypatch):
    from dataclasses import replace

    from methods.registry import METHODS

    run_cells(home, cells(home, data, "mean_hand"), HERE)
    assert every_cell(home)[0]["state"] == "done"
    spec = METHODS["mean_hand"]
    monkeypatch.setitem(METHODS, "mean_hand", replace(spec, version=spec.version + 1))
    (header,) = every_cell(home)
    assert header["state"] == "stale"
    assert "method version" in header["reason"]


def test_seeds_share_nothing_but_the_data(home, data):
    headers = run_cells(home, cells(home, data, "mano_regressor", (0, 1), **{"training.epochs": "1"}), HERE)
    keys = {header["stages"][0]["key"] for header in headers}
    assert len(keys) == 2
    assert len({header["cell"] for header in headers}) == 2


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
def test_a_gpu_that_is_not_there_is_refused_in_one_line(home):
    with pytest.raises(RequestError, match="torch finds none: leave out --gpus-per-worker"):
        require_gpu(Resources(0, gpus_per_worker=1))
    require_gpu(Resources(0))

"""Stored predictions: scored by another protocol, written in the official format."""

import json

import numpy as np
import pytest

from reports.record import read_record, scan_records
from suite.data import open_source
from suite.external import Submission, evaluate_file
from suite.home import Home
from suite.plan import Request, make_cells
from suite.run import run_cells
from suite.stored import find_record, predict, rescore
from suite.train import Resources
from tasks.errors import RequestError


def cells(home, data, protocol=None):
    request = Request("mean_hand", "single_hand", data=data, protocol=protocol)
    return make_cells(request, open_source(home, "freihand", data))


@pytest.fixture(scope="module")
def ready(tmp_path_factory, data):
    """A home with one cell of the mean hand."""
    home = Home(tmp_path_factory.mktemp("home"))
    (header,) = run_cells(home, cells(home, data), Resources(workers=0))
    return home, header


def test_a_rescored_cell_is_the_cell_that_a_run_under_that_protocol_would_be(ready, data, tmp_path):
    home, header = ready
    (again,) = rescore(home, [header["cell"]], "house", data)
    (ran,) = run_cells(Home(tmp_path), cells(Home(tmp_path), data, "house"), Resources(workers=0))
    assert again["cell"] == ran["cell"]
    assert again["metrics"] == ran["metrics"]
    assert again["rescored_from"] == header["cell"]
    assert again["protocol"]["name"] == "house"


def test_rescoring_leaves_the_first_record_alone_and_is_done_once(ready, data):
    home, header = ready
    before = (home.records / header["cell"] / "record.json").read_bytes()
    first = rescore(home, [header["cell"][:6]], "hamer_pa", data)
    when = (home.records / first[0]["cell"] / "record.json").stat().st_mtime_ns
    second = rescore(home, [header["cell"]], "hamer_pa", data)
    assert first == second
    assert (home.records / first[0]["cell"] / "record.json").stat().st_mtime_ns == when
    assert (home.records / header["cell"] / "record.json").read_bytes() == before


def test_rescoring_a_rescored_cell_remembers_where_the_predictions_came_from(ready, data):
    home, header = ready
    (house,) = rescore(home, [header["cell"]], "house", data)
    (ho3d,) = rescore(home, [house["cell"]], "ho3d_v2", data)
    assert ho3d["rescored_from"] == header["cell"]
    (back,) = rescore(home, [house["cell"]], "freihand", data)
    assert back["cell"] == header["cell"]


def test_predictions_written_and_handed_in_again_have_the_same_scores(ready, data, tmp_path):
    home, header = ready
    file = predict(home, header["cell"], tmp_path / "pred.zip", data)
    other = Home(tmp_path / "home")
    handed_in = evaluate_file(other, Submission(file, "handed in", "single_hand", "freihand", data))
    mine = read_record(home.records / header["cell"]).metrics
    for name, entry in handed_in["metrics"].items():
        assert entry["value"] == pytest.approx(mine[name]["value"], rel=1e-6, abs=1e-9), name
    assert set(mine) - set(handed_in["metrics"]) == set(handed_in["not_applicable"]) - set(
        header["not_applicable"]
    )


def test_the_written_file_is_in_the_official_format(ready, data, tmp_path):
    home, header = ready
    joints, verts = json.loads(predict(home, header["cell"], tmp_path / "pred.json", data).read_text())
    kept = read_record(home.records / header["cell"]).predictions
    np.testing.assert_allclose(joints, kept["joints_cam_m"], atol=1e-9)
    np.testing.assert_allclose(verts, kept["verts_cam_m"], atol=1e-9)


def test_a_cell_is_found_by_the_beginning_of_its_id(ready):
    home, header = ready
    assert find_record(home, header["cell"][:8]).cell == header["cell"]
    with pytest.raises(RequestError, match="unknown cell"):
        find_record(home, "zzzz")
    with pytest.raises(RequestError, match="unknown cell"):
        find_record(home, "")
    many = [record.cell for record in scan_records(home.records)[0]]
    shared = next((c[0] for c in many if sum(o.startswith(c[0]) for o in many) > 1), None)
    if shared:
        with pytest.raises(RequestError, match="is the beginning of"):
            find_record(home, shared)


def test_other_data_than_the_cells_are_refused(ready, make_data, tmp_path):
    home, header = ready
    root = make_data(tmp_path / "freihand", seed=1)
    with pytest.raises(RequestError, match=f"not those of cell {header['cell']}"):
        rescore(home, [header["cell"]], "dexycb", root)
    with pytest.raises(RequestError, match="give their folder with --data"):
        rescore(home, [header["cell"]], "dexycb")


def test_a_protocol_of_another_task_is_refused_before_anything_is_scored(ready, data):
    home, header = ready
    with pytest.raises(RequestError, match="does not score task 'single_hand'"):
        rescore(home, [header["cell"]], "interhand26m", data)
    with pytest.raises(RequestError, match="did you mean 'house'"):
        rescore(home, [header["cell"]], "hose", data)

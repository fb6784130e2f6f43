"""Anybody's predictions, from a file to a row of the report."""

import json
import zipfile

import numpy as np
import pytest

from reports.record import read_record, scan_records
from suite.external import Submission, check_request, evaluate_file, fingerprint
from tasks.errors import RequestError
from tasks.layouts.registry import open_layout


@pytest.fixture(scope="module")
def truth(data):
    test = open_layout("freihand", data).split("test")
    return test.joints_m, test.verts_m


@pytest.fixture
def submit(tmp_path, data):
    def submit(joints, verts, name="lab", **more):
        file = tmp_path / "pred.json"
        file.write_text(json.dumps([np.asarray(joints).tolist(), np.asarray(verts).tolist()]))
        return Submission(file, name, "single_hand", "freihand", data, **more)

    return submit


def test_a_file_becomes_an_external_cell_with_the_official_numbers(home, truth, submit):
    header = evaluate_file(home, submit(*(points + np.array([0.010, 0, 0]) for points in truth)))
    record = read_record(home.records / header["cell"])
    assert (header["kind"], header["method"], header["state"]) == ("external", "lab", "done")
    assert header["protocol"]["name"] == "freihand"
    assert record.metrics["abs_mpjpe_mm"]["value"] == pytest.approx(10, rel=1e-9)
    assert record.metrics["abs_auc_joints"]["value"] == pytest.approx(79.5 / 99, rel=1e-9)
    assert record.metrics["pa_mpjpe_mm"]["value"] < 1e-4
    assert header["not_applicable"]["nll"] == "no variances"
    assert len(record.per_sample) == len(truth[0])
    assert record.renders


def test_predictions_are_kept_as_exactly_as_they_came(home, truth, submit):
    joints, verts = (points + 1e-10 / 3 for points in truth)
    header = evaluate_file(home, submit(joints, verts))
    kept = read_record(home.records / header["cell"]).predictions
    np.testing.assert_array_equal(kept["joints_cam_m"], joints)
    np.testing.assert_array_equal(kept["verts_cam_m"], verts)


def test_the_same_predictions_zipped_or_not_are_one_cell(home, tmp_path, truth, submit):
    plain = submit(*truth)
    first = evaluate_file(home, plain)
    archive = tmp_path / "pred.zip"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as file:
        file.write(plain.file, "pred.json")
    second = evaluate_file(home, Submission(archive, "lab", "single_hand", "freihand", plain.data))
    assert second["cell"] == first["cell"]
    assert len(scan_records(home.records)[0]) == 1


def test_a_name_stands_for_one_file_until_it_is_replaced(home, truth, submit):
    joints, verts = truth
    first = evaluate_file(home, submit(joints, verts))
    better = submit(joints + 0.001, verts + 0.001)
    with pytest.raises(RequestError, match=f"'lab' is taken: cell {first['cell']}.*--replace"):
        evaluate_file(home, better)
    replaced = submit(joints + 0.001, verts + 0.001, replace=True)
    second = evaluate_file(home, replaced)
    assert [record.cell for record in scan_records(home.records)[0]] == [second["cell"]]


def test_another_protocol_is_another_cell(home, truth, submit):
    joints, verts = truth
    cells = {
        evaluate_file(home, submit(joints, verts, protocol=protocol))["cell"]
        for protocol in (None, "house", "hamer_pa")
    }
    assert len(cells) == 3


def test_nothing_is_recorded_of_a_refused_file(home, truth, submit):
    joints, verts = truth
    with pytest.raises(RequestError, match="millimetres"):
        evaluate_file(home, submit(1000 * joints, 1000 * verts))
    assert not home.records.exists() or not list(home.records.iterdir())


def test_as_is_scores_what_the_official_script_would(home, truth, submit):
    joints, verts = truth
    header = evaluate_file(home, submit(1000 * joints, 1000 * verts, as_is=True))
    assert header["checked"] is False
    distance_mm = 1000 * np.linalg.norm(joints, axis=-1).mean()
    assert header["metrics"]["abs_mpjpe_mm"]["value"] == pytest.approx(999 * distance_mm, rel=1e-9)


def test_what_the_method_saw_and_what_a_reader_should_know_stand_in_the_record(home, truth, submit):
    header = evaluate_file(home, submit(*truth, sees=("true_scale",), about={"backbone": "ViT-H"}))
    assert header["flags"] == ["true_scale"]
    assert header["about"] == {"backbone": "ViT-H"}


def test_annotations_alone_are_enough_to_score(home, tmp_path, data, truth, submit):
    bare = tmp_path / "bare"
    bare.mkdir()
    for key in ("K", "xyz", "verts"):
        (bare / f"evaluation_{key}.json").write_bytes((data / f"evaluation_{key}.json").read_bytes())
    submission = submit(*truth)
    header = evaluate_file(home, Submission(submission.file, "lab", "single_hand", "freihand", bare))
    record = read_record(home.records / header["cell"])
    assert record.metrics["mpjpe_mm"]["value"] == 0
    assert record.renders == {}


def test_the_fingerprint_is_of_the_values(truth):
    joints, verts = truth
    fields = {"joints_cam_m": joints, "verts_cam_m": verts}
    assert fingerprint(fields) == fingerprint(dict(reversed(fields.items())))
    moved = {**fields, "joints_cam_m": joints + np.eye(1, 3) * 1e-12}
    assert fingerprint(moved) != fingerprint(fields)


def test_a_wrong_request_is_refused_before_the_file_is_read(tmp_path, data, submit, truth):
    good = submit(*truth)
    for wrong, words in (
        ({"task": "single_hnd"}, "did you mean 'single_hand'"),
        ({"layout": "ho3d"}, "did you mean 'ho3d_v"),
        ({"layout": "interhand26m"}, "does not read layout 'interhand26m'"),
        ({"protocol": "frehand"}, "did you mean 'freihand'"),
        ({"protocol": "interhand26m"}, "does not score task 'single_hand'"),
        ({"name": "amvur"}, "is the name of a method"),
        ({"name": " "}, "--as is empty"),
        ({"file": tmp_path / "absent.json"}, "no predictions file"),
        ({"data": tmp_path / "absent"}, "no data folder"),
    ):
        with pytest.raises(RequestError, match=words):
            check_request(Submission(**{**good.__dict__, **wrong}))

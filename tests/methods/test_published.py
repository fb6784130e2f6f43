"""Every published number of a method's folder: a source, a metric, a protocol that measures it, and no number twice."""

from pathlib import Path

import pytest
import yaml

import methods
from tasks.registry import METRICS, PROTOCOLS, TASKS

ROOM = Path(methods.__file__).parent
FILES = sorted(ROOM.rglob("published.yaml"))
REQUIRED = {"method", "layout", "metric", "value", "unit", "source"}
OPTIONAL = {"protocol", "setting", "inputs", "flags", "variant"}
POSTER = {
    "image and true keypoints": {
        "Two-Hand-Shape-Pose": ("image, L", 54.8, 5.51),
        "IntagHand": ("image, L", 67.0, 3.88),
        "HALO": ("keypoints", 74.7, 2.62),
        "HALO*": ("image, keypoints", 75.8, 2.51),
        "Im2Hands": ("image, keypoints", 77.8, 2.30),
    },
    "image only": {
        "Two-Hand-Shape-Pose": ("image", 48.4, 6.09),
        "IntagHand": ("image", 59.0, 4.69),
        "DIGIT + HALO": ("image", 45.1, 7.64),
        "IntagHand + HALO": ("image", 53.8, 5.38),
        "DIGIT + Im2Hands": ("image", 59.4, 4.75),
        "IntagHand + Im2Hands": ("image", 62.1, 4.35),
    },
}
"""Setting -> method -> inputs, IoU in percent, CD in mm: the two tables of the Im2Hands poster."""


def read(file):
    return yaml.safe_load(file.read_text())


@pytest.fixture(scope="module")
def every():
    return [entry for file in FILES for entry in read(file)]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.parent.name)
def test_entries_have_a_unit_a_source_and_a_protocol_that_measures_them(file):
    for entry in read(file):
        assert set(entry) >= REQUIRED
        assert set(entry) <= REQUIRED | OPTIONAL
        assert entry["unit"] == METRICS[entry["metric"]].unit
        assert entry["source"]
        assert isinstance(entry["value"], float)
        assert any(entry["layout"] in task.layouts for task in TASKS.values())
        if "protocol" in entry:
            assert entry["metric"] in PROTOCOLS[entry["protocol"]].metrics
        assert isinstance(entry.get("flags", []), list)


def test_no_number_is_there_twice(every):
    keys = [
        tuple(str(entry.get(key)) for key in ("method", "variant", "layout", "metric", "protocol", "setting"))
        for entry in every
    ]
    assert len(keys) == len(set(keys))


def test_both_tables_of_the_poster_are_whole(every):
    on_poster = [entry for entry in every if entry.get("protocol") == "im2hands"]
    found = {}
    for entry in on_poster:
        row = found.setdefault(entry["setting"], {}).setdefault(entry["method"], {"inputs": entry["inputs"]})
        row[entry["metric"]] = entry["value"]
    assert found.keys() == POSTER.keys()
    for setting, rows in POSTER.items():
        assert found[setting].keys() == rows.keys()
        for method, (inputs, iou, cd_mm) in rows.items():
            row = found[setting][method]
            assert row["inputs"] == inputs
            assert 100 * row["iou"] == pytest.approx(iou)
            assert row["cd_mm"] == cd_mm


def test_what_a_row_was_given_goes_with_its_table(every):
    for entry in every:
        if "setting" in entry:
            given = set(entry["flags"])
            assert given == ({"true hand length"} if "L" in entry["inputs"] else
                             {"true keypoints"} if "keypoints" in entry["inputs"] else set())  # fmt: skip
            assert (entry["setting"] == "image only") == (not given)


def test_joint_errors_stand_under_the_protocol_that_they_were_measured_by(every):
    values = {
        (e["method"], e["metric"]): (e["value"], e["protocol"])
        for e in every
        if "setting" not in e and "protocol" in e
    }
    assert values["DIGIT", "mpjpe_interacting_mm"] == (14.21, "interhand26m")
    assert values["DIGIT", "mrrpe_mm"] == (29.04, "interhand26m")
    assert values["InterNet", "mpjpe_single_mm"] == (12.16, "interhand26m")
    assert values["IntagHand", "mpjpe_mm"] == (8.80, "intaghand")
    assert values["IntagHand", "mpvpe_mm"] == (9.03, "intaghand")
    assert values["IntagHand", "mpvpe_right_mm"] == (8.89, "intaghand")

"""Declarations of sweeps as they lie on disk."""

import json
import logging

import pytest

from reports.ablations.declared import declared, read_sweeps
from tasks.errors import RequestError


def write(folder, said, name=None):
    place = folder / "sweeps" / (name or said["sweep"])
    place.mkdir(parents=True)
    (place / "sweep.json").write_text(json.dumps(said))


def test_sweeps_are_read_in_the_order_of_their_names_whatever_their_folders(depth, tmp_path):
    write(tmp_path, depth.said(name="b", sweep="2"), "x")
    write(tmp_path, depth.said(name="a", sweep="3"), "z")
    write(tmp_path, depth.said(name="a", sweep="1"), "y")
    assert [said["sweep"] for said in read_sweeps(tmp_path / "sweeps")] == ["1", "3", "2"]
    assert read_sweeps(tmp_path / "nowhere") == []


def test_a_file_that_is_no_declaration_is_left_out_and_named(depth, tmp_path, caplog):
    write(tmp_path, depth.said())
    write(tmp_path, ["no", "mapping"], "list")
    (tmp_path / "sweeps" / "cut").mkdir()
    (tmp_path / "sweeps" / "cut" / "sweep.json").write_text('{"schema": 1, "swe')
    with caplog.at_level(logging.WARNING):
        assert len(read_sweeps(tmp_path / "sweeps")) == 1
    assert "cut" in caplog.text
    assert "list" in caplog.text


def test_axes_and_points_are_as_declared_and_seeds_are_numbers(depth):
    found = declared(depth.said())
    (axis,) = found.axes
    assert (axis.name, axis.field, axis.values, axis.expect) == ("depth", "layers", ("0", "1", "4"), "better")
    assert [dict(point.values) for point in found.points] == [
        {},
        {"depth": "0"},
        {"depth": "1"},
        {"depth": "4"},
    ]
    assert list(found.points[0].cells) == [0, 1, 2]
    assert found.points[0].is_same(found.points[3])
    assert not found.points[0].is_same(found.points[1])
    assert found.data_label == "freihand layout, test split, synthetic data"


def test_a_heading_names_axes_as_long_as_there_are_few(depth):
    said = depth.said()
    assert declared(said).title == "amvur: depth"
    many = {**said, "axes": said["axes"] * 5, "name": "amvur: a, b, c, d, e"}
    assert declared(many).title == "amvur: 5 axes"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"schema": 2}, "has schema 2, expected 1"),
        ({"task": "single_hands"}, "did you mean 'single_hand'"),
        ({"points": []}, "reference is none of the points"),
        ({"axes": [{"name": "depth"}]}, "an axis with other parts than name, question"),
    ],
)
def test_what_is_wrong_with_a_declaration_is_said(depth, changes, words):
    with pytest.raises(RequestError, match=words):
        declared(depth.said(**changes))


@pytest.mark.parametrize(
    ("part", "value", "words"),
    [("metric", "mpjpe", "did you mean 'mpjpe_mm'"), ("expect", "bettr", "did you mean 'better'")],
)
def test_an_unknown_metric_or_expectation_names_the_nearest(depth, part, value, words):
    said = depth.said()
    said = {**said, "axes": [{**said["axes"][0], part: value}]}
    with pytest.raises(RequestError, match=words):
        declared(said)


def test_a_declaration_that_lacks_parts_names_them(depth):
    said = {key: value for key, value in depth.said().items() if key not in ("points", "split")}
    with pytest.raises(RequestError, match="lacks points, split"):
        declared(said)

"""Axes: declarations, and the variants that they span."""

import pytest

from methods.registry import METHODS, load_ablations
from suite.sweeps.axes import (
    KEYPOINTS,
    Axis,
    Variant,
    choose,
    declared_axes,
    grid,
    one_at_a_time,
    setting_text,
)
from tasks.errors import RequestError
from tasks.registry import METRICS

DEPTH = Axis("depth", "How deep?", "layers", (0, 1, 2), "mpjpe_mm", "better", "ours")
SOURCE = Axis("source", "Whose?", KEYPOINTS, ("truth", "digit"), "iou", "unknown", "ours")
WEAK = Axis(
    "camera", "Which?", "weak.camera", ("a", "b"), "mpjpe_mm", "unknown", "ours", (("supervision", "weak"),)
)
DECLARED = [method for method in METHODS if load_ablations(method)]


def declare(monkeypatch, **entry):
    whole = {
        "question": "?",
        "field": "a",
        "values": [1],
        "metric": "iou",
        "expect": "unknown",
        "source": "ours",
    }
    monkeypatch.setattr("methods.registry.load_ablations", lambda method: {"axis": whole | entry})


@pytest.mark.parametrize("method", DECLARED)
def test_every_declared_axis_can_be_read_and_asks_for_a_metric_that_there_is(method):
    for axis in declared_axes(method).values():
        assert axis.metric in METRICS
        assert len(axis.values) > 1
        assert "?" in axis.question


def test_axes_are_all_unless_named_and_once_however_often_they_are_named():
    every = choose("amvur", [])
    assert [axis.name for axis in every] == list(load_ablations("amvur"))
    assert [axis.name for axis in choose("amvur", ["supervision", "attention_depth", "supervision"])] == [
        "supervision",
        "attention_depth",
    ]


def test_a_mistyped_axis_is_answered_with_the_nearest():
    with pytest.raises(RequestError, match=r"attention_depht.*attention_depth"):
        choose("amvur", ["attention_depht"])


def test_a_method_without_ablations_says_so():
    with pytest.raises(RequestError, match=r"mean_hand.*declares no ablations"):
        choose("mean_hand", [])


def test_a_declaration_that_lacks_a_part_is_refused(monkeypatch):
    monkeypatch.setattr("methods.registry.load_ablations", lambda method: {"axis": {"question": "?"}})
    with pytest.raises(
        RequestError, match="axis 'axis' of 'amvur' lacks field, values, metric, expect, source"
    ):
        declared_axes("amvur")


def test_an_expectation_that_nobody_can_check_is_refused(monkeypatch):
    declare(monkeypatch, expect="bettr")
    with pytest.raises(RequestError, match=r"bettr.*better"):
        declared_axes("amvur")


def test_one_at_a_time_is_the_default_and_every_value_by_itself():
    variants = list(one_at_a_time([DEPTH, SOURCE]))
    assert [variant.axis for variant in variants] == [None, *["depth"] * 3, *["source"] * 2]
    assert [variant.settings for variant in variants] == [{}, *({"layers": n} for n in "012"), {}, {}]


def test_a_source_of_keypoints_is_a_name_and_no_setting():
    truth, digit = list(one_at_a_time([SOURCE]))[1:]
    assert (truth.method("im2hands"), digit.method("im2hands")) == ("truth+im2hands", "digit+im2hands")
    assert digit.method("intaghand+im2hands") == "digit+im2hands"
    assert Variant().method("intaghand+im2hands") == "intaghand+im2hands"


def test_what_an_axis_asks_for_is_set_for_its_values_and_for_what_they_are_compared_with():
    _, compared, first, _ = one_at_a_time([WEAK])
    assert (compared.axis, compared.settings) == (None, {"supervision": "weak"})
    assert first.settings == {"supervision": "weak", "weak.camera": "a"}


def test_a_grid_has_every_combination():
    _, *variants = grid([DEPTH, WEAK])
    assert len(variants) == 6
    assert {variant.axis for variant in variants} == {"depth x camera"}
    assert variants[-1].settings == {"supervision": "weak", "layers": "2", "weak.camera": "b"}


@pytest.mark.parametrize(
    ("value", "text"), [(True, "true"), (None, "null"), (0.5, "0.5"), ("off", "off"), (2, "2")]
)
def test_values_are_written_as_on_the_command_line(value, text):
    from methods.yaml_words import read_yaml

    assert setting_text(value) == text
    assert read_yaml(text) == value

import re

import pytest

from tasks.metrics.declarations import CALIBRATION_LEVELS, METRICS
from tasks.protocols import PROTOCOLS

UNIT_SUFFIXES = {unit: unit.lower() for unit in ("mm", "mm2", "cm2", "cm3", "dB")}
SCORES = r"auc|f\d+|psnr|ssim|iou|consistency|accuracy"


@pytest.mark.parametrize("metric", METRICS.values(), ids=METRICS)
def test_every_metric_says_what_it_is(metric):
    assert metric.definition
    assert metric.source
    assert metric.title
    assert metric.unit in {*UNIT_SUFFIXES, "nats", ""}
    assert metric.digits > 0


@pytest.mark.parametrize("name", METRICS)
def test_the_unit_is_the_names_suffix(name):
    unit = METRICS[name].unit
    parts = name.removesuffix("_pred_mask").removesuffix("_similarity").split("_")
    suffixes = [UNIT_SUFFIXES[u] for u in UNIT_SUFFIXES if UNIT_SUFFIXES[u] in parts]
    assert suffixes == ([UNIT_SUFFIXES[unit]] if unit in UNIT_SUFFIXES else [])


@pytest.mark.parametrize("name", METRICS)
def test_errors_fall_and_scores_rise(name):
    rises = any(re.fullmatch(SCORES, part) for part in name.split("_"))
    assert METRICS[name].direction == ("higher" if rises else "lower")


@pytest.mark.parametrize("name", METRICS)
def test_a_length_area_or_volume_is_lower_for_the_better(name):
    if METRICS[name].unit in {"mm", "mm2", "cm2", "cm3", "nats"}:
        assert METRICS[name].direction == "lower"


@pytest.mark.parametrize("name", METRICS)
def test_a_definition_is_whole(name):
    definition = METRICS[name].definition
    assert definition.count("(") == definition.count(")")
    assert "  " not in definition
    assert not definition.endswith((".", ",", " "))


@pytest.mark.parametrize("name", [name for name in METRICS if re.search(r"(^|_)f\d+(_|$)", name)])
def test_the_threshold_of_an_f_score_is_in_its_name(name):
    millimetres = re.search(r"(?:^|_)f(\d+)", name).group(1)
    assert f"closer than {millimetres} mm" in METRICS[name].definition


def test_no_two_metrics_share_title_and_definition():
    pairs = [(metric.title, metric.definition) for metric in METRICS.values()]
    assert len(pairs) == len(set(pairs))


def test_every_metric_of_every_protocol_is_declared():
    for protocol in PROTOCOLS.values():
        assert set(protocol.metrics) <= set(METRICS), protocol.name


def test_calibration_has_one_column_per_level():
    metric = METRICS["calibration_error"]
    assert metric.levels == CALIBRATION_LEVELS
    assert metric.sample_columns == tuple(f"coverage_{round(100 * level)}" for level in metric.levels)


def test_sample_columns_belong_to_one_metric_each():
    columns = [column for metric in METRICS.values() for column in metric.sample_columns]
    assert len(columns) == len(set(columns))

import pytest

from tasks.metrics.declarations import CALIBRATION_LEVELS, METRICS


@pytest.mark.parametrize("metric", METRICS.values(), ids=METRICS)
def test_every_metric_says_what_it_is(metric):
    assert metric.definition
    assert metric.source
    assert metric.title
    assert metric.unit in {"mm", "dB", "nats", ""}


@pytest.mark.parametrize("name", METRICS)
def test_the_unit_is_the_names_suffix(name):
    unit = METRICS[name].unit
    bare = name.removesuffix("_pred_mask")
    assert bare.endswith("_mm") == (unit == "mm")
    assert bare.endswith("_db") == (unit == "dB")


@pytest.mark.parametrize("name", METRICS)
def test_errors_fall_and_scores_rise(name):
    rises = name.removeprefix("abs_").startswith(("auc", "f5", "f15", "psnr", "ssim"))
    assert METRICS[name].direction == ("higher" if rises else "lower")


def test_calibration_has_one_column_per_level():
    metric = METRICS["calibration_error"]
    assert metric.levels == CALIBRATION_LEVELS
    assert metric.sample_columns == tuple(f"coverage_{round(100 * level)}" for level in metric.levels)


def test_sample_columns_belong_to_one_metric_each():
    columns = [column for metric in METRICS.values() for column in metric.sample_columns]
    assert len(columns) == len(set(columns))

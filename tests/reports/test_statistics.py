"""Intervals against scipy, closed forms and brute force, and what they promise: coverage."""

import os
import statistics as stdlib
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from reports.statistics import (
    Difference,
    paired_difference,
    point_value,
    spread_over_seeds,
    summarise,
    verdict,
)
from tasks.base import Metric

ERROR = Metric("error_mm", "mm", "lower", "error", "", "")
LEVELS = (0.2, 0.5, 0.8)
CALIBRATION = Metric("gap", "", "lower", "gap", "", "", columns=("in_20", "in_50", "in_80"), levels=LEVELS)


HASH_SEED_PROGRAM = """
import numpy, pandas
from reports.statistics import summarise
from tasks.base import Metric
rng = numpy.random.default_rng(0)
index = pandas.Index([f"s{i}" for i in range(300)], name="sample")
table = pandas.DataFrame({"cluster": [f"c{i % 40}" for i in range(300)], "e": rng.lognormal(0, 5, 300)}, index=index)
print(summarise([table], Metric("e", "", "lower", "", "", "")))
"""


def frame(values, clusters, name="error_mm"):
    index = pd.Index([f"s{i:04d}" for i in range(len(values))], name="sample")
    return pd.DataFrame({"cluster": [str(c) for c in clusters], name: np.asarray(values, float)}, index=index)


def random_clusters(rng, n_clusters, size=6, between=1.0, within=0.5):
    sizes = rng.integers(1, 2 * size, n_clusters)
    clusters = np.repeat(np.arange(n_clusters), sizes)
    return rng.normal(0, between, n_clusters)[clusters] + rng.normal(0, within, len(clusters)), clusters


def test_single_sample_clusters_agree_with_scipy_bootstrap():
    values = np.random.default_rng(1).gamma(3, 2, 150)
    ours = summarise([frame(values, range(150))], ERROR)
    theirs = scipy.stats.bootstrap(
        (values,), np.mean, n_resamples=20_000, method="percentile", rng=np.random.default_rng(2)
    ).confidence_interval
    width = theirs.high - theirs.low
    assert abs(ours.low - theirs.low) < 0.06 * width
    assert abs(ours.high - theirs.high) < 0.06 * width


def test_frame_weighted_cluster_bootstrap_agrees_with_brute_force():
    rng = np.random.default_rng(3)
    values, clusters = random_clusters(rng, 25)
    groups = [values[clusters == c] for c in range(25)]
    drawn = [np.concatenate([groups[c] for c in rng.integers(0, 25, 25)]).mean() for _ in range(8000)]
    low, high = np.percentile(drawn, [2.5, 97.5])
    ours = summarise([frame(values, clusters)], ERROR)
    assert abs(ours.low - low) < 0.07 * (high - low)
    assert abs(ours.high - high) < 0.07 * (high - low)


def test_few_equal_clusters_get_the_textbook_t_interval_of_their_means():
    values = np.random.default_rng(4).normal(5, 2, (6, 8))
    means = values.mean(axis=1)
    low, high = scipy.stats.t.interval(0.95, df=5, loc=means.mean(), scale=scipy.stats.sem(means))
    ours = summarise([frame(values.ravel(), np.repeat(np.arange(6), 8))], ERROR)
    assert (ours.low, ours.high) == pytest.approx((low, high), rel=1e-12)


def test_one_cluster_has_no_interval():
    ours = summarise([frame([1.0, 2.0, 3.0], [0, 0, 0])], ERROR)
    assert ours.value == 2.0
    assert np.isnan([ours.low, ours.high]).all()


@pytest.mark.parametrize(("n_clusters", "least", "most"), [(5, 0.90, 0.985), (30, 0.90, 0.97)])
def test_interval_covers_the_truth_as_often_as_it_says(n_clusters, least, most):
    rng = np.random.default_rng(5)
    hits = 0
    for _ in range(400):
        values, clusters = random_clusters(rng, n_clusters)
        found = summarise([frame(values, clusters)], ERROR)
        low, high = found.low, found.high
        hits += low <= 0 <= high
    assert least <= hits / 400 <= most


def test_treating_dependent_frames_as_independent_would_cover_far_less():
    rng = np.random.default_rng(6)
    hits = 0
    for _ in range(150):
        values, _ = random_clusters(rng, 30)
        found = summarise([frame(values, range(len(values)))], ERROR)
        low, high = found.low, found.high
        hits += low <= 0 <= high
    assert hits / 150 < 0.8


def test_holes_are_left_out_of_the_mean_and_counted():
    ours = summarise([frame([1, np.nan, 3, np.inf, 5], [0, 0, 1, 1, 2])], ERROR)
    assert (ours.value, ours.n, ours.nan, ours.clusters) == (3.0, 3, 2, 3)
    assert ours.coverage == pytest.approx(0.6)


def test_a_metric_without_any_defined_sample_is_undefined_not_zero():
    ours = summarise([frame([np.nan, np.nan], [0, 1])], ERROR)
    assert np.isnan([ours.value, ours.low, ours.high, ours.median]).all()
    assert (ours.n, ours.nan) == (0, 2)


def test_median_and_95th_percentile_stand_beside_the_mean():
    values = np.arange(101.0)
    ours = summarise([frame(values, range(101))], ERROR)
    assert (ours.median, ours.p95) == (50.0, 95.0)


numbers = st.lists(st.floats(-100, 100), min_size=4, max_size=40)


@settings(max_examples=40, deadline=None)
@given(values=numbers, n_clusters=st.integers(2, 15), seed=st.integers(0, 1000))
def test_order_of_samples_does_not_matter(values, n_clusters, seed):
    table = frame(values, [i % n_clusters for i in range(len(values))])
    shuffled = table.sample(frac=1, random_state=seed)
    a, b = summarise([table], ERROR), summarise([shuffled], ERROR)
    assert a == b or (np.isnan(a.low) and np.isnan(b.low))


def test_every_process_computes_the_same_bits():
    outputs = set()
    for hash_seed in ("1", "2"):
        environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
        command = [sys.executable, "-c", HASH_SEED_PROGRAM]
        outputs.add(
            subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout
        )
    assert len(outputs) == 1
    assert "value=" in outputs.pop()


@settings(max_examples=40, deadline=None)
@given(values=numbers, n_clusters=st.integers(2, 15), shift=st.floats(-5, 5))
def test_paired_difference_is_antisymmetric(values, n_clusters, shift):
    a = frame(values, [i % n_clusters for i in range(len(values))])
    b = a.assign(error_mm=a["error_mm"][::-1].to_numpy() * 0.5 + shift)
    there, back = paired_difference([a], [b], ERROR), paired_difference([b], [a], ERROR)
    scale = max(1.0, np.abs(values).max())
    assert there.value == pytest.approx(-back.value, abs=1e-9 * scale)
    if np.isfinite(there.low):
        assert (there.low, there.high) == pytest.approx((-back.high, -back.low), abs=1e-9 * scale)


@settings(max_examples=25, deadline=None)
@given(values=numbers, shift=st.floats(0.5, 50))
def test_a_constant_shift_is_found_exactly_however_large_the_spread(values, shift):
    a = frame(values, range(len(values)))
    b = a.assign(error_mm=a["error_mm"] + shift)
    found = paired_difference([b], [a], ERROR)
    assert (found.value, found.low, found.high) == pytest.approx(
        (shift,) * 3, abs=1e-9 * max(1, np.abs(values).max())
    )


def test_paired_difference_uses_only_samples_defined_in_both():
    a = frame([1, 2, np.nan, 4], [0, 1, 2, 3])
    b = frame([0, np.nan, 0, 0, 99], [0, 1, 2, 3, 4])
    found = paired_difference([a], [b], ERROR)
    assert (found.value, found.n, found.clusters) == (2.5, 2, 2)


def test_rows_without_a_shared_sample_have_an_undefined_difference():
    a = frame([1.0, 2.0], [0, 1])
    b = frame([1.0, 2.0], [0, 1]).rename(index=lambda name: f"other {name}")
    found = paired_difference([a], [b], ERROR)
    assert found.n == 0
    assert np.isnan([found.value, found.low]).all()


def calibration_frame(rng, n=60, miss=0.0):
    inside = {
        f"in_{int(100 * level)}": np.clip(level + miss + rng.normal(0, 0.1, n), 0, 1) for level in LEVELS
    }
    index = pd.Index([f"s{i:04d}" for i in range(n)], name="sample")
    return pd.DataFrame({"cluster": [f"c{i}" for i in range(n)], **inside}, index=index)


def test_calibration_is_the_mean_gap_of_the_means_not_the_mean_of_the_gaps():
    table = calibration_frame(np.random.default_rng(8), miss=-0.1)
    columns = table[list(CALIBRATION.sample_columns)].to_numpy()
    ours = summarise([table], CALIBRATION)
    assert ours.value == pytest.approx(np.abs(columns.mean(axis=0) - LEVELS).mean(), rel=1e-12)
    assert ours.value < np.abs(columns - LEVELS).mean()
    assert ours.low < 0.1 < ours.high
    assert np.isnan(ours.median)


def test_paired_calibration_resamples_both_rows_together():
    rng = np.random.default_rng(9)
    good, bad = calibration_frame(rng), calibration_frame(rng, miss=-0.1)
    found = paired_difference([bad], [good], CALIBRATION)
    expected = summarise([bad], CALIBRATION).value - summarise([good], CALIBRATION).value
    assert found.value == pytest.approx(expected, rel=1e-12)
    assert 0 < found.low < found.high


def test_more_seeds_of_the_same_outcome_do_not_narrow_the_interval_over_samples():
    table = frame(np.random.default_rng(10).gamma(3, 2, 40), range(40))
    one, three = summarise([table], ERROR), summarise([table] * 3, ERROR)
    assert (three.low, three.high, three.n) == pytest.approx((one.low, one.high, one.n), rel=1e-12)


def test_value_over_seeds_is_the_mean_of_the_seeds_values():
    rng = np.random.default_rng(11)
    tables = [frame(rng.gamma(3, 2, 30), range(30)) for _ in range(3)]
    tables[1].iloc[4, 1] = np.nan
    values = [point_value([table], ERROR) for table in tables]
    ours = summarise(tables, ERROR)
    assert ours.value == pytest.approx(np.mean(values), rel=1e-12)
    assert (ours.n, ours.nan) == (29, 1)


def test_spread_over_seeds_is_the_sample_standard_deviation():
    spread = spread_over_seeds([1.0, 2.0, 4.0])
    assert (spread.mean, spread.sd, spread.n) == pytest.approx((7 / 3, stdlib.stdev([1, 2, 4]), 3))
    assert np.isnan(spread_over_seeds([1.0]).sd)


@pytest.mark.parametrize(
    ("low", "high", "direction", "words"),
    [
        (-2.0, -1.0, "lower", "a is better"),
        (-2.0, -1.0, "higher", "b is better"),
        (1.0, 2.0, "lower", "b is better"),
        (-1.0, 2.0, "lower", "no clear difference"),
        (float("nan"), float("nan"), "lower", "not decidable: too few clusters"),
    ],
)
def test_verdict_says_who_is_better_only_when_the_interval_excludes_zero(low, high, direction, words):
    assert verdict(Difference((low + high) / 2, low, high, 9, 9), direction, "a", "b") == words

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
    Samples,
    block_of,
    holm,
    paired_difference,
    point_value,
    ranks,
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


JOINTS = Metric("joints_mm", "mm", "lower", "", "", "", columns=("j0", "j1", "j2"), per_column=True)
SINGLE = Metric("error_mm", "mm", "lower", "", "", "", where="is_single")


def joint_frame(rng, n=40, holes=0.3):
    values = rng.gamma(3, 2, (n, 3)) + np.array([0, 5, 10])
    values[rng.random(values.shape) < holes] = np.nan
    table = frame(values[:, 0], np.arange(n) % 13, "j0")
    return table.assign(j1=values[:, 1], j2=values[:, 2])


def test_each_column_keeps_what_it_has_and_weighs_the_same():
    table = joint_frame(np.random.default_rng(20))
    columns = table[["j0", "j1", "j2"]].to_numpy()
    ours = summarise([table], JOINTS)
    assert ours.value == pytest.approx(np.mean([c[~np.isnan(c)].mean() for c in columns.T]), rel=1e-12)
    empty = np.isnan(columns).all(axis=1)
    assert (ours.n, ours.nan) == ((~empty).sum(), empty.sum())
    per_sample = [row[~np.isnan(row)].mean() for row in columns if not np.isnan(row).all()]
    assert (ours.median, ours.p95) == pytest.approx(np.percentile(per_sample, [50, 95]), rel=1e-12)


def test_columns_are_resampled_together():
    rng = np.random.default_rng(21)
    table = joint_frame(rng)
    groups = [g[["j0", "j1", "j2"]].to_numpy() for _, g in table.groupby("cluster")]
    drawn = [
        np.nanmean(np.concatenate([groups[c] for c in rng.integers(0, 13, 13)]), axis=0).mean()
        for _ in range(4000)
    ]
    low, high = np.percentile(drawn, [2.5, 97.5])
    ours = summarise([table], JOINTS)
    assert abs(ours.low - low) < 0.07 * (high - low)
    assert abs(ours.high - high) < 0.07 * (high - low)


def test_a_column_without_any_value_leaves_the_metric_undefined():
    table = joint_frame(np.random.default_rng(22)).assign(j1=np.nan)
    assert np.isnan(summarise([table], JOINTS).value)


def test_paired_columns_are_compared_where_both_rows_have_them():
    rng = np.random.default_rng(23)
    a, b = joint_frame(rng), joint_frame(rng)
    x, y = (table[["j0", "j1", "j2"]].to_numpy() for table in (a, b))
    both = ~np.isnan(x) & ~np.isnan(y)
    expected = np.mean([(u[m] - v[m]).mean() for u, v, m in zip(x.T, y.T, both.T, strict=True)])
    found = paired_difference([a], [b], JOINTS)
    assert found.value == pytest.approx(expected, rel=1e-12)
    assert found.n == both.any(axis=1).sum()


def test_samples_that_a_metric_does_not_name_are_neither_counted_nor_holes():
    table = frame([1, 2, np.nan, 4, 99, np.nan], range(6)).assign(is_single=[1, 1, 1, 1, 0, 0])
    ours = summarise([table], SINGLE)
    assert (ours.value, ours.n, ours.nan, ours.clusters) == (pytest.approx(7 / 3), 3, 1, 3)
    assert summarise([table.iloc[:4]], SINGLE) == ours
    found = paired_difference([table], [table.assign(error_mm=0.0)], SINGLE)
    assert found.n == 3


@settings(max_examples=30)
@given(values=numbers, n_clusters=st.integers(2, 15), seed=st.integers(0, 1000))
def test_names_of_clusters_do_not_matter(values, n_clusters, seed):
    clusters = np.arange(len(values)) % n_clusters
    names = np.random.default_rng(seed).permutation(n_clusters)
    a, b = (summarise([frame(values, of)], ERROR) for of in (clusters, names[clusters]))
    assert np.array_equal(a, b, equal_nan=True)


@pytest.mark.parametrize("n_clusters", [2, 6, 40])
def test_interval_and_p_of_equal_clusters_are_the_paired_t_test_of_their_means(n_clusters):
    rng = np.random.default_rng(24)
    a, b = rng.normal(5, 2, (2, n_clusters, 7))
    clusters = np.repeat(np.arange(n_clusters), 7)
    found = paired_difference([frame(a.ravel(), clusters)], [frame(b.ravel(), clusters)], ERROR)
    test = scipy.stats.ttest_rel(a.mean(axis=1), b.mean(axis=1))
    interval = test.confidence_interval(0.95)
    expected = ((a - b).mean(), interval.low, interval.high, test.pvalue)
    assert (found.value, found.low, found.high, found.p) == pytest.approx(expected, rel=1e-9)
    assert (found.p < 0.05) == (not found.low <= 0 <= found.high)


def test_a_row_against_itself_differs_by_nothing():
    table = frame(np.random.default_rng(25).gamma(3, 2, 30), range(30))
    assert paired_difference([table], [table], ERROR) == (0.0, 0.0, 0.0, 30, 30, 1.0)


def test_holm_by_hand():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.5, 0.9]) == [1.0, 1.0]
    assert holm([]) == []
    first, second, third = holm([0.02, float("nan"), 0.04])
    assert (first, third) == pytest.approx((0.04, 0.04))
    assert np.isnan(second)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_holm_rejects_what_the_step_down_procedure_rejects(p_values):
    corrected = holm(p_values)
    rejected, alive = set(), True
    for step, number in enumerate(sorted(range(len(p_values)), key=lambda i: p_values[i])):
        alive = alive and p_values[number] * (len(p_values) - step) < 0.05
        rejected |= {number} if alive else set()
    assert {i for i, p in enumerate(corrected) if p < 0.05} == rejected


@pytest.mark.parametrize("n_clusters", [5, 40])
def test_under_the_null_a_family_is_wrong_about_one_time_in_twenty(n_clusters):
    rng = np.random.default_rng(26)
    wrong, covered = 0, 0
    for _ in range(150):
        size = 4 * n_clusters
        clusters = np.arange(size) % n_clusters
        shared = rng.normal(0, 1, n_clusters)[clusters]
        reference = frame(shared + rng.normal(0, 0.5, size), clusters)
        others = [frame(shared + rng.gamma(4, 0.25, size) - 1, clusters) for _ in range(4)]
        found = [paired_difference([other], [reference], ERROR) for other in others]
        wrong += min(holm([difference.p for difference in found])) < 0.05
        covered += sum(difference.low <= 0 <= difference.high for difference in found)
    assert wrong / 150 < 0.1
    assert 0.92 < covered / 600 < 0.985


def rank_block(rows, clusters):
    n = len(rows[0])
    samples = Samples.of([f"s{i:04d}" for i in range(n)], [str(c) for c in clusters])
    return block_of([[{"error_mm": np.asarray(row, float)}] for row in rows], samples, ERROR)


def test_rank_intervals_agree_with_brute_force():
    rng = np.random.default_rng(27)
    rows, clusters = rng.gamma(3, 1, (4, 60)) + np.array([[0], [0.1], [0.2], [3]]), np.arange(60) % 20
    found = ranks([rank_block(rows, clusters)])
    drawn = []
    for _ in range(3000):
        chosen = np.concatenate([np.flatnonzero(clusters == c) for c in rng.integers(0, 20, 20)])
        drawn.append(scipy.stats.rankdata(rows[:, chosen].mean(axis=1), method="min"))
    low, high = np.percentile(drawn, [2.5, 97.5], axis=0, method="nearest")
    assert [rank.value for rank in found] == list(scipy.stats.rankdata(rows.mean(axis=1), method="min"))
    assert [(rank.low, rank.high) for rank in found] == list(zip(low, high, strict=True))


@pytest.mark.parametrize("n_clusters", [4, 20])
def test_equal_rows_share_their_ranks_and_a_clear_winner_has_one(n_clusters):
    base = np.random.default_rng(28).gamma(9, 1, 40)
    found = ranks([rank_block([base, base, base - 5 + 0.01 * np.arange(40) % 3], np.arange(40) % n_clusters)])
    assert [(rank.low, rank.high) for rank in found] == [(2, 3), (2, 3), (1, 1)]


def test_one_cluster_says_nothing_of_ranks():
    found = ranks([rank_block([[1.0, 2.0], [3.0, 4.0]], [0, 0])])
    assert [(rank.value, rank.low, rank.high) for rank in found] == [(1, 1, 2), (2, 1, 2)]

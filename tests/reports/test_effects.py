"""Differences that are uncertain through test samples and training seeds: closed forms, simulations, symmetries."""

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from reports.bulk import row_effect
from reports.record import read_record, write_record
from reports.statistics import Samples, block_of, differences, effects
from tasks.base import Metric
from tasks.registry import METRICS

ERROR = Metric("error_mm", "mm", "lower", "error", "", "")
REPEATS = 600


def block(values, clusters):
    """(R, T, n) values as a block."""
    samples = Samples.of([f"s{i:04d}" for i in range(values.shape[-1])], [str(c) for c in clusters])
    return block_of([[{"error_mm": seed} for seed in row] for row in values], samples, ERROR)


def effects_of(difference, clusters, seed=0):
    """The effects of rows whose values differ by ``difference`` (R, T, n) from those of another row each."""
    base = np.random.default_rng(seed).normal(20, 3, difference.shape)
    return effects(block(base + difference, clusters), block(base, clusters))


def simulated(rng, n_seeds, n_clusters, of_seeds, of_clusters, of_both, mean=0.0):
    """(REPEATS, T, n) differences: a part of the seed, one of the sample's cluster, one of both together."""
    clusters = np.repeat(np.arange(n_clusters), 3)
    by_seed = rng.normal(0, of_seeds, (REPEATS, n_seeds, 1))
    by_cluster = rng.normal(0, of_clusters, (REPEATS, 1, n_clusters))[..., clusters]
    by_both = rng.normal(0, of_both, (REPEATS, n_seeds, len(clusters)))
    return mean + by_seed + by_cluster + by_both, clusters


@pytest.mark.parametrize(("n_seeds", "n_clusters"), [(2, 5), (3, 40), (7, 12)])
def test_independent_parts_of_seeds_and_samples_are_welchs_test(n_seeds, n_clusters):
    rng = np.random.default_rng(1)
    by_seed, by_cluster = rng.normal(0.4, 0.3, n_seeds), rng.normal(0, 1, n_clusters)
    difference = (by_seed[:, None] + by_cluster).repeat(4, axis=1)[None]
    (found,) = effects_of(difference, np.repeat(np.arange(n_clusters), 4))
    welch = scipy.stats.ttest_ind(by_cluster, -by_seed, equal_var=False)
    interval = welch.confidence_interval(0.95)
    expected = (by_seed.mean() + by_cluster.mean(), interval.low, interval.high, welch.pvalue, welch.df)
    assert (found.value, found.low, found.high, found.p, found.freedom) == pytest.approx(expected, rel=1e-9)


def test_samples_that_all_agree_leave_the_t_test_of_the_seeds():
    by_seed = np.array([0.3, 0.5, 0.1, 0.6])
    (found,) = effects_of(np.tile(by_seed[:, None], (1, 30))[None], range(30))
    test = scipy.stats.ttest_1samp(by_seed, 0)
    interval = test.confidence_interval(0.95)
    expected = (interval.low, interval.high, test.pvalue, 3)
    assert (found.low, found.high, found.p, found.freedom) == pytest.approx(expected, rel=1e-9)
    assert found.seed_sd == pytest.approx(by_seed.std(ddof=1))


def test_seeds_that_all_agree_leave_the_paired_t_test_of_the_samples():
    difference = np.random.default_rng(2).normal(0.2, 1, 30)
    base = np.random.default_rng(3).normal(20, 3, 30)
    a, b = (block(np.tile(values, (1, 3, 1)), range(30)) for values in (base + difference, base))
    (found,), (one_source,) = effects(a, b), differences(a, b)
    test = scipy.stats.ttest_rel(base + difference, base)
    assert (found.p, found.freedom, found.seed_sd) == pytest.approx((test.pvalue, 29, 0), rel=1e-9)
    assert (found.value, found.low, found.high) == pytest.approx(one_source[:3], rel=1e-9)


def test_the_part_over_samples_is_that_of_a_paired_difference():
    difference, clusters = simulated(np.random.default_rng(4), 3, 12, 1, 1, 1)
    base = np.random.default_rng(5).normal(20, 3, difference.shape)
    a, b = block((base + difference)[:5], clusters), block(base[:5], clusters)
    for effect, other in zip(effects(a, b), differences(a, b), strict=True):
        assert (effect.value, effect.sample_low, effect.sample_high) == other[:3]
        assert (effect.n, effect.clusters) == (other.n, other.clusters)


def test_one_seed_says_nothing_of_training_and_so_nothing_together():
    (found,) = effects_of(np.full((1, 1, 30), 5.0) + np.random.default_rng(6).normal(0, 0.1, 30), range(30))
    assert found.seeds == 1
    assert 4.9 < found.sample_low < found.value < found.sample_high < 5.1
    assert np.isnan([found.low, found.high, found.p, found.seed_sd, found.freedom, found.detectable]).all()


def test_one_cluster_says_nothing_of_samples_and_so_nothing_together():
    (found,) = effects_of(np.random.default_rng(7).normal(5, 0.1, (1, 3, 30)), [0] * 30)
    assert np.isnan([found.low, found.high, found.p, found.sample_low, found.detectable]).all()
    assert found.seed_sd > 0


def test_a_setting_that_changes_nothing_differs_by_nothing():
    (found,) = effects_of(np.zeros((1, 3, 30)), range(30))
    assert (found.value, found.low, found.high, found.p, found.detectable) == (0, 0, 0, 1, 0)


# seeds, clusters, sd of seeds, of clusters, of both
PARTS = [
    (3, 10, 1, 0, 0.1), (3, 10, 0, 1, 0.1), (3, 10, 1, 1, 1), (3, 30, 1, 1, 0), (3, 30, 0.3, 1, 1), (5, 30, 1, 1, 1),
    (5, 10, 0, 0, 1),
]  # fmt: skip


@pytest.mark.parametrize(("n_seeds", "n_clusters", "of_seeds", "of_clusters", "of_both"), PARTS)
def test_from_three_seeds_on_intervals_cover_the_truth_about_as_often_as_they_say(
    n_seeds, n_clusters, of_seeds, of_clusters, of_both
):
    rng = np.random.default_rng(8)
    found = effects_of(*simulated(rng, n_seeds, n_clusters, of_seeds, of_clusters, of_both, mean=0.7))
    covered = np.mean([effect.low <= 0.7 <= effect.high for effect in found])
    assert covered > 0.90


def test_the_interval_over_samples_alone_would_cover_far_less():
    found = effects_of(*simulated(np.random.default_rng(9), 3, 30, 1, 1, 1))
    assert np.mean([effect.sample_low <= 0 <= effect.sample_high for effect in found]) < 0.6


def test_with_two_seeds_intervals_cover_less_than_they_say_but_not_much():
    found = effects_of(*simulated(np.random.default_rng(10), 2, 30, 1, 1, 1))
    assert 0.82 < np.mean([effect.low <= 0 <= effect.high for effect in found]) < 0.94


@pytest.mark.parametrize("parts", [(5, 40, 0.5, 1, 0.5), (3, 40, 0.02, 1, 0.1), (10, 10, 1, 1, 0)])
def test_a_difference_that_could_be_shown_is_found_four_times_in_five(parts):
    rng = np.random.default_rng(11)
    null = effects_of(*simulated(rng, *parts))
    size = float(np.sqrt(np.mean([effect.detectable**2 for effect in null])))
    found = effects_of(*simulated(rng, *parts, mean=size))
    assert 0.70 < np.mean([effect.p < 0.05 for effect in found]) < 0.90


values = st.lists(st.lists(st.floats(-50, 50), min_size=8, max_size=8), min_size=2, max_size=4)


@settings(max_examples=40, deadline=None)
@given(values=values, n_clusters=st.integers(2, 8), order=st.randoms(use_true_random=False))
def test_effects_are_antisymmetric_and_do_not_depend_on_the_order_of_seeds(values, n_clusters, order):
    base = np.linspace(-3, 9, 8)
    given_rows = np.asarray(values)
    clusters = np.arange(8) % n_clusters
    other = np.tile(base, (len(given_rows), 1)) + np.arange(len(given_rows))[:, None]
    shuffled = order.sample(range(len(given_rows)), len(given_rows))
    (there,) = effects(block(given_rows[None], clusters), block(other[None], clusters))
    (back,) = effects(block(other[None, shuffled], clusters), block(given_rows[None, shuffled], clusters))
    close = pytest.approx((-back.value, -back.high, -back.low), abs=1e-7)
    assert (there.value, there.low, there.high) == close
    assert (there.low > 0 or there.high < 0) == (there.p < 0.05)


def records(root, header, samples, levels, method):
    """A record for each seed."""
    folders = [
        write_record(root, header(method=method, seed=seed), samples(level, seed), {})
        for seed, level in enumerate(levels)
    ]
    return tuple(map(read_record, folders))


def test_records_are_paired_by_seed_on_the_samples_that_all_have(tmp_path, header, samples):
    metric = METRICS["mpjpe_mm"]
    rows = [records(tmp_path, header, samples, levels, m) for m, levels in (("a", (9, 10)), ("b", (12, 13)))]
    part = [write_record(tmp_path, header(method="c", seed=s), samples(12 + s, s)[:30], {}) for s in (0, 1)]
    whole, fewer = row_effect(*rows, metric), row_effect(rows[0], tuple(map(read_record, part)), metric)
    by_seed = [
        a.metrics["mpjpe_mm"]["value"] - b.metrics["mpjpe_mm"]["value"] for a, b in zip(*rows, strict=True)
    ]
    assert whole.value == pytest.approx(np.mean(by_seed))
    assert whole.seed_sd == pytest.approx(np.std(by_seed, ddof=1))
    assert (whole.n, fewer.n) == (48, 30)


def test_records_without_a_common_sample_have_no_effect(tmp_path, header, samples):
    table = samples()
    halves = [
        (read_record(write_record(tmp_path, header(method=name), half, {})),)
        for name, half in (("a", table[:20]), ("b", table[20:]))
    ]
    assert row_effect(*halves, METRICS["mpjpe_mm"]) is None

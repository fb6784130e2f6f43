import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.metrics.chamfer import gaps
from tasks.metrics.fscore import f_scores, hold_f_scores, sample_f_scores


def brute_force_f(predicted, true, threshold):
    distances = np.sqrt(((predicted[:, None] - true[None]) ** 2).sum(-1))
    recall = float(sum(d < threshold for d in distances.min(1))) / len(predicted)
    precision = float(sum(d < threshold for d in distances.min(0))) / len(true)
    return 2 * recall * precision / (recall + precision) if recall + precision > 0 else 0.0


def test_f_scores_agree_with_brute_force():
    rng = np.random.default_rng(0)
    true = rng.normal(0, 0.03, (5, 300, 3))
    predicted = true + rng.normal(0, 0.006, true.shape)
    expected = [
        [brute_force_f(p, t, d) for d in (0.005, 0.015)] for p, t in zip(predicted, true, strict=True)
    ]
    np.testing.assert_allclose(f_scores(predicted, true, (0.005, 0.015)), expected, rtol=1e-12)


def test_a_shifted_grid_scores_one_above_its_shift_and_zero_at_it():
    axis = np.arange(5) * 0.125
    grid = np.stack(np.meshgrid(axis, axis, axis), -1).reshape(1, -1, 3)
    shift = 0.03125  # exact in binary, so that the distance equals the threshold
    shifted = grid + np.array([shift, 0, 0])
    assert f_scores(shifted, grid, (shift, shift * 1.001, shift / 2)).tolist() == [[0.0, 1.0, 0.0]]


def test_equal_clouds_score_one_and_distant_ones_zero():
    cloud = np.random.default_rng(2).normal(size=(1, 778, 3))
    assert f_scores(cloud, cloud, (0.005, 0.015)).tolist() == [[1.0, 1.0]]
    assert f_scores(cloud + 50, cloud, (0.005, 0.015)).tolist() == [[0.0, 0.0]]


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 10_000))
def test_f_is_symmetric_and_grows_with_the_threshold(seed):
    rng = np.random.default_rng(seed)
    first, second = rng.normal(0, 0.02, (2, 1, 60, 3))
    scores = f_scores(first, second, (0.002, 0.005, 0.015))
    np.testing.assert_allclose(scores, f_scores(second, first, (0.002, 0.005, 0.015)), rtol=1e-12)
    assert (np.diff(scores[0]) >= 0).all()
    assert scores.min() >= 0
    assert scores.max() <= 1


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_cloud_that_is_not_finite_has_no_score_and_spoils_no_other(bad):
    cloud = np.random.default_rng(3).normal(size=(3, 20, 3))
    damaged = cloud.copy()
    damaged[1, 4, 2] = bad
    scores = f_scores(damaged, cloud, (0.005,))[:, 0]
    assert scores[[0, 2]].tolist() == [1.0, 1.0]
    assert np.isnan(scores[1])


def test_a_distance_at_the_threshold_is_told_in_double_precision():
    """Single precision cannot tell these shifts from the threshold."""
    cloud = np.random.default_rng(4).normal(0, 0.1, (1, 50, 3)) * [1, 1, 0] + 0.6
    cloud[0, :, 0] = np.arange(50) * 0.25  # far apart, so that each point's nearest is its own copy
    for shift, score in ((0.015 * (1 - 1e-9), 1.0), (0.015 * (1 + 1e-9), 0.0)):
        assert f_scores(cloud + np.array([0, 0, shift]), cloud, (0.015,)).tolist() == [[score]]


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 10_000), st.integers(1, 40), st.integers(1, 40), st.sampled_from([0.0, 0.7, 400.0]))
def test_clouds_of_any_size_and_place_agree_with_brute_force(seed, n, m, distance):
    rng = np.random.default_rng(seed)
    first, second = rng.normal(0, 0.01, (2, n, 3)), rng.normal(0, 0.01, (2, m, 3))
    first[..., 2] += distance
    second[..., 2] += distance
    expected = [[brute_force_f(p, t, d) for d in (0.005, 0.015)] for p, t in zip(first, second, strict=True)]
    np.testing.assert_allclose(f_scores(first, second, (0.005, 0.015)), expected, rtol=1e-12)


def test_many_samples_give_each_its_own_score():
    rng = np.random.default_rng(5)
    cloud = rng.normal(0, 0.03, (70, 30, 3))
    noisy = cloud + rng.normal(0, 0.004, cloud.shape)
    together = f_scores(noisy, cloud, (0.005,))
    alone = [f_scores(noisy[i : i + 1], cloud[i : i + 1], (0.005,))[0, 0] for i in range(70)]
    assert together[:, 0].tolist() == alone


def test_no_points_have_no_score():
    assert np.isnan(f_scores(np.zeros((2, 0, 3)), np.zeros((2, 5, 3)), (0.005,))).all()


def loop_of_sample_f(predicted, true, threshold, sizes, eps):
    precision = sum(min(np.sqrt(sum((p - t) ** 2)) for t in true) < threshold for p in predicted) / sizes[0]
    recall = sum(min(np.sqrt(sum((p - t) ** 2)) for p in predicted) < threshold for t in true) / sizes[1]
    return 2 * precision * recall / (precision + recall + eps)


def test_f_of_sampled_surfaces_is_ihois_formula():
    rng = np.random.default_rng(6)
    true = rng.uniform(0, 0.05, (80, 3))
    predicted = rng.uniform(0, 0.05, (60, 3))
    values = sample_f_scores(gaps(predicted, true), (0.005, 0.01), num_samples=100)
    expected = [loop_of_sample_f(predicted, true, t, (100, 100), 1e-6) for t in (0.005, 0.01)]
    np.testing.assert_allclose(values, expected, rtol=1e-12)


def test_ihois_number_of_samples_is_fixed_whatever_the_clouds_hold():
    cloud = np.random.default_rng(7).normal(size=(4000, 3))
    found = gaps(cloud, cloud)
    assert sample_f_scores(found, (0.01,))[0] == pytest.approx(0.4, abs=1e-6)
    assert sample_f_scores(found, (0.01,), num_samples=4000)[0] == pytest.approx(0.9999995, abs=1e-12)


def test_holds_f_counts_each_clouds_own_points():
    rng = np.random.default_rng(8)
    true, predicted = rng.uniform(0, 4, (70, 3)), rng.uniform(0, 4, (40, 3))
    expected = [loop_of_sample_f(predicted, true, t, (40, 70), 1e-7) for t in (0.5, 1.0)]
    np.testing.assert_allclose(hold_f_scores(gaps(predicted, true), (0.5, 1.0)), expected, rtol=1e-12)


def test_surfaces_without_points_have_no_f():
    cloud = np.zeros((5, 3))
    for empty in (np.zeros((0, 3)), np.full((5, 3), np.nan)):
        assert np.isnan(sample_f_scores(gaps(empty, cloud), (0.01,))).all()
        assert np.isnan(hold_f_scores(gaps(cloud, empty), (0.01,))).all()

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.metrics.fscore import f_scores, nearest_m


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


def test_nearest_distances_are_exact_in_double_precision():
    rng = np.random.default_rng(1)
    predicted, true = rng.normal(0.6, 0.03, (2, 200, 3))
    distances = np.sqrt(((predicted[:, None] - true[None]) ** 2).sum(-1))
    from_predicted, from_true = nearest_m(predicted, true)
    np.testing.assert_allclose(from_predicted, distances.min(1), rtol=1e-12)
    np.testing.assert_allclose(from_true, distances.min(0), rtol=1e-12)


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

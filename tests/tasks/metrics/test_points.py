import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.metrics import points


def official_auc(errors_m):
    """FreiHAND's order: a PCK curve per point over frames, its trapezoid, the mean over points."""
    thresholds = np.linspace(0.0, 0.05, 100)
    norm = np.trapezoid(np.ones_like(thresholds), thresholds)
    per_point = []
    for point in range(errors_m.shape[1]):
        curve = [np.mean((errors_m[:, point] <= t).astype(float)) for t in thresholds]
        per_point.append(np.trapezoid(curve, thresholds) / norm)
    return np.mean(per_point)


def test_mean_of_the_per_sample_auc_is_the_official_value():
    errors = np.abs(np.random.default_rng(0).normal(0, 0.02, (37, 21)))
    errors[0, :5] = 0.0
    errors[1] = 0.2
    ours = points.auc(torch.from_numpy(errors)).mean().item()
    assert ours == pytest.approx(official_auc(errors), rel=1e-12)


@settings(deadline=None, max_examples=50)
@given(st.lists(st.floats(0, 0.08), min_size=1, max_size=8))
def test_auc_agrees_with_the_official_value_for_any_errors(errors):
    array = np.array([errors])
    assert points.auc(torch.from_numpy(array)).item() == pytest.approx(official_auc(array), abs=1e-12)


def test_errors_on_a_threshold_pass():
    on_threshold = torch.from_numpy(np.linspace(0, 0.05, 100))[40].reshape(1, 1)
    just_above = torch.nextafter(on_threshold, torch.ones(1, 1, dtype=torch.float64))
    assert points.auc(on_threshold).item() == pytest.approx((99 - 40 + 0.5) / 99)
    assert points.auc(just_above).item() == pytest.approx((99 - 41 + 0.5) / 99)


@pytest.mark.parametrize(
    ("error_m", "expected"), [(0.0, 1.0), (4e-9, 0.994949), (0.010, 0.803030), (0.0500001, 0.0), (3.0, 0.0)]
)
def test_auc_of_a_constant_error_has_its_closed_form(error_m, expected):
    value = points.auc(torch.full((2, 21), error_m, dtype=torch.float64))
    assert value.tolist() == pytest.approx([expected] * 2, abs=5e-7)


def test_distances_are_euclidean_in_double_precision():
    rng = np.random.default_rng(1)
    a, b = rng.normal(size=(2, 4, 21, 3))
    expected = np.sqrt(((a - b) ** 2).sum(-1))
    distances = points.distances_m(torch.from_numpy(a), torch.from_numpy(b))
    assert distances.dtype == torch.float64
    np.testing.assert_allclose(distances.numpy(), expected, rtol=1e-12)
    np.testing.assert_allclose(
        points.mean_distance_mm(distances).numpy(), 1000 * expected.mean(1), rtol=1e-12
    )


def test_a_nan_distance_gives_nan_and_not_a_good_or_bad_score():
    distances = torch.zeros(2, 21, dtype=torch.float64)
    distances[1, 3] = torch.nan
    assert points.auc(distances).isnan().tolist() == [False, True]
    assert points.mean_distance_mm(distances).isnan().tolist() == [False, True]


@settings(deadline=None, max_examples=50)
@given(
    st.lists(st.floats(0, 0.08), min_size=1, max_size=8), st.lists(st.floats(0, 0.06), min_size=1, max_size=4)
)
def test_pck_is_the_share_of_errors_up_to_each_threshold(errors, thresholds):
    expected = [sum(e <= t for e in errors) / len(errors) for t in thresholds]
    curve = points.pck(
        torch.tensor([errors], dtype=torch.float64), torch.tensor(thresholds, dtype=torch.float64)
    )
    assert curve[0].tolist() == pytest.approx(expected)


def test_the_trapezoid_of_pck_is_the_auc():
    errors = torch.from_numpy(np.abs(np.random.default_rng(2).normal(0, 0.02, (9, 21))))
    curve = points.pck(errors, points.AUC_THRESHOLDS_M)
    area = torch.trapezoid(curve, points.AUC_THRESHOLDS_M) / 0.05
    torch.testing.assert_close(area, points.auc(errors))


def test_pck_of_a_nan_distance_is_nan_in_that_sample_alone():
    errors = torch.full((2, 4), 0.01, dtype=torch.float64)
    errors[1, 2] = torch.nan
    curve = points.pck(errors, torch.tensor([0.005, 0.02]))
    assert curve[0].tolist() == [0.0, 1.0]
    assert curve[1].isnan().all()


def loop_of_accelerations(predicted, true):
    """Frame by frame: the joints' second differences, and how far they lie apart."""
    errors = []
    for t in range(1, len(true) - 1):
        for joint in range(true.shape[1]):
            a, b = (x[t - 1, joint] - 2 * x[t, joint] + x[t + 1, joint] for x in (predicted, true))
            errors.append(np.sqrt(sum((a - b) ** 2)))
    return 1000 * np.mean(errors)


def test_acceleration_error_is_that_of_second_differences():
    predicted, true = np.random.default_rng(3).normal(0, 0.1, (2, 7, 21, 3))
    value = points.acceleration_error_mm(torch.from_numpy(predicted), torch.from_numpy(true))
    assert value.item() == pytest.approx(loop_of_accelerations(predicted, true), rel=1e-12)


def test_acceleration_error_ignores_place_and_speed_but_not_jitter():
    true = np.random.default_rng(4).normal(0, 0.1, (8, 21, 3))
    moved = true + np.arange(8)[:, None, None] * [0.01, -0.02, 0.03] + 0.5
    shaken = true + 0.001 * (-1.0) ** np.arange(8)[:, None, None] * np.array([1.0, 0, 0])
    moved_mm, shaken_mm = (
        points.acceleration_error_mm(torch.from_numpy(x), torch.from_numpy(true)).item()
        for x in (moved, shaken)
    )
    assert moved_mm == pytest.approx(0, abs=1e-9)
    assert shaken_mm == pytest.approx(4.0)


def test_frames_without_truth_are_left_out_of_the_acceleration_and_missing_predictions_are_not():
    true = torch.from_numpy(np.random.default_rng(5).normal(size=(9, 21, 3)))
    gap = true.clone()
    gap[4] = torch.nan
    assert points.acceleration_error_mm(true, gap).item() == 0
    assert points.acceleration_error_mm(gap, true).isnan()
    assert points.acceleration_error_mm(true[:2], true[:2]).isnan()

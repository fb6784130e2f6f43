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

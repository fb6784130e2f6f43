import math

import numpy as np
import pytest
import torch
from scipy import stats

from tasks.metrics import uncertainty

LEVELS = tuple(tenth / 10 for tenth in range(1, 10))


def random_case(count=4, points=778, scale=1.0, seed=0):
    """Truths drawn from Gaussians of 3 to 9 mm, described with ``scale`` times that width."""
    rng = np.random.default_rng(seed)
    mean = rng.normal(0, 0.05, (count, points, 3))
    sigma = rng.uniform(0.003, 0.009, mean.shape)
    true = mean + sigma * rng.normal(size=mean.shape)
    return mean, 2 * np.log(scale * sigma), true


def as_tensors(*arrays):
    return [torch.from_numpy(array) for array in arrays]


def test_nll_is_scipys_in_millimetres():
    mean, log_var, true = random_case()
    expected = -stats.norm.logpdf(1000 * true, 1000 * mean, 1000 * np.exp(log_var / 2)).mean(axis=(1, 2))
    np.testing.assert_allclose(
        uncertainty.gaussian_nll(*as_tensors(mean, log_var, true)).numpy(), expected, rtol=1e-9
    )


def test_nll_of_a_unit_normal_at_its_mean_is_half_log_two_pi():
    zeros = torch.zeros(1, 5, 3)
    one_millimetre = torch.full((1, 5, 3), 2 * math.log(1e-3))
    value = uncertainty.gaussian_nll(zeros, one_millimetre, zeros).item()
    assert value == pytest.approx(0.5 * math.log(2 * math.pi), rel=1e-6)


@pytest.mark.parametrize("scale", [0.5, 2.0])
def test_the_true_width_has_the_best_likelihood(scale):
    honest, wrong = (
        uncertainty.gaussian_nll(*as_tensors(*random_case(scale=s))).mean() for s in (1.0, scale)
    )
    assert honest < wrong


def test_coverage_is_the_share_inside_scipys_central_interval():
    mean, log_var, true = random_case(points=50)
    sigma = np.exp(log_var / 2)
    expected = [
        [np.mean(np.abs(t - m) <= s * stats.norm.ppf(0.5 + level / 2)) for level in LEVELS]
        for m, s, t in zip(mean, sigma, true, strict=True)
    ]
    covered = uncertainty.coverage(*as_tensors(mean, log_var, true), LEVELS)
    np.testing.assert_allclose(covered.numpy(), expected, atol=1e-12)


def test_an_honest_gaussian_is_covered_as_often_as_it_says():
    covered = uncertainty.coverage(*as_tensors(*random_case(count=16)), LEVELS).mean(dim=0)
    np.testing.assert_allclose(covered.numpy(), LEVELS, atol=0.01)


def test_too_narrow_a_gaussian_covers_too_little_and_too_wide_a_one_too_much():
    narrow = uncertainty.coverage(*as_tensors(*random_case(scale=0.5)), LEVELS).mean(dim=0)
    wide = uncertainty.coverage(*as_tensors(*random_case(scale=2.0)), LEVELS).mean(dim=0)
    assert (narrow.numpy() < np.array(LEVELS) - 0.03).all()
    assert (wide.numpy() > np.array(LEVELS) + 0.03).all()

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.distributions import Normal, kl_divergence

from methods.layers.gaussian import (
    Gaussian,
    beta_weight,
    bounded,
    kl_terms,
    linear_log_var,
    nll_terms,
    unbounded,
)


def gaussian(shape: tuple[int, ...], seed: int) -> Gaussian:
    noise = torch.Generator().manual_seed(seed)
    return Gaussian(
        torch.randn(shape, generator=noise, dtype=torch.float64),
        torch.randn(shape, generator=noise, dtype=torch.float64),
    )


def normal(g: Gaussian) -> Normal:
    assert g.log_var is not None
    return Normal(g.mean, (0.5 * g.log_var).exp())


@given(seed=st.integers(0, 1000))
@settings(max_examples=20, deadline=None)
def test_kl_equals_torch_distributions(seed: int) -> None:
    q, p = gaussian((3, 5, 3), seed), gaussian((3, 5, 3), seed + 1)
    torch.testing.assert_close(kl_terms(q, p), kl_divergence(normal(q), normal(p)))


def test_nll_equals_torch_distributions_up_to_its_constant() -> None:
    q, target = gaussian((3, 5, 3), 0), gaussian((3, 5, 3), 1).mean
    expected = -normal(q).log_prob(target) - 0.5 * math.log(2 * math.pi)
    torch.testing.assert_close(nll_terms(q, target), expected)


def test_beta_nll_pulls_on_the_mean_like_a_normalised_error() -> None:
    q = gaussian((4, 3), 2)
    mean = q.mean.clone().requires_grad_()
    target = mean.detach() + 0.3
    assert q.log_var is not None
    (beta_weight(q.log_var, 0.5) * nll_terms(Gaussian(mean, q.log_var), target)).sum().backward()
    assert mean.grad is not None
    torch.testing.assert_close(mean.grad, -0.3 * (-0.5 * q.log_var).exp())


def test_variance_of_a_linear_map_is_exact() -> None:
    matrix = torch.randn(4, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    log_var = gaussian((2, 6, 3), 3).log_var
    assert log_var is not None
    result = linear_log_var(matrix, log_var)
    for b in range(2):
        for axis in range(3):
            covariance = matrix @ torch.diag(log_var[b, :, axis].exp()) @ matrix.T
            torch.testing.assert_close(result[b, :, axis].exp(), covariance.diagonal())


def test_samples_have_the_mean_and_the_scaled_deviation() -> None:
    torch.manual_seed(0)
    q = Gaussian(torch.full((2, 100_000, 1), 3.0), torch.full((2, 100_000, 1), 2 * math.log(0.1)))
    sample = q.sample(torch.tensor([[1.0], [2.0]]))
    assert sample.mean() == pytest.approx(3.0, abs=0.002)
    torch.testing.assert_close(sample.std(1).flatten(), torch.tensor([0.1, 0.2]), rtol=0.02, atol=0)


def test_sampling_passes_gradients_to_mean_variance_and_scale() -> None:
    torch.manual_seed(0)
    mean, log_var, scale = (torch.zeros(s, requires_grad=True) for s in ((2, 3, 3), (2, 3, 3), (2, 1)))
    Gaussian(mean, log_var).sample(scale + 1).square().sum().backward()
    assert all(x.grad is not None and x.grad.abs().sum() > 0 for x in (mean, log_var, scale))


@given(value=st.floats(-13.9, -4.1))
@settings(max_examples=50, deadline=None)
def test_the_smooth_clamp_is_inverted_and_stays_inside(value: float) -> None:
    raw = torch.tensor(unbounded(value, -14, -4))
    assert float(bounded(raw, -14, -4)) == pytest.approx(value, abs=1e-3)
    far = torch.tensor([-100.0, 100.0])
    assert bounded(far, -14, -4).tolist() == pytest.approx([-14, -4])

"""Diagonal Gaussians: what AMVUR predicts for every coordinate, and how two of them compare."""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Gaussian:
    """Mean and log-variance of the same shape; ``log_var`` is None for a deterministic prediction."""

    mean: Tensor
    log_var: Tensor | None = None

    def sample(self, scale: Tensor) -> Tensor:
        """Reparameterised: mean + scale * eps * std, ``scale`` (B, 1) per image (paper's learned scalar)."""
        if self.log_var is None:
            return self.mean
        noise = torch.randn_like(self.mean) * (0.5 * self.log_var).exp()
        return self.mean + scale.view(-1, *[1] * (self.mean.dim() - 1)) * noise

    def relative_to_first(self) -> "Gaussian":
        """Means relative to the first point (the wrist); variances are regressed for the relative mean."""
        return Gaussian(self.mean - self.mean[:, :1], self.log_var)


def kl_terms(q: Gaussian, p: Gaussian) -> Tensor:
    """KL(q || p) of every coordinate, in nats."""
    assert q.log_var is not None
    assert p.log_var is not None
    squared = (q.mean - p.mean).square()
    return 0.5 * (p.log_var - q.log_var + (squared + q.log_var.exp()) * (-p.log_var).exp() - 1)


def nll_terms(q: Gaussian, target: Tensor) -> Tensor:
    """0.5 (d^2 exp(-l) + l) of every coordinate: the negative log-likelihood without its constant."""
    assert q.log_var is not None
    return 0.5 * ((target - q.mean).square() * (-q.log_var).exp() + q.log_var)


def beta_weight(log_var: Tensor, beta: float) -> Tensor:
    """sigma^(2 beta) without gradient (Seitzer et al., ICLR 2022, beta-NLL).

    Multiplying a likelihood by it keeps badly fitted coordinates from being given up: at beta 0.5 the pull on the mean
    is d / sigma, of the size of an absolute error's; at beta 1 it is a squared error's.
    """
    return (beta * log_var.detach()).exp()


def linear_log_var(matrix: Tensor, log_var: Tensor) -> Tensor:
    """Log-variance of A x per coordinate, log diag(A diag(exp l) A^T): (M, N), (B, N, 3) -> (B, M, 3)."""
    return (matrix.square() @ log_var.exp()).log()


def bounded(raw: Tensor, low: float, high: float) -> Tensor:
    """A smooth clamp that is the identity in the middle of [low, high] and never loses its gradient."""
    centre, half = (low + high) / 2, (high - low) / 2
    return centre + half * torch.tanh((raw - centre) / half)


def unbounded(value: float, low: float, high: float) -> float:
    """The raw value that ``bounded`` maps to ``value``."""
    centre, half = (low + high) / 2, (high - low) / 2
    return centre + half * float(torch.atanh(torch.tensor((value - centre) / half)))

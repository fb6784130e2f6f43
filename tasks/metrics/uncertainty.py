"""How well a predicted Gaussian per coordinate describes the truth: likelihood and coverage, one value per sample."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

MM_PER_M = 1000.0


def gaussian_nll(mean_m: Tensor, log_var_m2: Tensor, true_m: Tensor) -> Tensor:
    """Mean negative log-likelihood per coordinate, in nats with coordinates in mm: (B, N, 3) each -> (B,) float64.

    0.5 (log(2 pi s^2) + (x - m)^2 / s^2) with s in mm; in metres every value would be log(1000) = 6.9 nats lower.
    """
    log_var_mm2 = log_var_m2.double() + 2.0 * math.log(MM_PER_M)
    squared_mm2 = (MM_PER_M * (true_m.double() - mean_m.double())).square()
    nll = 0.5 * (math.log(2.0 * math.pi) + log_var_mm2 + squared_mm2 * torch.exp(-log_var_mm2))
    return nll.flatten(1).mean(dim=1)


def coverage(mean_m: Tensor, log_var_m2: Tensor, true_m: Tensor, levels: Sequence[float]) -> Tensor:
    """Share of coordinates inside the central interval of each level: (B, N, 3) each -> (B, len(levels)) float64."""
    standardised = (true_m.double() - mean_m.double()).abs() * torch.exp(-0.5 * log_var_m2.double())
    probability = torch.as_tensor(levels, dtype=torch.float64, device=mean_m.device)
    half_width = math.sqrt(2.0) * torch.erfinv(probability)
    return (standardised.flatten(1)[:, :, None] <= half_width).double().mean(dim=1)

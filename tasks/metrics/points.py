"""Errors of joints and vertices: mean distance and area under the PCK curve, one value per sample."""

import numpy as np
import torch
from torch import Tensor

AUC_THRESHOLDS_M = torch.from_numpy(np.linspace(0.0, 0.05, 100))


def distances_m(predicted_m: Tensor, true_m: Tensor) -> Tensor:
    """Euclidean distance of corresponding points: two (B, N, 3) in metres -> (B, N) float64."""
    return torch.linalg.vector_norm(predicted_m.double() - true_m.double(), dim=-1)


def mean_distance_mm(distance_m: Tensor) -> Tensor:
    """Mean over the points of a sample: (B, N) metres -> (B,) mm (MPJPE, MPVPE)."""
    return 1000.0 * distance_m.mean(dim=-1)


def auc(distance_m: Tensor, from_zero: bool = True) -> Tensor:
    """Area under the PCK curve from 0 to 50 mm: (B, N) metres -> (B,) in [0, 1].

    100 thresholds **including 0**, compared with ``<=``, trapezoid divided by the range (lmb-freiburg/freihand:
    utils/eval_util.py). A point's curve is a step, so its area depends on the first threshold that passes alone; the
    official value, which averages curves over frames first, is the mean of these. A tiny error misses threshold 0 and
    gives 1 - 0.5 / 99; without ``from_zero`` the curve starts at the first threshold above 0, and gives 1. A NaN
    distance gives NaN.
    """
    thresholds = AUC_THRESHOLDS_M[0 if from_zero else 1 :].to(distance_m.device)
    intervals = len(thresholds) - 1
    first = torch.searchsorted(thresholds, distance_m.double().contiguous())
    area = (intervals + 0.5 - first.double()) / intervals
    area = torch.where(first == 0, 1.0, area).clamp(min=0.0)
    return torch.where(distance_m.isnan(), torch.nan, area).mean(dim=-1)


def pck(distance_m: Tensor, thresholds_m: Tensor) -> Tensor:
    """Share of the points of a sample within each threshold, ``<=``: (B, N) and (T,) metres -> (B, T) float64.

    The mean over samples is the PCK curve (lmb-freiburg/freihand: utils/eval_util.py). A NaN distance gives NaN.
    """
    thresholds_m = thresholds_m.to(distance_m.device, torch.float64)
    ordered, _ = distance_m.double().sort(dim=-1)  # NaN comes last
    within = torch.searchsorted(ordered, thresholds_m.expand(len(ordered), -1).contiguous(), right=True)
    share = within.double() / distance_m.shape[-1]
    return torch.where(distance_m.isnan().any(dim=-1, keepdim=True), torch.nan, share)


def acceleration_error_mm(predicted_m: Tensor, true_m: Tensor) -> Tensor:
    """Mean error of the second differences of a clip: two (..., T, J, 3) in metres -> (...,) float64, mm per frame^2.

    x[t-1] - 2 x[t] + x[t+1] over the triples of frames whose truth is finite (Kanazawa et al. 2019, section 4.2). NaN
    for a clip without such a triple, and where the prediction of one is missing.
    """
    difference = [
        p[..., :-2, :, :] - 2 * p[..., 1:-1, :, :] + p[..., 2:, :, :] for p in (predicted_m, true_m)
    ]
    known = difference[1].isfinite().all(-1).all(-1)
    error_m = distances_m(*difference).mean(dim=-1)
    total_m = torch.where(known, error_m, 0.0).sum(dim=-1)
    return 1000.0 * total_m / known.sum(dim=-1)

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

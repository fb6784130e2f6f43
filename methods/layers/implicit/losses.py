"""Losses of occupancy fields. All are means, so that they do not grow with batch or number of queries."""

import torch
from torch import Tensor
from torch.nn import functional as F

from methods.layers.implicit.config import OccupancyLoss

POSITIVE_WEIGHT = 8 / 3
"""Of inside points in the cross-entropy (jyunlee/Im2Hands: artihand/nasa/backup/refinement_pifu_training_bce.py)."""


def occupancy_loss(logits: Tensor, occupied: Tensor, there: Tensor, kind: OccupancyLoss) -> Tensor:
    """Left and right error added, each a mean over queries and the hands that are there.

    ``logits`` and ``occupied`` (B, 2, N), ``there`` (B, 2) bool.
    """
    target = occupied.to(logits.dtype)
    if kind == "mse":
        error = (logits.sigmoid() - target).square()
    else:
        weight = torch.tensor(POSITIVE_WEIGHT, device=logits.device)
        error = F.binary_cross_entropy_with_logits(logits, target, reduction="none", pos_weight=weight)
    per_hand = error.mean(dim=2)
    count = there.sum(dim=0).clamp(min=1)
    return (torch.where(there, per_hand, 0.0).sum(dim=0) / count).sum()


def penetration_loss(own: Tensor, other: Tensor, threshold: float = 0.0) -> Tensor:
    """Mean product of both hands' occupancies at the same points (..., N); products below ``threshold`` count as 0.

    The released loss is 0.001 times the sum: with 2 images of 2 x 2048 queries, 8.2 times the mean.
    """
    product = own * other
    return torch.where(product > threshold, product, 0.0).mean()

"""What only two hands have: where one is relative to the other, and which of them are there. One value per sample."""

import torch
from torch import Tensor

HANDEDNESS_THRESHOLD = 0.5


def mrrpe_mm(predicted_m: Tensor, true_m: Tensor) -> Tensor:
    """Error of the left root relative to the right one: two (B, 3) vectors in metres -> (B,) float64 mm.

    The norm of the difference of the two vectors (facebookresearch/InterHand2.6M: data/InterHand2.6M/dataset.py).
    Which frames count is the protocol's business. NaN where a root is missing.
    """
    return 1000.0 * torch.linalg.vector_norm(predicted_m.double() - true_m.double(), dim=-1)


def handedness_is_right(probability: Tensor, has_hand: Tensor) -> Tensor:
    """Whether the hands that are there were told: (B, 2) and (B, 2) bool, right then left -> (B,) float64, 1 or 0.

    A hand is told by a probability strictly above 0.5, its absence by one strictly below, as the official script
    compares: exactly 0.5 is wrong either way. NaN for a NaN probability.
    """
    told = torch.where(has_hand, probability > HANDEDNESS_THRESHOLD, probability < HANDEDNESS_THRESHOLD).all(
        dim=1
    )
    return torch.where(probability.isnan().any(dim=1), torch.nan, told.double())

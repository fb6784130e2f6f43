"""A batch of two-hand frames that methods can be tried on."""

import numpy as np
import torch

from tasks.two_hands import TwoHandBatch, TwoHandDataset
from tests.two_hand_pairs import MemoryPairs


def pairs_batch(count: int = 4, size: int = 32, seed: int = 0) -> TwoHandBatch:
    """Interacting frames with both fits."""
    samples = MemoryPairs(("interacting",) * count, seed=seed, awkward=False)
    return TwoHandDataset(samples, np.arange(count), size).gather(torch.arange(count))

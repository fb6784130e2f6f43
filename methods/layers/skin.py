"""The mean skin colour of the training images: the colour a textured hand has to beat."""

import torch
from torch import Tensor, nn


class MeanSkin(nn.Module):
    """A running mean over all hand pixels seen in training; an object in front of the hand is not part of it."""

    total: Tensor
    count: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("total", torch.zeros(3, dtype=torch.float64))
        self.register_buffer("count", torch.zeros((), dtype=torch.float64))

    @torch.no_grad()
    def update(self, image: Tensor, mask: Tensor) -> None:
        """Image (B, 3, S, S), mask (B, S, S) bool, all False where the layout stores none."""
        self.total += torch.einsum("bchw,bhw->c", image.float(), mask.float()).double()
        self.count += mask.sum()

    def forward(self, batch_size: int) -> dict[str, Tensor]:
        """``flat_rgb`` (B, 3), or nothing where no masked pixel was ever seen."""
        if not float(self.count):
            return {}
        return {"flat_rgb": (self.total / self.count).float().expand(batch_size, 3)}

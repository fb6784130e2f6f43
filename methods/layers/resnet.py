"""A residual network of any size, for presets that must learn in minutes."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

GRID_CHANNELS = 32


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions and a skip connection (He et al. 2016, basic block); starts as the identity."""

    def __init__(self, channels_in: int, channels: int, stride: int = 1) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels_in, channels, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        nn.init.zeros_(self.bn2.weight)
        self.skip: nn.Module = nn.Identity()
        if stride != 1 or channels_in != channels:
            self.skip = nn.Sequential(
                nn.Conv2d(channels_in, channels, 1, stride, bias=False), nn.BatchNorm2d(channels)
            )

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.bn1(self.conv1(x)))
        return F.relu(self.bn2(self.conv2(y)) + self.skip(x))


class ResidualNetwork(nn.Module):
    """Stem of stride ``stem_stride``, then one stage per width, each half the resolution of the one before.

    ``forward(image (B, 3, S, S)) -> (global (B, features), maps [(B, widths[i], S / stem / 2^i, ...)])``. With pooling
    ``none`` the global vector has no entries.
    """

    def __init__(
        self,
        image_size_px: int,
        stem_stride: int,
        widths: tuple[int, ...],
        blocks: tuple[int, ...],
        pooling: str,
        features: int,
    ) -> None:
        super().__init__()
        self.features, self.map_channels = 0 if pooling == "none" else features, tuple(widths)
        kernel = 2 * stem_stride - 1
        self.stem = nn.Sequential(
            nn.Conv2d(3, widths[0], kernel, stem_stride, kernel // 2, bias=False),
            nn.BatchNorm2d(widths[0]),
            nn.ReLU(),
        )
        channels_in = (widths[0], *widths[:-1])
        self.stages = nn.ModuleList(
            nn.Sequential(
                ResidualBlock(c_in, c, stride=1 if i == 0 else 2),
                *(ResidualBlock(c, c) for _ in range(n - 1)),
            )
            for i, (c_in, c, n) in enumerate(zip(channels_in, widths, blocks, strict=True))
        )
        self.pool = _pool(pooling, widths[-1], image_size_px, stem_stride * 2 ** (len(widths) - 1), features)

    def forward(self, image: Tensor) -> tuple[Tensor, list[Tensor]]:
        x = self.stem(image.contiguous(memory_format=torch.channels_last))
        maps = []
        for stage in self.stages:
            x = stage(x)
            maps.append(x)
        return self.pool(x), maps


def _pool(pooling: str, channels: int, image_size_px: int, stride: int, features: int) -> nn.Module:
    """The last map to one vector."""
    if pooling == "none":
        return NoVector()
    if pooling == "average":
        return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, features), nn.ReLU())
    if pooling == "keypoints":
        return nn.Sequential(SpatialSoftmax(channels), nn.Linear(4 * channels, features), nn.ReLU())
    cells = math.ceil(image_size_px / stride) ** 2
    return nn.Sequential(
        nn.Conv2d(channels, GRID_CHANNELS, 1),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(GRID_CHANNELS * cells, features),
        nn.ReLU(),
    )


class NoVector(nn.Module):
    """A vector without entries, for who reads the maps alone."""

    def forward(self, x: Tensor) -> Tensor:
        return x.new_zeros((len(x), 0))


class SpatialSoftmax(nn.Module):
    """Where each channel is (Levine et al., JMLR 2016): expected x and y under a softmax, and mean and peak value."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.logits = nn.Conv2d(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        h, w = x.shape[-2:]
        p = self.logits(x).flatten(2).softmax(-1)
        ys = torch.linspace(-1, 1, h, device=x.device, dtype=p.dtype).repeat_interleave(w)
        xs = torch.linspace(-1, 1, w, device=x.device, dtype=p.dtype).repeat(h)
        flat = x.flatten(2)
        return torch.cat([p @ xs, p @ ys, (p * flat).sum(-1), flat.mean(-1)], 1)

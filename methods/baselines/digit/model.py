"""DIGIT's network: feature map, part segmentation, their fusion, and the heads that read joints from it."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from methods.baselines.digit.config import DigitConfig
from methods.baselines.digit.space import CELLS, TYPICAL_CROP_WIDTH_M
from methods.layers.backbone import Backbone
from methods.layers.heads import head
from methods.layers.precision import full_precision
from tasks.errors import RequestError

N_JOINTS = 21
N_CLASSES = 33
"""Background, 16 parts of the right hand, 16 of the left one."""


@dataclass(frozen=True)
class DigitOutput:
    """What the network says of B crops; right hand, then left. Units: see ``space``."""

    joints: Tensor
    """(B, 2, 21, 3) cells: x and y from the crop's corner, depth from the hand's wrist."""
    relative_root: Tensor
    """(B,) cells: the left wrist's depth less the right wrist's."""
    handedness: Tensor
    """(B, 2) logits: a right, a left hand is there."""
    log_crop_width: Tensor
    """(B, 2): logarithm of the crop's width in metres at the depth of each wrist."""
    segmentation: Tensor
    """(B, 33, h, w) logits."""


class DigitModule(nn.Module):
    """Image (B, 3, S, S) in [0, 1] to ``DigitOutput``."""

    def __init__(self, config: DigitConfig) -> None:
        super().__init__()
        maps_alone = config.backbone.model_copy(update={"pooling": "none"})
        self.backbone = Backbone(maps_alone, config.image_size_px)
        self.level, self.beta = config.heatmap_level, config.beta
        levels = self.backbone.map_channels[self.level :]
        if not levels:
            raise RequestError(
                f"heatmap_level is {self.level}, and the image network has {len(self.backbone.map_channels)} maps: "
                "0 is the finest."
            )
        self.features = FeatureMap(levels, config.map_channels)
        channels = self.features.channels
        self.segmentation = segmentation_head(channels, config.segmentation_channels)
        self.parts = PartFeatures(config.fusion, config.fusion_channels)
        channels += self.parts.channels
        self.merge = UNet(channels, config.unet_channels)
        self.heatmaps = nn.Conv2d(channels, 2 * N_JOINTS, 1)
        self.depths = nn.Conv2d(channels, 2 * N_JOINTS, 1)
        self.glance = glance(channels, config.head_channels)
        features = config.head_channels[-1][-1]
        self.relative_root = head(features, config.hidden, config.root_bins)
        self.handedness = head(features, config.hidden, 2)
        self.log_crop_width = head(
            features, config.hidden, 2, std=0.01, start=(math.log(TYPICAL_CROP_WIDTH_M),)
        )

    def forward(self, image: Tensor) -> DigitOutput:
        _, maps = self.backbone(image)
        features = self.features(maps[self.level :])
        segmentation = self.segmentation(features)
        merged = self.merge(torch.cat([features, *self.parts(segmentation)], 1))
        seen = self.glance(merged).mean((2, 3))
        heatmaps, depths = self.beta * self.heatmaps(merged), self.depths(merged)
        bins, handedness = self.relative_root(seen), self.handedness(seen)
        log_width = self.log_crop_width(seen)
        with full_precision(image):
            return DigitOutput(
                joints=soft_joints(heatmaps.float(), depths.float()).unflatten(1, (2, N_JOINTS)),
                relative_root=soft_depth(bins.float()),
                handedness=handedness.float(),
                log_crop_width=log_width.float(),
                segmentation=segmentation.float(),
            )


def soft_joints(heatmaps: Tensor, depths: Tensor) -> Tensor:
    """Heatmap logits and depth maps (B, J, h, w) to 2.5D joints (B, J, 3) in cells.

    x and y are the mean place under the heatmap's softmax, depth is the mean of the depth map under it.
    """
    h, w = heatmaps.shape[-2:]
    p = heatmaps.flatten(2).softmax(-1)
    z = (p * depths.flatten(2)).sum(-1) * (CELLS / 2)
    p = p.unflatten(-1, (h, w))
    x, y = p.sum(2) @ _centres(w, p), p.sum(3) @ _centres(h, p)
    return torch.stack([x, y, z], -1)


def soft_depth(bins: Tensor) -> Tensor:
    """Logits (B, n) of depths over 400 mm to the mean depth (B,) in cells, 0 in the middle."""
    return bins.softmax(-1) @ _centres(bins.shape[-1], bins) - CELLS / 2


def _centres(n: int, like: Tensor) -> Tensor:
    """Middles of ``n`` equal parts, in cells."""
    return (torch.arange(n, device=like.device, dtype=like.dtype) + 0.5) * (CELLS / n)


class FeatureMap(nn.Module):
    """A pyramid, finest map first, to one map as fine as that (Lin et al. 2017); a single map stays as it is."""

    def __init__(self, map_channels: Sequence[int], channels: int) -> None:
        super().__init__()
        several = len(map_channels) > 1
        self.channels = channels if several else map_channels[0]
        self.lateral = nn.ModuleList(nn.Conv2d(c, channels, 1) for c in map_channels if several)
        self.smooth = nn.ModuleList(conv_bn_relu(channels, channels) for _ in map_channels[:-1])

    def forward(self, maps: list[Tensor]) -> Tensor:
        if not self.lateral:
            return maps[0]
        *finer, x = (layer(m) for layer, m in zip(self.lateral, maps, strict=True))
        for smooth, lateral in zip(self.smooth, reversed(finer), strict=True):
            x = smooth(lateral + resized(x, lateral.shape[-2:]))
        return x


def segmentation_head(channels_in: int, channels: tuple[int, int]) -> nn.Sequential:
    """To part logits at twice the resolution."""
    widths = (channels_in, channels_in // 2, *channels)
    return nn.Sequential(
        nn.Upsample(scale_factor=2, mode="bilinear"),
        *(conv_bn_relu(a, b) for a, b in pairwise(widths)),
        nn.Conv2d(channels[-1], N_CLASSES, 3, padding=1),
    )


class PartFeatures(nn.Module):
    """What the joints are told of the parts: features at half the segmentation's resolution, or nothing."""

    def __init__(self, fusion: str, channels: tuple[int, int]) -> None:
        super().__init__()
        self.fusion = fusion
        self.channels = 0 if fusion == "none" else channels[-1]
        self.layers = None
        if fusion != "none":
            convolutions = [conv_relu(a, b) for a, b in pairwise((N_CLASSES, *channels))]
            self.layers = nn.Sequential(*convolutions, nn.MaxPool2d(2))

    def forward(self, logits: Tensor) -> list[Tensor]:
        if self.layers is None:
            return []
        if self.fusion == "probabilities":
            logits = logits.softmax(1)
        elif self.fusion == "labels":
            logits = F.one_hot(logits.argmax(1), N_CLASSES).movedim(-1, 1).to(logits.dtype)
        return [self.layers(logits)]


class UNet(nn.Module):
    """A small U-Net (Ronneberger et al. 2015) that gives as many channels as it takes."""

    def __init__(self, channels: int, levels: Sequence[int]) -> None:
        super().__init__()
        self.enter = double_conv(channels, levels[0], middle=levels[0])
        self.down = nn.ModuleList(
            nn.Sequential(nn.MaxPool2d(2), double_conv(a, b, middle=b))
            for a, b in pairwise((*levels, levels[-1]))
        )
        below = (levels[0], *levels[:-1])
        self.up = nn.ModuleList(
            double_conv(2 * level, out, middle=level) for level, out in zip(levels, below, strict=True)
        )
        self.leave = nn.Conv2d(levels[0], channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.enter(x)
        skips = []
        for down in self.down:
            skips.append(x)
            x = down(x)
        for up, skip in zip(reversed(self.up), reversed(skips), strict=True):
            x = up(torch.cat([skip, resized(x, skip.shape[-2:])], 1))
        return self.leave(x)


def glance(channels: int, stages: Sequence[tuple[int, int]]) -> nn.Sequential:
    """Pairs of convolutions, each halved in resolution: the map whose mean the global heads read."""
    layers: list[nn.Module] = []
    for first, second in stages:
        layers += [conv_relu(channels, first), conv_relu(first, second), nn.MaxPool2d(2)]
        channels = second
    return nn.Sequential(*layers)


def conv_relu(channels_in: int, channels: int) -> nn.Sequential:
    """Without a norm after it: started so that it keeps the size of what passes (He et al. 2015)."""
    convolution = nn.Conv2d(channels_in, channels, 3, padding=1)
    nn.init.kaiming_normal_(convolution.weight, nonlinearity="relu")
    nn.init.zeros_(convolution.bias)  # type: ignore[arg-type]
    return nn.Sequential(convolution, nn.ReLU())


def conv_bn_relu(channels_in: int, channels: int) -> nn.Sequential:
    """A 3x3 convolution, batch norm, ReLU."""
    return nn.Sequential(nn.Conv2d(channels_in, channels, 3, padding=1), nn.BatchNorm2d(channels), nn.ReLU())


def double_conv(channels_in: int, channels: int, middle: int) -> nn.Sequential:
    """Two of these."""
    return nn.Sequential(conv_bn_relu(channels_in, middle), conv_bn_relu(middle, channels))


def resized(x: Tensor, size: Sequence[int]) -> Tensor:
    """A map at another resolution, bilinear."""
    return F.interpolate(x, tuple(size), mode="bilinear", align_corners=False)

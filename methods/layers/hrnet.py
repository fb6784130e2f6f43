"""HRNet (Wang et al., TPAMI 2020): four resolutions kept alive side by side; for one vector, or for the finest map.

Modules carry the names of the official code's state dict (HRNet/HRNet-Image-Classification), so that ImageNet weights
in that format load as they are; the classifier itself is left out.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

HEAD_WIDTHS = (32, 64, 128, 256)
GLOBAL_FEATURES = 2048
BLOCKS_PER_BRANCH = 4


def conv_bn(
    channels_in: int, channels: int, kernel: int, stride: int = 1, relu: bool = False
) -> nn.Sequential:
    """Convolution, batch norm, optional ReLU."""
    layers: list[nn.Module] = [
        nn.Conv2d(channels_in, channels, kernel, stride, kernel // 2, bias=False),
        nn.BatchNorm2d(channels),
    ]
    return nn.Sequential(*layers, *([nn.ReLU()] if relu else []))


class BasicBlock(nn.Module):
    """Two 3x3 convolutions with a skip connection."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.bn1(self.conv1(x)))
        return F.relu(self.bn2(self.conv2(y)) + x)


class Bottleneck(nn.Module):
    """1x1, 3x3, 1x1 convolutions to four times the width, with a skip connection."""

    def __init__(self, channels_in: int, channels: int, stride: int = 1) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels_in, channels, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, stride, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.conv3 = nn.Conv2d(channels, 4 * channels, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(4 * channels)
        changes = stride != 1 or channels_in != 4 * channels
        self.downsample = conv_bn(channels_in, 4 * channels, 1, stride) if changes else None

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.bn1(self.conv1(x)))
        y = F.relu(self.bn2(self.conv2(y)))
        skip = x if self.downsample is None else self.downsample(x)
        return F.relu(self.bn3(self.conv3(y)) + skip)


class HighResolutionModule(nn.Module):
    """Four basic blocks per branch, then the first ``outputs`` branches receive the sum of all, resampled."""

    def __init__(self, widths: Sequence[int], outputs: int) -> None:
        super().__init__()
        self.branches = nn.ModuleList(
            nn.Sequential(*(BasicBlock(width) for _ in range(BLOCKS_PER_BRANCH))) for width in widths
        )
        self.fuse_layers = nn.ModuleList(
            nn.ModuleList(_fuse(widths, source, target) for source in range(len(widths)))
            for target in range(outputs)
        )

    def forward(self, maps: list[Tensor]) -> list[Tensor]:
        maps = [branch(x) for branch, x in zip(self.branches, maps, strict=True)]
        return [self._fused(row, maps, target) for target, row in enumerate(self.fuse_layers)]

    def _fused(self, row: nn.Module, maps: list[Tensor], target: int) -> Tensor:
        total = maps[target]
        for source, layer in enumerate(row.children()):
            if source != target:
                y = layer(maps[source])
                total = total + (F.interpolate(y, maps[target].shape[-2:]) if source > target else y)
        return F.relu(total)


def _fuse(widths: Sequence[int], source: int, target: int) -> nn.Module:
    """From branch ``source`` to branch ``target``: a 1x1 before upsampling, or strided 3x3 convolutions."""
    if source == target:
        return nn.Identity()
    if source > target:
        return conv_bn(widths[source], widths[target], 1)
    steps = target - source
    down = [conv_bn(widths[source], widths[source], 3, 2, relu=True) for _ in range(steps - 1)]
    return nn.Sequential(*down, conv_bn(widths[source], widths[target], 3, 2))


class HRNet(nn.Module):
    """A network of ``width`` W: the branches have W, 2 W, 4 W and 8 W channels, at S/4 to S/32.

    ``forward(image (B, 3, S, S)) -> (global (B, 2048), [W ch @S/4, 2 W ch @S/8, 4 W ch @S/16])``, or with ``pooled``
    false, as in HRNet for human pose (CVPR 2019), ``(global (B, 0), [W ch @S/4])``: the last fusion gives the finest
    map alone, and the classification head is left out.
    """

    def __init__(self, width: int, pooled: bool = True) -> None:
        super().__init__()
        widths = tuple(width * 2**i for i in range(4))
        self.features = GLOBAL_FEATURES if pooled else 0
        self.map_channels = widths[:3] if pooled else widths[:1]
        self.conv1 = nn.Conv2d(3, 64, 3, 2, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.conv2 = nn.Conv2d(64, 64, 3, 2, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(64)
        self.layer1 = nn.Sequential(Bottleneck(64, 64), *(Bottleneck(256, 64) for _ in range(3)))
        self.transition1 = nn.ModuleList(
            [conv_bn(256, widths[0], 3, relu=True), nn.Sequential(conv_bn(256, widths[1], 3, 2, relu=True))]
        )
        self.stage2 = _stage(widths[:2], [2])
        self.transition2 = _transition(widths[:3])
        self.stage3 = _stage(widths[:3], [3] * 4)
        self.transition3 = _transition(widths)
        self.stage4 = _stage(widths, [4, 4, 4 if pooled else 1])
        if pooled:
            self.incre_modules = nn.ModuleList(
                nn.Sequential(Bottleneck(c, head)) for c, head in zip(widths, HEAD_WIDTHS, strict=True)
            )
            self.downsamp_modules = nn.ModuleList(
                _biased_conv(4 * head, 8 * head, 3, 2) for head in HEAD_WIDTHS[:-1]
            )
            self.final_layer = _biased_conv(4 * HEAD_WIDTHS[-1], GLOBAL_FEATURES, 1, 1)

    def forward(self, image: Tensor) -> tuple[Tensor, list[Tensor]]:
        x = image.contiguous(memory_format=torch.channels_last)
        x = F.relu(self.bn1(self.conv1(x)))
        x = self.layer1(F.relu(self.bn2(self.conv2(x))))
        maps = self.stage2([layer(x) for layer in self.transition1])
        maps = self.stage3([*maps, self.transition2[-1](maps[-1])])
        maps = self.stage4([*maps, self.transition3[-1](maps[-1])])
        pooled = self._global(maps) if self.features else image.new_zeros((len(image), 0))
        return pooled, maps[: len(self.map_channels)]

    def _global(self, maps: list[Tensor]) -> Tensor:
        x = self.incre_modules[0](maps[0])
        for down, widen, finer in zip(
            self.downsamp_modules, list(self.incre_modules)[1:], maps[1:], strict=True
        ):
            x = widen(finer) + down(x)
        return self.final_layer(x).mean((2, 3))


def _stage(widths: Sequence[int], outputs: Sequence[int]) -> nn.Sequential:
    """Modules on the same branches; one number of fused branches for each."""
    return nn.Sequential(*(HighResolutionModule(widths, n) for n in outputs))


def _transition(widths: Sequence[int]) -> nn.ModuleList:
    """Opens one more branch, at half the resolution of the last; the others pass."""
    kept: list[nn.Module] = [nn.Identity() for _ in widths[:-1]]
    return nn.ModuleList([*kept, nn.Sequential(conv_bn(widths[-2], widths[-1], 3, 2, relu=True))])


def _biased_conv(channels_in: int, channels: int, kernel: int, stride: int) -> nn.Sequential:
    """As ``conv_bn`` with a bias and a ReLU: the classification head is written so."""
    return nn.Sequential(
        nn.Conv2d(channels_in, channels, kernel, stride, kernel // 2), nn.BatchNorm2d(channels), nn.ReLU()
    )

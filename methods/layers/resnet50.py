"""ResNet-50 (He et al., CVPR 2016), its stride in the 3x3 convolutions.

Modules carry the names of torchvision's state dict, so that ImageNet weights in that format load as they are; the
classifier itself is left out.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from methods.layers.hrnet import Bottleneck

WIDTHS = (64, 128, 256, 512)
BLOCKS = (3, 4, 6, 3)


class ResNet50(nn.Module):
    """``forward(image (B, 3, S, S)) -> (global (B, 2048), [256 ch @S/4, 512 @S/8, 1024 @S/16, 2048 @S/32])``."""

    features = 2048
    map_channels = tuple(4 * width for width in WIDTHS)

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.layer1 = _layer(64, WIDTHS[0], BLOCKS[0], stride=1)
        self.layer2 = _layer(4 * WIDTHS[0], WIDTHS[1], BLOCKS[1], stride=2)
        self.layer3 = _layer(4 * WIDTHS[1], WIDTHS[2], BLOCKS[2], stride=2)
        self.layer4 = _layer(4 * WIDTHS[2], WIDTHS[3], BLOCKS[3], stride=2)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, image: Tensor) -> tuple[Tensor, list[Tensor]]:
        x = F.relu(self.bn1(self.conv1(image.contiguous(memory_format=torch.channels_last))))
        x = F.max_pool2d(x, 3, 2, 1)
        maps = []
        for layer in (self.layer1, self.layer2, self.layer3, self.layer4):
            x = layer(x)
            maps.append(x)
        return x.mean((2, 3)), maps


def _layer(channels_in: int, width: int, blocks: int, stride: int) -> nn.Sequential:
    rest = (Bottleneck(4 * width, width) for _ in range(blocks - 1))
    return nn.Sequential(Bottleneck(channels_in, width, stride), *rest)

"""LPIPS with AlexNet features, where the two files of pretrained weights are present; never otherwise.

Zhang et al. 2018, "The Unreasonable Effectiveness of Deep Features as a Perceptual Metric", version 0.1. The weights
are ``alexnet-owt-7be5be79.pth`` (torchvision's AlexNet) in torch's hub folder, and ``alex.pth`` (the five linear
layers), which the package ``torchmetrics`` ships.
"""

import functools
from importlib.util import find_spec
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from tasks.metrics.declarations import MIN_MASK_PX

BACKBONE_FILE = "alexnet-owt-7be5be79.pth"
CROP_PX = 256
_CONVOLUTIONS = (
    (3, 64, 11, 4, 2),
    (64, 192, 5, 1, 2),
    (192, 384, 3, 1, 1),
    (384, 256, 3, 1, 1),
    (256, 256, 3, 1, 1),
)
_POOL_BEFORE = (1, 2)
_BACKBONE_KEYS = (0, 3, 6, 8, 10)
_MEAN, _STD = (-0.030, -0.088, -0.188), (0.458, 0.448, 0.450)


class Lpips(nn.Module):
    """Distance of deep features: two (B, 3, H, W) images in [0, 1] -> (B,) float64."""

    def __init__(self) -> None:
        super().__init__()
        convolutions = [nn.Conv2d(i, o, k, s, p) for i, o, k, s, p in _CONVOLUTIONS]
        self.convolutions = nn.ModuleList(convolutions)
        self.linear = nn.ParameterList(torch.zeros(c.out_channels) for c in convolutions)

    def read(self, backbone: Path, linear: Path) -> "Lpips":
        """Fill from the two weight files."""
        states = [torch.load(path, map_location="cpu", weights_only=True) for path in (backbone, linear)]
        with torch.no_grad():
            for layer, (convolution, key) in enumerate(zip(self.convolutions, _BACKBONE_KEYS, strict=True)):
                weights = {name: states[0][f"features.{key}.{name}"] for name in ("weight", "bias")}
                convolution.load_state_dict(weights)
                self.linear[layer].copy_(states[1][f"lin{layer}.model.1.weight"].flatten())
        return self.eval().requires_grad_(False)

    def features(self, image: Tensor) -> list[Tensor]:
        """Unit-length feature vectors of the five layers."""
        mean, std = (torch.tensor(v, device=image.device).view(3, 1, 1) for v in (_MEAN, _STD))
        x = (2 * image.float() - 1 - mean) / std
        layers = []
        for layer, convolution in enumerate(self.convolutions):
            x = functional.relu(convolution(functional.max_pool2d(x, 3, 2) if layer in _POOL_BEFORE else x))
            layers.append(functional.normalize(x, dim=1, eps=1e-10))
        return layers

    def forward(self, first: Tensor, second: Tensor) -> Tensor:
        total = torch.zeros(len(first), dtype=torch.float64, device=first.device)
        for weight, x, y in zip(self.linear, self.features(first), self.features(second), strict=True):
            total += torch.einsum("c,bchw->bhw", weight, (x - y).square()).mean(dim=(1, 2))
        return total

    def masked(self, rendered: Tensor, image: Tensor, mask: Tensor) -> Tensor:
        """LPIPS of each mask's bounding square, black outside the mask; NaN for a small mask: (B,) float64."""
        values = torch.full((len(mask),), torch.nan, dtype=torch.float64, device=mask.device)
        for i in torch.nonzero(mask.flatten(1).sum(dim=1) >= MIN_MASK_PX).flatten().tolist():
            pair = torch.stack([rendered[i], image[i]]) * mask[i]
            crops = bounding_square(pair, mask[i], CROP_PX)
            values[i] = self(crops[:1], crops[1:])[0]
        return values


def bounding_square(images: Tensor, mask: Tensor, size_px: int) -> Tensor:
    """(B, C, H, W) cut to the bounding square of a mask (H, W), black beyond the border, resized to ``size_px``."""
    rows, columns = (torch.nonzero(mask.any(dim=d)).flatten() for d in (1, 0))
    top, left = int(rows[0]), int(columns[0])
    height, width = int(rows[-1]) + 1 - top, int(columns[-1]) + 1 - left
    side = max(height, width)
    extra_x, extra_y = side - width, side - height
    box = images[:, :, top : top + height, left : left + width]
    square = functional.pad(box, (extra_x // 2, extra_x - extra_x // 2, extra_y // 2, extra_y - extra_y // 2))
    return functional.interpolate(square.float(), (size_px, size_px), mode="bilinear", antialias=True)


def weight_files() -> tuple[Path, Path] | None:
    """The two weight files, or None where one is missing."""
    package = find_spec("torchmetrics")
    if package is None or package.origin is None:
        return None
    linear = Path(package.origin).parent / "functional" / "image" / "lpips_models" / "alex.pth"
    backbone = Path(torch.hub.get_dir()) / "checkpoints" / BACKBONE_FILE
    return (backbone, linear) if backbone.is_file() and linear.is_file() else None


@functools.cache
def load_lpips() -> Lpips | None:
    """The network with its pretrained weights, or None where they are not on this machine."""
    files = weight_files()
    return Lpips().read(*files) if files else None

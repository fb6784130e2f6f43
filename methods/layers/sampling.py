"""Features where a point lies in the image."""

from torch import Tensor
from torch.nn import functional as F

from methods.layers.camera import to_normalised


def sample_map(feature_map: Tensor, points_px: Tensor, image_size_px: int) -> Tensor:
    """Bilinear samples (B, N, C) of a map (B, C, h, w) of an image, at pixels (B, N, 2) of that image.

    Pixel (0, 0) of the image covers [0, 1); points outside take the nearest border value.
    """
    return sample_normalised(feature_map, to_normalised(points_px, image_size_px))


def sample_normalised(feature_map: Tensor, points: Tensor) -> Tensor:
    """The same at points (B, N, 2) in [-1, 1] image units."""
    sample = F.grid_sample(feature_map, points[:, :, None], padding_mode="border", align_corners=False)
    return sample[..., 0].mT

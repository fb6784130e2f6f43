"""Appearance of a rendered hand against the image, on a mask: PSNR, L1 and SSIM, one value per sample.

Images are (B, 3, H, W) sRGB in [0, 1], masks (B, H, W) bool. A mask of fewer than ``MIN_MASK_PX`` pixels gives NaN.
"""

import math

import torch
from torch import Tensor
from torch.nn import functional

from tasks.metrics.declarations import MIN_MASK_PX

SSIM_WINDOW_PX = 11
SSIM_SIGMA_PX = 1.5


def masked_mean(values: Tensor, mask: Tensor) -> Tensor:
    """Mean of (B, C, H, W) over the mask's pixels and all channels, NaN for a small mask: (B,) float64."""
    pixels = mask.flatten(1).sum(dim=1)
    total = (values.double() * mask[:, None]).flatten(1).sum(dim=1)
    mean = total / (pixels.clamp(min=1) * values.shape[1])
    return torch.where(pixels >= MIN_MASK_PX, mean, torch.nan)


def psnr_db(rendered: Tensor, image: Tensor, mask: Tensor) -> Tensor:
    """10 log10(1 / MSE) over the mask, (B,) float64; infinite for equal pixels."""
    return -10.0 * torch.log10(masked_mean((rendered.double() - image.double()).square(), mask))


def l1(rendered: Tensor, image: Tensor, mask: Tensor) -> Tensor:
    """Mean absolute difference over the mask, (B,) float64."""
    return masked_mean((rendered.double() - image.double()).abs(), mask)


def ssim(rendered: Tensor, image: Tensor, mask: Tensor) -> Tensor:
    """Mean over the mask of the SSIM map, both images black outside the mask and beyond the border: (B,) float64.

    Wang et al. 2004: Gaussian window of 11 px with sigma 1.5, K1 = 0.01, K2 = 0.03, range 1, population moments.
    """
    x, y = rendered.double() * mask[:, None], image.double() * mask[:, None]
    moments = _smooth(torch.cat([x, y, x * x, y * y, x * y], dim=1))
    mean_x, mean_y, mean_xx, mean_yy, mean_xy = moments.chunk(5, dim=1)
    covariance = mean_xy - mean_x * mean_y
    variances = (mean_xx - mean_x.square()) + (mean_yy - mean_y.square())
    c1, c2 = 0.01**2, 0.03**2
    luminance = (2 * mean_x * mean_y + c1) / (mean_x.square() + mean_y.square() + c1)
    return masked_mean(luminance * (2 * covariance + c2) / (variances + c2), mask)


def _smooth(planes: Tensor) -> Tensor:
    """Gaussian filter of planes (B, C, H, W) with zeros beyond the border."""
    half = SSIM_WINDOW_PX // 2
    weights = [math.exp(-0.5 * (offset / SSIM_SIGMA_PX) ** 2) for offset in range(-half, half + 1)]
    padded = functional.pad(planes, (half,) * 4)
    for axis in (2, 3):
        # Weighted sums of shifted slices: on a CPU many times faster than a convolution with one channel per group.
        size = planes.shape[axis]
        shifted = [padded.narrow(axis, start, size) for start in range(SSIM_WINDOW_PX)]
        padded = torch.zeros_like(shifted[0])
        for weight, part in zip(weights, shifted, strict=True):
            padded.add_(part, alpha=weight / sum(weights))
    return padded

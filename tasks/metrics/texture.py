"""Appearance of a rendered hand against the image, on a mask: PSNR, L1 and SSIM, one value per sample.

Images are (B, 3, H, W) sRGB in [0, 1], masks (B, H, W) bool. A mask of fewer than ``MIN_MASK_PX`` pixels gives NaN.
"""

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
    """Mean over the mask of the SSIM map, both images black outside the mask: (B,) float64.

    Wang et al. 2004: Gaussian window of 11 px with sigma 1.5, K1 = 0.01, K2 = 0.03, range 1, population moments.
    """
    x, y = rendered * mask[:, None], image * mask[:, None]
    moments = _smooth(torch.cat([x, y, x * x, y * y, x * y], dim=1).double())
    mean_x, mean_y, mean_xx, mean_yy, mean_xy = moments.chunk(5, dim=1)
    covariance = mean_xy - mean_x * mean_y
    variances = (mean_xx - mean_x.square()) + (mean_yy - mean_y.square())
    c1, c2 = 0.01**2, 0.03**2
    luminance = (2 * mean_x * mean_y + c1) / (mean_x.square() + mean_y.square() + c1)
    return masked_mean(luminance * (2 * covariance + c2) / (variances + c2), mask)


def _smooth(planes: Tensor) -> Tensor:
    """Separable Gaussian filter of each plane; borders reflected."""
    half = SSIM_WINDOW_PX // 2
    offsets = torch.arange(-half, half + 1, dtype=planes.dtype, device=planes.device)
    kernel = torch.exp(-0.5 * (offsets / SSIM_SIGMA_PX).square())
    kernel = kernel / kernel.sum()
    batch, channels, height, width = planes.shape
    flat = functional.pad(planes.reshape(-1, 1, height, width), (half,) * 4, mode="replicate")
    flat = functional.conv2d(flat, kernel.view(1, 1, 1, -1))
    return functional.conv2d(flat, kernel.view(1, 1, -1, 1)).view(batch, channels, height, width)

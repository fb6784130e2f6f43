"""Square crops around a hand: one rule for training and test, exact to the fraction of a pixel.

Pixel (0, 0) covers [0, 1) x [0, 1). A crop need not fall on whole pixels nor lie inside its image; outside is black.
"""

import numpy as np
import torch
from scipy import sparse

from tasks.geometry.cameras import crop_intrinsics, scale_intrinsics

CROP_SIZE_PX = 224
LARGEST_PX = 10_000
MARGIN = 1.5
"""Side of a crop over the longer side of the box: the box goes through joints, which lie inside the hand."""


def joint_boxes(joints_px: np.ndarray) -> np.ndarray:
    """(n, 4) x1, y1, x2, y2 around points (n, 21, 2)."""
    return np.concatenate([joints_px.min(axis=1), joints_px.max(axis=1)], axis=1)


def square_crops(boxes_px: np.ndarray) -> np.ndarray:
    """(n, 3) left, top and side of the crop around each box (n, 4) of x1, y1, x2, y2."""
    side = MARGIN * (boxes_px[:, 2:] - boxes_px[:, :2]).max(axis=1)
    corner = (boxes_px[:, :2] + boxes_px[:, 2:]) / 2 - side[:, None] / 2
    return np.concatenate([corner, side[:, None]], axis=1)


def first_unusable(crops_px: np.ndarray) -> int | None:
    """The first of the crops (n, 3) that no image has: without extent, endless, or not finite."""
    side = crops_px[:, 2]
    bad = ~(np.isfinite(crops_px).all(axis=1) & (side > 1) & (side < LARGEST_PX))
    return int(np.argmax(bad)) if bad.any() else None


def intrinsics_of_crops(
    intrinsics_px: np.ndarray, crops_px: np.ndarray, size_px: int = CROP_SIZE_PX
) -> np.ndarray:
    """(n, 3, 3) float64 intrinsics of the crops (n, 3), resized to ``size_px``, of whole-image ones (n, 3, 3)."""
    left, top, side = torch.from_numpy(np.asarray(crops_px, np.float64)).unbind(dim=1)
    k = crop_intrinsics(torch.from_numpy(np.asarray(intrinsics_px, np.float64)), left, top)
    scale = size_px / side
    return scale_intrinsics(k, scale, scale).numpy()


def crop_image(image: np.ndarray, crop_px: np.ndarray, size_px: int = CROP_SIZE_PX) -> np.ndarray:
    """(S, S, 3) uint8 of an image (H, W, 3): area average when shrinking, bilinear when growing."""
    return np.round(_resample(image, crop_px, size_px)).astype(np.uint8)


def crop_mask(mask: np.ndarray, crop_px: np.ndarray) -> np.ndarray:
    """(224, 224) bool: pixels of which more than half is covered by the mask (H, W)."""
    return _resample(mask[..., None], crop_px, CROP_SIZE_PX)[..., 0] > 0.5


def _resample(pixels: np.ndarray, crop_px: np.ndarray, size_px: int) -> np.ndarray:
    """(S, S, C) float64 of (H, W, C), one axis after the other."""
    left, top, side = crop_px
    height, width, channels = pixels.shape
    columns, columns_at = _weights(left, side, width, size_px)
    rows, rows_at = _weights(top, side, height, size_px)
    part = pixels[rows_at, columns_at].astype(np.float64)
    old_height, old_width = part.shape[:2]  # zero for a crop beside the image
    half = (rows @ part.reshape(old_height, old_width * channels)).reshape(size_px, old_width, channels)
    whole = columns @ half.swapaxes(0, 1).reshape(old_width, size_px * channels)
    return whole.reshape(size_px, size_px, channels).swapaxes(0, 1)


def _weights(start: float, side: float, n_pixels: int, size_px: int) -> tuple[sparse.csr_matrix, slice]:
    """(S, m) weights of the m old pixels that the crop touches along one axis, and which these are."""
    step = side / size_px
    first = int(np.clip(np.floor(start - 1), 0, n_pixels))
    last = int(np.clip(np.ceil(start + side + 1), first, n_pixels))
    old = np.arange(first, last)
    begin = start + step * np.arange(size_px)[:, None]
    if step >= 1:
        weights = np.clip(np.minimum(begin + step, old + 1) - np.maximum(begin, old), 0, None) / step
    else:
        weights = np.clip(1 - np.abs(begin + step / 2 - (old + 0.5)), 0, None)
    return sparse.csr_matrix(weights), slice(first, last)

"""Cameras of a crop in normalised units: x right, y down, both from -1 to 1 over the image.

A weak-perspective camera is (s, tx, ty): u = s (x + tx), v = s (y + ty), with x, y in metres relative to the wrist.
Projected variances teach the variances in space, never the camera: it would move the hand closer to excuse an error.
Where the crop's intrinsics are known it says where the wrist is in space (``tasks.geometry.cameras``).
"""

import math

import torch
from torch import Tensor

from methods.layers.gaussian import Gaussian

TYPICAL_SCALE = 6.0
"""2 f / (S z) of a hand at 0.7 m that fills half of a 224 px crop taken with f = 470 px."""


def to_normalised(points_px: Tensor, image_size_px: int) -> Tensor:
    """Pixels (pixel (0, 0) covers [0, 1)) -> [-1, 1]."""
    return points_px * (2.0 / image_size_px) - 1.0


def normalised_intrinsics(intrinsics_px: Tensor, image_size_px: int) -> tuple[Tensor, Tensor]:
    """Focal lengths (B, 2) and principal point (B, 2) in normalised units."""
    focal = intrinsics_px[:, (0, 1), (0, 1)] * (2.0 / image_size_px)
    return focal, to_normalised(intrinsics_px[:, :2, 2], image_size_px)


def decode_camera(raw: Tensor) -> Tensor:
    """Head output (B, 3), near zero at the start, -> (s > 0, tx, ty); scale as a factor, shift in decimetres."""
    scale = TYPICAL_SCALE * (1 + raw[:, :1]).abs().clamp_min(0.05)
    return torch.cat([scale, 0.1 * raw[:, 1:]], 1)


def project_weak_perspective(points: Gaussian, camera: Tensor) -> Gaussian:
    """Wrist-relative points (B, N, 3) -> normalised (B, N, 2), with the exact linear rule for the variance."""
    scale, shift = camera[:, None, :1], camera[:, None, 1:]
    mean = scale * (points.mean[..., :2] + shift)
    if points.log_var is None:
        return Gaussian(mean)
    return Gaussian(mean, 2 * scale.detach().log() + points.log_var[..., :2])


def project_pinhole(points_cam: Gaussian, focal: Tensor, centre: Tensor) -> Gaussian:
    """Camera-frame points (B, N, 3) -> normalised (B, N, 2).

    Variance by the delta method for a ratio: var(f x / z) = f^2 (var_x + (x/z)^2 var_z) / z^2, covariance ignored.
    """
    xy, z = points_cam.mean[..., :2], points_cam.mean[..., 2:].clamp_min(0.05)
    ratio = xy / z
    mean = focal[:, None] * ratio + centre[:, None]
    if points_cam.log_var is None:
        return Gaussian(mean)
    var = points_cam.log_var.exp()
    spread = (var[..., :2] + ratio.detach().square() * var[..., 2:]) / z.detach().square()
    return Gaussian(mean, spread.log() + 2 * focal[:, None].detach().log())


def released_log_var(projected: Gaussian, image_size_px: int) -> Gaussian:
    """The released weak mode's slip: a log-variance in pixels divided by 224 instead of shifted by 2 log 224."""
    assert projected.log_var is not None
    in_pixels = projected.log_var + 2 * math.log(image_size_px / 2)
    return Gaussian(projected.mean, in_pixels / image_size_px)

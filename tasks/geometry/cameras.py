"""Cameras: pinhole and weak-perspective projection, and what cropping, resizing and flipping axes do to them.

Points are in metres in the OpenCV camera frame (x right, y down, z forward) unless a name says otherwise. Pixel
``(0, 0)`` covers ``[0, 1) x [0, 1)``, so pixel centres are at integer + 0.5 and resizing an image by ``s`` multiplies
every intrinsic in pixels by ``s``, without a half-pixel shift. All functions are differentiable.

A weak-perspective camera is ``(s, t_x, t_y)`` as AMVUR, HMR and most parametric regressors use it: a root-relative
point (x, y, z) in metres lands at ``s (x + t_x), s (y + t_y)`` in image units that run from -1 to 1.
"""

from __future__ import annotations

import torch
from torch import Tensor


def project(points_cam_m: Tensor, intrinsics_px: Tensor) -> Tensor:
    """Pixels ``(..., N, 2)`` of points ``(..., N, 3)`` through a pinhole with intrinsics ``(..., 3, 3)`` or ``(3, 3)``.

    The last row of the intrinsics is taken to be (0, 0, 1). Depth zero gives infinities or NaN, never an exception.
    """
    x, y, z = points_cam_m.unbind(-1)
    k = intrinsics_px.unsqueeze(-3)
    u = (k[..., 0, 0] * x + k[..., 0, 1] * y) / z + k[..., 0, 2]
    v = k[..., 1, 1] * y / z + k[..., 1, 2]
    return torch.stack([u, v], dim=-1)


def unproject(points_px: Tensor, depth_m: Tensor, intrinsics_px: Tensor) -> Tensor:
    """The ``(..., N, 3)`` points in metres that ``project`` sends to ``(..., N, 2)`` at depth ``(..., N)``."""
    k = intrinsics_px.unsqueeze(-3)
    y = (points_px[..., 1] - k[..., 1, 2]) * depth_m / k[..., 1, 1]
    x = ((points_px[..., 0] - k[..., 0, 2]) * depth_m - k[..., 0, 1] * y) / k[..., 0, 0]
    return torch.stack([x, y, depth_m], dim=-1)


def crop_intrinsics(intrinsics_px: Tensor, left_px: Tensor | float, top_px: Tensor | float) -> Tensor:
    """Intrinsics ``(..., 3, 3)`` of the image whose pixel (0, 0) is pixel (left, top) of the old one.

    Negative corners stand for padding. ``left_px`` and ``top_px`` are numbers or tensors of the batch shape.
    """
    corner = torch.zeros_like(intrinsics_px)
    corner[..., 0, 2] = left_px
    corner[..., 1, 2] = top_px
    return intrinsics_px - corner


def scale_intrinsics(intrinsics_px: Tensor, scale_x: Tensor | float, scale_y: Tensor | float) -> Tensor:
    """Intrinsics ``(..., 3, 3)`` of the resized image: new size = old size x scale, along each axis."""
    factor = torch.ones_like(intrinsics_px)
    factor[..., 0, :] = torch.as_tensor(scale_x, dtype=factor.dtype, device=factor.device).unsqueeze(-1)
    factor[..., 1, :] = torch.as_tensor(scale_y, dtype=factor.dtype, device=factor.device).unsqueeze(-1)
    return intrinsics_px * factor


def flip_opengl_opencv(points: Tensor) -> Tensor:
    """``(..., 3)`` points from OpenGL axes (x right, y up, z backward) to OpenCV axes, or back: diag(1, -1, -1)."""
    return points * points.new_tensor([1.0, -1.0, -1.0])


def project_weak(points_m: Tensor, weak: Tensor, size_px: float) -> Tensor:
    """``(..., N, 3)`` root-relative points by ``(..., 3)`` weak cameras to ``(..., N, 2)`` pixels of a square image."""
    unit = weak[..., None, :1] * (points_m[..., :2] + weak[..., None, 1:])
    return (unit + 1) * (size_px / 2)


def weak_to_translation(weak: Tensor, intrinsics_px: Tensor, size_px: float) -> Tensor:
    """Translation ``(..., 3)`` in metres that puts root-relative points where the weak camera sees them.

    Depth is ``f / (s * size / 2)`` with the mean focal length, as in the AMVUR renderer; the two projections agree
    exactly for points at the depth of the root (and f_x = f_y) and to first order around it.
    """
    scale, shift = weak[..., :1], weak[..., 1:]
    depth_m = _mean_focal(intrinsics_px) / (scale * (size_px / 2))
    focal, centre = _focal_and_centre(intrinsics_px)
    shift_m = shift + (size_px / 2 - centre) * depth_m / focal
    return torch.cat([shift_m, depth_m], dim=-1)


def translation_to_weak(translation_m: Tensor, intrinsics_px: Tensor, size_px: float) -> Tensor:
    """The weak camera ``(..., 3)`` of a translation in metres: the inverse of ``weak_to_translation``."""
    depth_m = translation_m[..., 2:]
    scale = _mean_focal(intrinsics_px) / (depth_m * (size_px / 2))
    focal, centre = _focal_and_centre(intrinsics_px)
    shift = translation_m[..., :2] - (size_px / 2 - centre) * depth_m / focal
    return torch.cat([scale, shift], dim=-1)


def _focal_and_centre(intrinsics_px: Tensor) -> tuple[Tensor, Tensor]:
    focal = torch.stack([intrinsics_px[..., 0, 0], intrinsics_px[..., 1, 1]], dim=-1)
    return focal, intrinsics_px[..., :2, 2]


def _mean_focal(intrinsics_px: Tensor) -> Tensor:
    return (intrinsics_px[..., 0, 0] + intrinsics_px[..., 1, 1]).unsqueeze(-1) / 2

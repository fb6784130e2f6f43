"""What training-time augmentation does to images and cameras, whatever their labels: moves in the plane, colours.

Draws come from a CPU ``generator`` only, so they do not depend on the device.
"""

from __future__ import annotations

import math
from typing import NamedTuple, Protocol

import torch
from torch import Tensor
from torch.nn import functional


class Ranges(Protocol):
    """How far each change goes; every draw is uniform in +- the value, 0 switches it off."""

    @property
    def rotation_deg(self) -> float: ...

    @property
    def scale(self) -> float: ...

    @property
    def translation(self) -> float: ...

    @property
    def colour(self) -> float: ...


class Move(NamedTuple):
    """An image that moves by ``p' = A p``, s R (p - c) + c + t about its centre, and what follows for its camera.

    A K = K' Q splits the new camera into upper-triangular intrinsics and a rotation Q of the scene (points and global
    rotation) about the optical axis, so that the new points projected by the new intrinsics are the new pixels exactly.
    Q is R where fx equals fy; otherwise it differs slightly and K' has a small skew.
    """

    linear: Tensor
    """(B, 2, 2) s R."""
    shift: Tensor
    """(B, 2) t as a share of the side."""
    affine: Tensor
    """(B, 3, 3) A, in pixels."""
    angle: Tensor
    """(B,) of Q, radians."""
    rotation: Tensor
    """(B, 3, 3) Q."""
    intrinsics_px: Tensor
    """(B, 3, 3) K'."""

    @classmethod
    def draw(cls, intrinsics_px: Tensor, side: int, ranges: Ranges, generator: torch.Generator) -> Move:
        """A move for each camera (B, 3, 3) of square images with this side in pixels."""
        count, device = len(intrinsics_px), intrinsics_px.device
        draws = uniform((count, 4), generator).to(device)
        turn = rotation_z(math.radians(ranges.rotation_deg) * draws[:, 0])[:, :2, :2]
        linear = (1 + ranges.scale * draws[:, 1])[:, None, None] * turn
        shift = ranges.translation * draws[:, 2:]
        affine = torch.eye(3, device=device).repeat(count, 1, 1)
        affine[:, :2, :2] = linear
        affine[:, :2, 2] = (0.5 + shift) * side - linear.sum(dim=2) * (side / 2)
        moved = affine @ intrinsics_px
        angle = torch.atan2(moved[:, 1, 0], moved[:, 1, 1])
        rotation = rotation_z(angle)
        return cls(linear, shift, affine, angle, rotation, (moved @ rotation.mT).triu())

    def warp(self, planes: Tensor) -> Tensor:
        """Planes (B, C, S, S) moved; black comes in from outside."""
        inverse = torch.linalg.inv(self.linear)
        theta = torch.cat([inverse, -2 * inverse @ self.shift[:, :, None]], dim=2)
        grid = functional.affine_grid(theta, list(planes.shape), align_corners=False)
        return functional.grid_sample(
            planes, grid, mode="bilinear", padding_mode="zeros", align_corners=False
        )


def moves(ranges: Ranges) -> bool:
    """Whether any of the ranges moves an image."""
    return bool(ranges.rotation_deg or ranges.scale or ranges.translation)


def rotation_z(angle: Tensor) -> Tensor:
    """(B,) radians -> (B, 3, 3) rotations about the optical axis, x towards y."""
    cos, sin, zero, one = angle.cos(), angle.sin(), torch.zeros_like(angle), torch.ones_like(angle)
    rows = [cos, -sin, zero, sin, cos, zero, zero, zero, one]
    return torch.stack(rows, dim=1).view(-1, 3, 3)


def recoloured(image: Tensor, amount: float, generator: torch.Generator) -> Tensor:
    """Contrast about each channel's mean, and brightness of that mean, each scaled by 1 +- amount."""
    contrast, brightness = 1 + amount * uniform((2, len(image), 3, 1, 1), generator).to(image.device)
    mean = image.mean(dim=(2, 3), keepdim=True)
    return ((image - mean) * contrast + mean * brightness).clamp(0, 1)


def uniform(shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    """Draws in [-1, 1]."""
    return 2 * torch.rand(shape, generator=generator) - 1

"""Training-time augmentation that keeps image, 2D and 3D labels and intrinsics consistent."""

import math
from dataclasses import replace
from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional

from tasks.single_hand.batch import HandBatch


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


def augment(batch: HandBatch, ranges: Ranges, generator: torch.Generator) -> HandBatch:
    """The batch under random in-plane rotation, scale, translation (shares of the side) and colour.

    The image moves by ``p' = A p``, which is s R (p - c) + c + t about its centre. A K = K' Q splits the new camera
    into upper-triangular intrinsics and a rotation Q of the scene (points and global rotation) about the optical axis,
    so that the new points projected by the new intrinsics are the new pixels exactly. Q is R where fx equals fy;
    otherwise it differs slightly and K' has a small skew. Draws come from the CPU ``generator`` only, so they do not
    depend on the device.
    """
    if ranges.rotation_deg or ranges.scale or ranges.translation:
        batch = _move(batch, ranges, generator)
    if ranges.colour:
        batch = replace(batch, image=_recolour(batch.image, ranges.colour, generator))
    return batch


def _move(batch: HandBatch, ranges: Ranges, generator: torch.Generator) -> HandBatch:
    device, side = batch.image.device, batch.image.shape[-1]
    draws = _uniform((len(batch), 4), generator).to(device)
    turn = rotation_z(math.radians(ranges.rotation_deg) * draws[:, 0])[:, :2, :2]
    linear = (1 + ranges.scale * draws[:, 1])[:, None, None] * turn
    shift = ranges.translation * draws[:, 2:]
    planes = torch.cat([batch.image, batch.hand_mask[:, None].to(batch.image.dtype)], dim=1)
    planes = _warp(planes, linear, shift)

    affine = torch.eye(3, device=device).repeat(len(batch), 1, 1)
    affine[:, :2, :2] = linear
    affine[:, :2, 2] = (0.5 + shift) * side - linear.sum(dim=2) * (side / 2)
    intrinsics_px = affine @ batch.intrinsics_px
    angle = torch.atan2(intrinsics_px[:, 1, 0], intrinsics_px[:, 1, 1])
    rotation = rotation_z(angle)
    return replace(
        batch,
        image=planes[:, :3],
        hand_mask=planes[:, 3] > 0.5,
        intrinsics_px=(intrinsics_px @ rotation.mT).triu(),
        joints_px=batch.joints_px @ linear.mT + affine[:, None, :2, 2],
        joints_cam_m=batch.joints_cam_m @ rotation.mT,
        verts_cam_m=batch.verts_cam_m @ rotation.mT,
        pose_aa=torch.cat([turned_about_z(batch.pose_aa[:, :3], angle), batch.pose_aa[:, 3:]], dim=1),
    )


def _warp(planes: Tensor, linear: Tensor, shift: Tensor) -> Tensor:
    """Planes (B, C, S, S) under n' = linear n + 2 shift in coordinates from -1 to 1; black comes in from outside."""
    inverse = torch.linalg.inv(linear)
    theta = torch.cat([inverse, -2 * inverse @ shift[:, :, None]], dim=2)
    grid = functional.affine_grid(theta, list(planes.shape), align_corners=False)
    return functional.grid_sample(planes, grid, mode="bilinear", padding_mode="zeros", align_corners=False)


def rotation_z(angle: Tensor) -> Tensor:
    """(B,) radians -> (B, 3, 3) rotations about the optical axis, x towards y."""
    cos, sin, zero, one = angle.cos(), angle.sin(), torch.zeros_like(angle), torch.ones_like(angle)
    rows = [cos, -sin, zero, sin, cos, zero, zero, zero, one]
    return torch.stack(rows, dim=1).view(-1, 3, 3)


def turned_about_z(rotation_aa: Tensor, angle: Tensor) -> Tensor:
    """Axis-angle (B, 3) of R_z(angle) R(rotation_aa), of length at most pi, by the product of unit quaternions."""
    theta = rotation_aa.norm(dim=1)
    w, x, y, z = (
        torch.cos(theta / 2),
        *(rotation_aa * (0.5 * torch.sinc(theta / math.tau))[:, None]).unbind(1),
    )
    cos, sin = torch.cos(angle / 2), torch.sin(angle / 2)
    real = cos * w - sin * z
    vector = torch.stack([cos * x - sin * y, cos * y + sin * x, cos * z + sin * w], dim=1)
    sign = torch.where(real < 0, -1.0, 1.0)
    norm = vector.norm(dim=1)
    full = 2 * torch.atan2(norm, real.abs())
    factor = torch.where(norm > 1e-8, full / norm.clamp(min=1e-8), 2.0)
    return vector * (sign * factor)[:, None]


def _recolour(image: Tensor, amount: float, generator: torch.Generator) -> Tensor:
    """Contrast about each channel's mean, and brightness of that mean, each scaled by 1 +- amount."""
    contrast, brightness = 1 + amount * _uniform((2, len(image), 3, 1, 1), generator).to(image.device)
    mean = image.mean(dim=(2, 3), keepdim=True)
    return ((image - mean) * contrast + mean * brightness).clamp(0, 1)


def _uniform(shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    return 2 * torch.rand(shape, generator=generator) - 1

"""Training-time augmentation that keeps image, 2D and 3D labels and intrinsics consistent."""

import math
from dataclasses import replace

import torch
from torch import Tensor

from tasks.augmentation import Move, Ranges, moves, recoloured
from tasks.single_hand.batch import HandBatch


def augment(batch: HandBatch, ranges: Ranges, generator: torch.Generator) -> HandBatch:
    """The batch under random in-plane rotation, scale, translation (shares of the side) and colour."""
    if moves(ranges):
        batch = _moved(batch, ranges, generator)
    if ranges.colour:
        batch = replace(batch, image=recoloured(batch.image, ranges.colour, generator))
    return batch


def _moved(batch: HandBatch, ranges: Ranges, generator: torch.Generator) -> HandBatch:
    move = Move.draw(batch.intrinsics_px, batch.image.shape[-1], ranges, generator)
    planes = torch.cat([batch.image, batch.hand_mask[:, None].to(batch.image.dtype)], dim=1)
    planes = move.warp(planes)
    turned = turned_about_z(batch.pose_aa[:, :3], move.angle)
    return replace(
        batch,
        image=planes[:, :3],
        hand_mask=planes[:, 3] > 0.5,
        intrinsics_px=move.intrinsics_px,
        joints_px=batch.joints_px @ move.linear.mT + move.affine[:, None, :2, 2],
        joints_cam_m=batch.joints_cam_m @ move.rotation.mT,
        verts_cam_m=batch.verts_cam_m @ move.rotation.mT,
        pose_aa=torch.cat([turned, batch.pose_aa[:, 3:]], dim=1),
    )


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

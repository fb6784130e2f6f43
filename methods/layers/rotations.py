"""Rotations: the forms networks regress, and the angles joint limits speak of."""

import torch
from torch import Tensor
from torch.nn import functional as F


def axis_angle_to_matrix(axis_angle: Tensor) -> Tensor:
    """Rodrigues' formula, (..., 3) radians -> (..., 3, 3); exact and differentiable at zero."""
    squared = axis_angle.square().sum(-1)[..., None, None]
    small = squared < 1e-8
    safe = torch.where(small, torch.ones_like(squared), squared)
    angle = safe.sqrt()
    sine = torch.where(small, 1 - squared / 6, angle.sin() / angle)
    versine = torch.where(small, 0.5 - squared / 24, (1 - angle.cos()) / safe)
    cross = cross_matrix(axis_angle)
    identity = torch.eye(3, dtype=axis_angle.dtype, device=axis_angle.device)
    return identity + sine * cross + versine * (cross @ cross)


def cross_matrix(vector: Tensor) -> Tensor:
    """(..., 3) -> (..., 3, 3), the matrix of v x."""
    x, y, z = vector.unbind(-1)
    zero = torch.zeros_like(x)
    return torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], -1).unflatten(-1, (3, 3))


def six_d_to_matrix(six_d: Tensor) -> Tensor:
    """Gram-Schmidt on two columns (Zhou et al., CVPR 2019), (..., 6) -> (..., 3, 3); unlike angles, continuous."""
    first = F.normalize(six_d[..., :3], dim=-1)
    second = six_d[..., 3:] - (first * six_d[..., 3:]).sum(-1, keepdim=True) * first
    second = F.normalize(second, dim=-1)
    return torch.stack([first, second, torch.linalg.cross(first, second)], -1)


def matrix_to_angles(rotation: Tensor) -> Tensor:
    """Angles (..., 3) about x, y, z with R = Rz Ry Rx: along a finger that points along x these are its twist, swing
    and bend, the bend outermost."""
    x = torch.atan2(rotation[..., 2, 1], rotation[..., 2, 2])
    y = torch.asin(rotation[..., 2, 0].neg().clamp(-1 + 1e-6, 1 - 1e-6))
    z = torch.atan2(rotation[..., 1, 0], rotation[..., 0, 0])
    return torch.stack([x, y, z], -1)

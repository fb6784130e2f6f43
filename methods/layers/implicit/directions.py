"""Directions that stay finite, with finite gradients, where there is none: predicted joints may coincide."""

import torch
from torch import Tensor
from torch.nn import functional as F

PLANE_FLOOR = 1e-3
"""Sine of the angle under which two directions span no plane."""


def unit_or(vector: Tensor, fallback: Tensor, floor: float | Tensor) -> Tensor:
    """Vectors (..., 3) at length 1; ``fallback``, with no gradient to the vector, where they are not over ``floor``."""
    squared = vector.square().sum(-1, keepdim=True)
    usable = squared > floor**2
    inverse = torch.where(usable, squared, torch.ones_like(squared)).rsqrt()
    return torch.where(usable, vector * inverse, fallback)


def unit_cross(direction: Tensor, axis: Tensor) -> Tensor:
    """The unit vector along direction x axis, both (..., 3) unit; some square to the axis where they are parallel."""
    shortest = F.one_hot(axis.detach().abs().argmin(-1), 3).to(axis)
    square = torch.linalg.cross(shortest, axis)
    square = square / square.square().sum(-1, keepdim=True).sqrt()
    return unit_or(torch.linalg.cross(direction, axis), square, PLANE_FLOOR)


def frame(first: Tensor, last: Tensor) -> Tensor:
    """Rotations (..., 3, 3) whose columns are the first and last axis, orthonormal (..., 3), and between them the one
    that makes them right-handed."""
    return torch.stack([first, torch.linalg.cross(last, first), last], -1)

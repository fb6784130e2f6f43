"""Points at which occupancy is asked for: uniform in a cube, near a surface, and the training mixture with its labels.

HALO's and Im2Hands' mixture is half and half: the cube has 0.55 units of 0.4 m to each side, the noise a sigma of 0.01,
which is 4 mm (korrawe/halo: halo_base/scripts/sample_mesh.py). They store 100,000 points per mesh in float16, jitter
them when they are loaded and keep the labels of before; here points are new at every draw, and labels are theirs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from tasks.geometry.inside import winding_number
from tasks.geometry.surface import Seed, sample_surface


class Labelled(NamedTuple):
    """Points and whether each is inside its mesh."""

    points: Tensor
    """(..., N, 3)."""
    inside: Tensor
    """(..., N) bool."""


def uniform_points(count: int, half_side: float, seed: Seed) -> Tensor:
    """(count, 3) float64, uniform in the cube of this half side about the origin."""
    return torch.from_numpy(np.random.default_rng(seed).uniform(-half_side, half_side, (count, 3)))


def near_points(surface: np.ndarray, sigma: float, seed: Seed) -> Tensor:
    """Points (N, 3) of a surface with Gaussian noise of ``sigma`` per axis, float64."""
    return torch.from_numpy(surface + np.random.default_rng(seed).normal(0.0, sigma, surface.shape))


def mixed_points(
    verts: Tensor,
    faces: Tensor,
    count: int,
    half_side: float,
    sigma: float,
    uniform_share: float,
    rng: np.random.Generator,
) -> Tensor:
    """(..., count, 3) points for meshes (..., V, 3) that share faces (F, 3): first the uniform ones, then those near.

    ``int(uniform_share * count)`` are uniform in the cube about the origin. Those near a mesh without area or with a
    vertex that is not finite are NaN. In the dtype and on the device of ``verts``; equal generators give equal points.
    """
    n_uniform, triangles = int(uniform_share * count), faces.cpu().numpy()
    drawn = []
    for mesh in _each(verts):
        uniform = uniform_points(n_uniform, half_side, rng)
        surface = sample_surface(mesh.numpy(), triangles, count - n_uniform, rng).points
        drawn.append(torch.cat([uniform, near_points(surface, sigma, rng)]))
    return _stacked(drawn, verts, (count, 3)).to(verts)


def labelled_points(
    verts: Tensor,
    faces: Tensor,
    count: int,
    half_side: float,
    sigma: float,
    uniform_share: float,
    rng: np.random.Generator,
) -> Labelled:
    """``mixed_points`` of closed meshes that wind outwards, and whether each as returned is inside its mesh.

    Folds of a mesh over itself are inside it.
    """
    points = mixed_points(verts, faces, count, half_side, sigma, uniform_share, rng)
    inside = [
        winding_number(own, mesh, faces) > 0 for own, mesh in zip(_each(points), _each(verts), strict=True)
    ]
    return Labelled(points, _stacked(inside, verts, (count,)).to(verts.device))


def _each(points: Tensor) -> Sequence[Tensor]:
    """(..., N, 3) -> (N, 3) float64 on the CPU, one after the other."""
    return points.detach().double().cpu().reshape(-1, *points.shape[-2:]).unbind()


def _stacked(values: list[Tensor], verts: Tensor, shape: tuple[int, ...]) -> Tensor:
    stacked = torch.stack(values) if values else torch.empty(0)
    return stacked.reshape(*verts.shape[:-2], *shape)

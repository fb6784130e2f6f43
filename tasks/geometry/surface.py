"""Surfaces as clouds of points: seeded samples with normals, nearest neighbours between clouds, a closed wrist.

Everything here is float64 numpy, on one thread. A mesh without area gives a cloud of NaN, and whatever is measured on
it is NaN.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numba import njit

from tasks.geometry import tree

Seed = int | Sequence[int] | np.random.Generator
"""A generator is drawn from; anything else begins one."""


class Cloud(NamedTuple):
    """Points on a surface, in the mesh's unit and frame, and the unit normals of the faces that they lie on."""

    points: np.ndarray
    """(N, 3) float64."""
    normals: np.ndarray
    """(N, 3) float64."""


def sample_surface(verts: np.ndarray, faces: np.ndarray, count: int, seed: Seed) -> Cloud:
    """``count`` points, uniform by area, of a mesh (V, 3), (F, 3); equal seeds give equal points.

    A mesh without faces, without area or with a vertex that is not finite gives NaN. Draws what trimesh's
    ``sample_surface`` draws, in a third of the time.
    """
    triangles = np.asarray(verts, np.float64)[faces]
    area = _areas(triangles).cumsum()
    if not len(area) or not 0 < area[-1] < np.inf:
        return Cloud(*np.full((2, count, 3), np.nan))
    rng = np.random.default_rng(seed)
    face = np.searchsorted(area, rng.random(count) * area[-1])
    return Cloud(*_placed(triangles, face, rng.random((count, 2))))


@njit(nogil=True, cache=True)
def _areas(triangles: np.ndarray) -> np.ndarray:
    areas = np.empty(len(triangles))
    for f in range(len(triangles)):
        x, y, z = _normal(triangles[f])
        areas[f] = 0.5 * np.sqrt(x * x + y * y + z * z)
    return areas


@njit(nogil=True, cache=True)
def _placed(triangles: np.ndarray, face: np.ndarray, shares: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Points of faces (N,) and their unit normals: two shares (N, 2) of a parallelogram, its far half folded back."""
    points, normals = np.empty((len(face), 3)), np.empty((len(face), 3))
    for i in range(len(face)):
        corners, s, t = triangles[face[i]], shares[i, 0], shares[i, 1]
        if s + t > 1:
            s, t = abs(s - 1), abs(t - 1)
        x, y, z = _normal(corners)
        length = np.sqrt(x * x + y * y + z * z)
        normals[i] = x / length, y / length, z / length
        for a in range(3):
            points[i, a] = (
                (corners[1, a] - corners[0, a]) * s + (corners[2, a] - corners[0, a]) * t + corners[0, a]
            )
    return points, normals


@njit(nogil=True, cache=True)
def _normal(corners: np.ndarray) -> tuple[float, float, float]:
    """Twice the triangle's area long."""
    a_x, b_x = corners[1, 0] - corners[0, 0], corners[2, 0] - corners[0, 0]
    a_y, b_y = corners[1, 1] - corners[0, 1], corners[2, 1] - corners[0, 1]
    a_z, b_z = corners[1, 2] - corners[0, 2], corners[2, 2] - corners[0, 2]
    return a_y * b_z - a_z * b_y, a_z * b_x - a_x * b_z, a_x * b_y - a_y * b_x


class Neighbours(NamedTuple):
    """From each point of one cloud (N, 3) its nearest one of another: distance and position."""

    distance: np.ndarray
    """(N,) float64, NaN where either cloud is empty or not finite."""
    place: np.ndarray
    """(N,) int64, -1 there."""


def nearest(source: np.ndarray, target: np.ndarray) -> Neighbours:
    """The nearest point of ``target`` (M, 3) to each of ``source`` (N, 3), exact in float64."""
    if not _measurable(source, target):
        return _unknown(source)
    return Neighbours(*tree.nearest(tree.build(source), tree.build(target)))


def nearest_both_ways(first: np.ndarray, second: np.ndarray) -> tuple[Neighbours, Neighbours]:
    """The nearest point of (M, 3) to each of (N, 3), and the reverse."""
    if not _measurable(first, second):
        return _unknown(first), _unknown(second)
    one, other = tree.build(first), tree.build(second)
    return Neighbours(*tree.nearest(one, other)), Neighbours(*tree.nearest(other, one))


def _measurable(*clouds: np.ndarray) -> bool:
    """Whether there are points, finite, whose squares are finite too."""
    return all(len(cloud) and np.abs(cloud).max() < 1e150 for cloud in clouds)


def _unknown(cloud: np.ndarray) -> Neighbours:
    return Neighbours(np.full(len(cloud), np.nan), np.full(len(cloud), -1))


def seal(verts: np.ndarray, faces: np.ndarray, loop: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A hand (..., V, 3), (F, 3) with its wrist closed by a fan to the border's centroid: one vertex more.

    ``loop`` is the border in the order of ``tasks.hands.skeleton.WRIST_LOOP`` (a model's ``wrist_loop``), so that the
    fan winds outwards as the rest does.
    """
    centre = verts[..., loop, :].mean(axis=-2, keepdims=True)
    fan = np.stack([np.roll(loop, -1), loop, np.full(len(loop), verts.shape[-2])], axis=1)
    return np.concatenate([verts, centre], axis=-2), np.concatenate([faces, fan])

"""Surfaces as clouds of points: seeded samples with normals, nearest neighbours between clouds, a closed wrist.

Everything here is float64 numpy. A mesh without area gives a cloud of NaN, and whatever is measured on it is NaN.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import trimesh
from scipy.spatial import cKDTree

from tasks.threads import cores


class Cloud(NamedTuple):
    """Points on a surface, in the mesh's unit and frame, and the unit normals of the faces that they lie on."""

    points: np.ndarray
    """(N, 3) float64."""
    normals: np.ndarray
    """(N, 3) float64."""


def sample_surface(verts: np.ndarray, faces: np.ndarray, count: int, seed: int | Sequence[int]) -> Cloud:
    """``count`` points, uniform by area, of a mesh (V, 3), (F, 3); equal seeds give equal points.

    A mesh without faces, without area or with a vertex that is not finite gives NaN.
    """
    mesh = trimesh.Trimesh(np.asarray(verts, np.float64), faces, process=False)
    if not len(mesh.faces) or not 0 < mesh.area < np.inf:
        return Cloud(*np.full((2, count, 3), np.nan))
    points, face = trimesh.sample.sample_surface(mesh, count, seed=seed)
    # Of the faces that were hit alone: trimesh leaves out normals of faces that have no area.
    normals = np.cross(*(mesh.triangles[face, k] - mesh.triangles[face, 0] for k in (1, 2)))
    return Cloud(np.asarray(points), normals / np.linalg.norm(normals, axis=1, keepdims=True))


class Neighbours(NamedTuple):
    """From each point of one cloud (N, 3) its nearest one of another: distance and position."""

    distance: np.ndarray
    """(N,) float64, NaN where either cloud is empty or not finite."""
    place: np.ndarray
    """(N,) int64, -1 there."""


def nearest(source: np.ndarray, target: np.ndarray) -> Neighbours:
    """The nearest point of ``target`` (M, 3) to each of ``source`` (N, 3), exact in float64, on all cores."""
    source, target = np.asarray(source, np.float64), np.asarray(target, np.float64)
    if not len(target) or not (np.isfinite(source).all() and np.isfinite(target).all()):
        return Neighbours(np.full(len(source), np.nan), np.full(len(source), -1))
    tree = cKDTree(target, balanced_tree=False)
    return Neighbours(*tree.query(source, workers=cores()))


def seal(verts: np.ndarray, faces: np.ndarray, loop: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A hand (..., V, 3), (F, 3) with its wrist closed by a fan to the border's centroid: one vertex more.

    ``loop`` is the border in the order of ``tasks.hands.skeleton.WRIST_LOOP`` (a model's ``wrist_loop``), so that the
    fan winds outwards as the rest does.
    """
    centre = verts[..., loop, :].mean(axis=-2, keepdims=True)
    fan = np.stack([np.roll(loop, -1), loop, np.full(len(loop), verts.shape[-2])], axis=1)
    return np.concatenate([verts, centre], axis=-2), np.concatenate([faces, fan])

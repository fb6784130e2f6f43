"""A closed mesh as balls inside it: maximal ones that touch its surface, chosen so that few of them cover all of it."""

from typing import NamedTuple

import numpy as np
from scipy.spatial import cKDTree
from scipy.spatial.distance import cdist

from tasks.metrics.penetration import distance_to_surface

LARGEST_M = 0.04
"""Radius that every ball begins with."""
_ROUNDS = 40
_TOUCHES_M = 1e-5


class Balls(NamedTuple):
    """Balls in the mesh's frame, metres."""

    centres_m: np.ndarray
    """(n, 3)."""
    radii_m: np.ndarray
    """(n,)."""


class _Skin(NamedTuple):
    """Points spread over a surface."""

    points_m: np.ndarray
    normals: np.ndarray
    areas_m2: np.ndarray


def covering_balls(verts_m: np.ndarray, faces: np.ndarray, count: int, within_m: float) -> Balls:
    """``count`` balls inside a closed mesh (V, 3), (F, 3) that winds outwards, most of its area near one of them.

    Greedy: each next ball is the maximal inscribed one with the most area within ``within_m`` of it that no ball
    before has. The same mesh gives the same balls.
    """
    verts_m = np.asarray(verts_m, np.float64)
    skin = _skin(verts_m, faces)
    centres = _medial(skin)
    balls = Balls(centres, distance_to_surface(centres, verts_m, faces))
    covers = cdist(balls.centres_m, skin.points_m) - balls.radii_m[:, None] < within_m
    gain_m2, bare, chosen = covers @ skin.areas_m2, np.ones(len(skin.points_m), bool), []
    for _ in range(count):
        chosen.append(int(gain_m2.argmax()))
        covered = covers[chosen[-1]] & bare
        gain_m2 -= covers[:, covered] @ skin.areas_m2[covered]
        bare &= ~covered
    return Balls(balls.centres_m[chosen], balls.radii_m[chosen])


def _skin(verts_m: np.ndarray, faces: np.ndarray) -> _Skin:
    """Vertices and the middles of faces, with the area that each stands for."""
    corners = verts_m[faces]
    cross = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    area = np.linalg.norm(cross, axis=1) / 2
    at_vertex, area_at_vertex = np.zeros_like(verts_m), np.zeros(len(verts_m))
    for corner in range(3):
        np.add.at(at_vertex, faces[:, corner], cross)
        np.add.at(area_at_vertex, faces[:, corner], area / 6)
    normals = np.concatenate([at_vertex, cross])
    normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-30)
    return _Skin(
        np.concatenate([verts_m, corners.mean(axis=1)]), normals, np.concatenate([area_at_vertex, area / 2])
    )


def _medial(skin: _Skin) -> np.ndarray:
    """(n, 3) for each point the centre of the largest ball that touches the surface there from inside.

    Shrinking balls (Ma, Bae, Choi: 3D medial axis point approximation using nearest neighbors and the normal field,
    2012): a ball that holds another point shrinks until it touches that one too.
    """
    points, tree = skin.points_m, cKDTree(skin.points_m)
    radius = np.full(len(points), LARGEST_M)
    pending = np.arange(len(points))
    for _ in range(_ROUNDS):
        centre = points[pending] - radius[pending, None] * skin.normals[pending]
        distance, nearest = tree.query(centre)
        held = distance < radius[pending] - _TOUCHES_M
        pending, away = pending[held], points[pending[held]] - points[nearest[held]]
        if not len(pending):
            break
        depth = np.einsum("ij,ij->i", away, skin.normals[pending])
        shrunk = np.einsum("ij,ij->i", away, away) / np.maximum(2 * depth, 1e-30)
        radius[pending] = np.minimum(shrunk, radius[pending])
    return points - radius[:, None] * skin.normals

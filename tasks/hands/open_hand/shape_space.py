"""How hands differ: random anatomies laid on the same topology, and the ten directions that explain them."""

from dataclasses import dataclass

import numpy as np

from tasks.hands.open_hand.anatomy import random_anatomy
from tasks.hands.open_hand.placement import place_vertices

N_SHAPES = 96
_ROUNDS = 14
_N_DIRECTIONS = 10


@dataclass(frozen=True)
class ShapeSpace:
    """Millimetres, construction order."""

    verts: np.ndarray
    """(n, V, 3) the sampled hands."""
    joints: np.ndarray
    """(n, 16, 3) their bones."""
    mean: np.ndarray
    """(V, 3)."""
    directions: np.ndarray
    """(V, 3, 10) per standard deviation, so that betas are N(0, 1)."""
    explained: np.ndarray
    """(10,) share of the variance."""


def sample_shapes(count: int = N_SHAPES) -> tuple[np.ndarray, np.ndarray]:
    """(n, V, 3) vertices and (n, 16, 3) joints of hands 1 to n, each from its own random stream."""
    verts, joints = [], []
    for seed in range(1, count + 1):
        anatomy = random_anatomy(np.random.default_rng(seed))
        verts.append(place_vertices(anatomy, _ROUNDS) * anatomy.size)
        joints.append(anatomy.joints * anatomy.size)
    return np.stack(verts), np.stack(joints)


def shape_space(verts: np.ndarray, joints: np.ndarray) -> ShapeSpace:
    """Principal components of the sampled hands; a positive coefficient makes the hand larger."""
    count = len(verts)
    mean = verts.mean(0)
    _, singular, rows = np.linalg.svd((verts - mean).reshape(count, -1), full_matrices=False)
    deviation = singular[:_N_DIRECTIONS] / np.sqrt(count - 1)
    directions = (rows[:_N_DIRECTIONS] * deviation[:, None]).reshape(_N_DIRECTIONS, -1, 3).transpose(1, 2, 0)
    growth = np.einsum("vck,vc->k", directions, mean - joints[:, 0].mean(0))
    directions = directions * np.where(growth < 0, -1.0, 1.0)
    return ShapeSpace(verts, joints, mean, directions, (singular**2 / (singular**2).sum())[:_N_DIRECTIONS])

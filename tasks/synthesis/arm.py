"""A forearm that continues the open wrist, bare or in a sleeve, so that no image shows a cut hand.

It belongs to the picture only: neither the vertices of the labels nor the mask contain it.
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from scipy.spatial.transform import Rotation

DISTANCES_M = np.array([0.0, 0.008, 0.02, 0.045, 0.08, 0.13, 0.2, 0.3, 0.45])
"""Of the rings from the wrist; two more lie at the edge of the sleeve."""
GROWTH = np.array([1.0, 1.0, 1.0, 1.03, 1.12, 1.25, 1.38, 1.42, 1.42])
"""Girth of the rings."""
N_RINGS = len(DISTANCES_M) + 2
SLEEVE_SHARE = 0.55
SLEEVE_FROM_M = (0.012, 0.09)
SLEEVE_WIDTH = (1.08, 1.3)
_CLOTH_EDGE_M = 0.001
_BENT_AT_M = 0.06
"""The bend of the wrist is complete here."""
BALLS_AT_M = np.array([0.02, 0.045, 0.075, 0.11, 0.15, 0.19, 0.24, 0.3, 0.37, 0.45])
"""Distances from the wrist of the balls that stand for a forearm."""
BALLS_BENT = np.clip(BALLS_AT_M / _BENT_AT_M, 0, 1)
FLEXION_SD_DEG = 18.0
DEVIATION_SD_DEG = 8.0


@dataclass(frozen=True)
class Arm:
    """How one forearm looks."""

    sleeve_from_m: float
    """Beyond the arm's end where there is none."""
    sleeve_width: float
    bend_aa: np.ndarray
    """(3,) rotation of the forearm about the wrist, in hand axes."""

    @property
    def distances_m(self) -> np.ndarray:
        """(N_RINGS,) of the rings: bare ones, one at the edge of the sleeve, and one of cloth just behind it."""
        edge = min(self.sleeve_from_m, float(DISTANCES_M[-1]))
        return np.sort(np.concatenate([DISTANCES_M, [edge, edge + _CLOTH_EDGE_M]]))

    @property
    def in_sleeve(self) -> np.ndarray:
        """(N_RINGS,) bool."""
        return self.distances_m > self.sleeve_from_m


def sample_arm(rng: np.random.Generator) -> Arm:
    """One forearm."""
    sleeve = rng.random() < SLEEVE_SHARE
    angles = rng.normal(0, [FLEXION_SD_DEG, DEVIATION_SD_DEG])
    start, width = rng.uniform(*SLEEVE_FROM_M), rng.uniform(*SLEEVE_WIDTH)
    return Arm(
        sleeve_from_m=start if sleeve else np.inf,
        sleeve_width=width if sleeve else 1.0,
        bend_aa=Rotation.from_euler("zy", angles, degrees=True).as_rotvec(),
    )


def arm_rings_m(arm: Arm, wrist_m: np.ndarray) -> np.ndarray:
    """(N_RINGS - 1, L, 3) the rings behind the wrist loop (L, 3), in hand axes, before the global rotation."""
    centre = wrist_m.mean(axis=0)
    along = np.array([1.0, 0.0, 0.0])
    offset = wrist_m - centre
    offset = offset - np.outer(offset @ along, along)
    radius = np.linalg.norm(offset, axis=1, keepdims=True)
    distance = arm.distances_m[1:, None, None]
    turn = Rotation.from_rotvec(arm.bend_aa * np.clip(distance[:, 0] / _BENT_AT_M, 0, 1)).as_matrix()
    rounder = 1 + 0.35 * np.clip(distance / 0.2, 0, 1) * (radius.mean() / radius - 1)
    girth = np.interp(distance, DISTANCES_M, GROWTH) * np.where(
        arm.in_sleeve[1:, None, None], arm.sleeve_width, 1
    )
    return centre + (offset * rounder * girth + along * distance) @ turn.mT


def lengthened(rings_m: np.ndarray, by_m: float) -> np.ndarray:
    """(..., N_RINGS - 1, L, 3) rings of forearms whose last one is so much farther away, to leave a wide frame."""
    along = rings_m[..., -1, :, :].mean(axis=-2) - rings_m[..., 4, :, :].mean(axis=-2)
    farther = rings_m.copy()
    farther[..., -1, :, :] += (by_m * along / np.linalg.norm(along, axis=-1, keepdims=True))[..., None, :]
    return farther


def arm_balls_m(wrist_m: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The centre (3,) of the wrist loop (L, 3), and radii (k,) of balls that stand for a bare forearm behind it.

    They are ``BALLS_AT_M`` from the centre, along x turned by the share ``BALLS_BENT`` of the arm's bend.
    """
    centre = wrist_m.mean(axis=0)
    radius = np.linalg.norm((wrist_m - centre)[:, 1:], axis=1).mean()
    return centre, radius * np.interp(BALLS_AT_M, DISTANCES_M, GROWTH)


def arm_faces(loop: np.ndarray, first: int) -> np.ndarray:
    """(F, 3) faces of the tube: its first ring is the wrist's ``loop`` (L,), the others start at vertex ``first``.

    The loop runs so that triangles (b, a, c) from its edges (a, b) face outwards.
    """
    n = len(loop)
    rings = [loop, *(first + n * k + np.arange(n) for k in range(N_RINGS - 1))]
    faces = []
    for near, far in pairwise(rings):
        a, b, c, d = near, np.roll(near, -1), far, np.roll(far, -1)
        faces += [np.stack([b, a, c], axis=1), np.stack([b, c, d], axis=1)]
    return np.concatenate(faces)

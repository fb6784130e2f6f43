"""A hand as balls that follow its bones: cheap to pose in batches, with gradients, and to test for overlap.

The balls come from the model's own mesh: maximal ones inside its template that cover its skin. They take the shapes of
subjects as the skin around them does, and bend by the skinning weights of the skin that they touch. Some more balls
continue the wrist as a forearm. Everything is in the axes of a right hand; a left hand is mirrored.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from scipy.spatial.distance import cdist
from torch import Tensor

from tasks.geometry.surface import seal
from tasks.hands.model_file import HandModelData
from tasks.hands.open_hand.pose_space import digit_axes
from tasks.hands.skeleton import PARENTS_MANO16
from tasks.synthesis.arm import BALLS_AT_M, BALLS_BENT, arm_balls_m
from tasks.synthesis.inscribed_balls import covering_balls

BALLS = 128
"""Of the hand; the forearm has ``len(BALLS_AT_M)`` more."""
WITHIN_M = 0.0022
"""Nearly all of the skin is as near to a ball as this."""
SWOLLEN_M = 0.001
"""What balls are larger than inscribed ones, so that they stand out of the skin about as much as it does between."""
REST_GAP_M = 0.001
"""Balls of one hand that are nearer than this at rest are neighbours: they may overlap."""


class Shaped(NamedTuple):
    """Balls and joints of B hands at rest, metres."""

    centres: Tensor
    """(B, BALLS, 3)."""
    radii: Tensor
    """(B, BALLS)."""
    weights: Tensor
    """(B, BALLS, 16) how much they follow each bone."""
    pairs: Tensor
    """(B, BALLS, BALLS) 1 for each pair of one hand, counted once, that must not overlap, else 0."""
    joints: Tensor
    """(B, 16, 3)."""
    wrist: Tensor
    """(B, 3) the middle of the wrist's border, where the forearm begins."""
    arm_radii: Tensor
    """(B, k)."""


class BallHand:
    """One side of a hand model. Raises ValueError for a model that names no wrist loop."""

    def __init__(self, data: HandModelData) -> None:
        data = data if data.side == "right" else data.mirrored()
        if data.wrist_loop is None:
            raise ValueError(f"hand model '{data.name}' names no wrist loop")
        self._loop = data.wrist_loop
        self._template, self._directions, self._regressor = (
            array.astype(np.float64) for array in (data.v_template, data.shapedirs, data.J_regressor)
        )
        self._balls = covering_balls(*seal(self._template, data.faces, data.wrist_loop), BALLS, WITHIN_M)
        beyond = cdist(self._balls.centres_m, self._template) - self._balls.radii_m[:, None]
        touched = beyond < np.maximum(WITHIN_M, np.partition(beyond, 3, axis=1)[:, 3:4])
        self._touched = touched / touched.sum(axis=1, keepdims=True)
        self._weights = self._touched @ data.weights.astype(np.float64)
        self._pairs = self._own_pairs()

    def shaped(self, betas: np.ndarray) -> Shaped:
        """The hand (B = 1) of a shape (10,)."""
        balls, verts = self._balls, self._template + self._directions @ betas
        centres = balls.centres_m + self._touched @ (verts - self._template)
        reach, before = (
            (self._touched * cdist(*pair)).sum(axis=1)
            for pair in ((centres, verts), (balls.centres_m, self._template))
        )
        parts = (
            centres,
            balls.radii_m * reach / before + SWOLLEN_M,
            self._weights,
            self._pairs,
            self._regressor @ verts,
            *arm_balls_m(verts[self._loop]),
        )
        return Shaped(*(torch.tensor(part[None], dtype=torch.float32) for part in parts))

    def _own_pairs(self) -> np.ndarray:
        """Not those of one bone or of adjacent ones, and not those that are neighbours at rest."""
        bones, parents = self._weights.argmax(axis=1), np.array(PARENTS_MANO16)
        a, b = bones[:, None], bones[None]
        apart = (a != b) & (parents[a] != b) & (parents[b] != a)
        centres, radii = self._balls.centres_m, self._balls.radii_m + SWOLLEN_M
        return np.tril(apart & (cdist(centres, centres) - radii[:, None] - radii > REST_GAP_M))


def batch(hands: Sequence[Shaped]) -> Shaped:
    """Several hands as one batch."""
    return Shaped(*map(torch.cat, zip(*hands, strict=True)))


def posed(hands: Shaped, angles: Tensor) -> Tensor:
    """(B, BALLS, 3) centres of hands whose wrist stays; ``angles`` (B, 5, 5) radians about ``digit_axes``."""
    turn, shift = _bones(hands.joints, _rotations(angles))
    moved = (hands.weights @ torch.cat([turn.flatten(2), shift], dim=2)).unflatten(2, (4, 3))
    return (moved[:, :, :3] @ hands.centres[..., None])[..., 0] + moved[:, :, 3]


def arms(hands: Shaped, bend_aa: Tensor) -> Tensor:
    """(B, k, 3) centres of the forearms' balls; ``bend_aa`` (B, 3) as an ``Arm`` has it."""
    share, away = (torch.tensor(values, dtype=torch.float32)[:, None] for values in (BALLS_BENT, BALLS_AT_M))
    return hands.wrist[:, None] + away * rotation(share * bend_aa[:, None])[..., 0]


def rotation(rotvec: Tensor) -> Tensor:
    """(..., 3, 3) of vectors (..., 3), smooth at zero."""
    angle = (rotvec.square().sum(dim=-1, keepdim=True) + 1e-14).sqrt()
    x, y, z = (rotvec / angle).unbind(dim=-1)
    none = torch.zeros_like(x)
    cross = torch.stack([none, -z, y, z, none, -x, -y, x, none], dim=-1).unflatten(-1, (3, 3))
    return _rodrigues(angle[..., 0], cross, cross @ cross)


def _rotations(angles: Tensor) -> Tensor:
    """(B, 5, 3, 3, 3) of the three joints of each digit."""
    cross = np.cross(np.eye(3), digit_axes()[..., None, :])
    each = _rodrigues(angles, *(torch.tensor(part, dtype=torch.float32) for part in (cross, cross @ cross)))
    return torch.stack([each[:, :, 0] @ each[:, :, 1] @ each[:, :, 2], each[:, :, 3], each[:, :, 4]], dim=2)


def _rodrigues(angle: Tensor, cross: Tensor, square: Tensor) -> Tensor:
    """(..., 3, 3) rotations by angles (...) about axes, given as the matrices of their cross products."""
    sine, rest = torch.sin(angle)[..., None, None], 1 - torch.cos(angle)[..., None, None]
    return torch.eye(3) + sine * cross + rest * square


def _bones(joints: Tensor, local: Tensor) -> tuple[Tensor, Tensor]:
    """(B, 16, 3, 3) and (B, 16, 3): what takes each bone from rest to its pose.

    The 9 + 3 numbers of a bone multiply column vectors, so that skinning mixes them as they are.
    """
    digits = joints[:, 1:].unflatten(1, (5, 3))
    turn, place = [local[:, :, 0]], [digits[:, :, 0]]
    for k in (1, 2):
        step = (digits[:, :, k] - digits[:, :, k - 1])[..., None]
        place.append(place[-1] + (turn[-1] @ step)[..., 0])
        turn.append(turn[-1] @ local[:, :, k])
    turns = torch.stack(turn, dim=2).flatten(1, 2)
    shifts = torch.stack(place, dim=2).flatten(1, 2) - (turns @ joints[:, 1:, :, None])[..., 0]
    turns = torch.cat([torch.eye(3).expand(len(turns), 1, 3, 3), turns], dim=1)
    return turns, torch.cat([shifts.new_zeros((len(shifts), 1, 3)), shifts], dim=1)

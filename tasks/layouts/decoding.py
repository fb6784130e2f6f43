"""Hand parameters to meshes and joints, as arrays and in chunks, for readers and checkers."""

import os
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from tasks.hands.skeleton import Side

if TYPE_CHECKING:
    from tasks.hands.hand import HandModel

CHUNK = 256
"""Hands posed together: their tensors stay below some tens of megabytes."""


def hand_in_use(side: Side, as_released: bool = False, exact: bool = False) -> "HandModel":
    """``load_hand``, the same module again until another model is chosen; not to be moved or changed.

    An ``exact`` one computes in float64: what it poses does not depend on what is posed beside it.
    """
    from tasks.hands.in_use import ENVIRONMENT

    return _hand_in_use(side, as_released, exact, os.environ.get(ENVIRONMENT, ""))


@lru_cache(maxsize=8)
def _hand_in_use(side: Side, as_released: bool, exact: bool, folder: str) -> "HandModel":
    from tasks.hands.hand import load_hand  # imports torch, which is slow; a folder without hands needs none

    hand = load_hand(side, as_released)
    return hand.double() if exact else hand


def pose_hands(
    hand: "HandModel", pose_aa: np.ndarray, betas: np.ndarray, flat_hand_mean: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """``verts_m`` (n, V, 3), ``joints_mano16_m`` (n, 16, 3) of poses (n, 48), betas (n, 10); float64 if exact."""
    import torch

    exact = hand.hands_mean.dtype == torch.float64
    dtype = np.float64 if exact else np.float32
    verts = np.empty((len(pose_aa), hand.n_verts, 3), dtype)
    joints = np.empty((len(pose_aa), 16, 3), dtype)
    with torch.no_grad():
        for start in range(0, len(pose_aa), CHUNK):
            at = slice(start, start + CHUNK)
            pose, shape = (torch.from_numpy(part[at].astype(dtype)) for part in (pose_aa, betas))
            posed, skeleton = hand(pose, shape, flat_hand_mean)
            verts[at], joints[at] = posed.numpy(), skeleton.numpy()
    return verts, joints

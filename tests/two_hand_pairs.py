"""Two-hand frames in memory: posed pairs of the model in use, joints a little off their fits, noise for images."""

import numpy as np
import torch

from tasks.errors import RequestError
from tasks.hands.hand import load_hand
from tasks.layouts.base import TwoHandSamples

SIDES = ("right", "left")
SIZE_PX = (96, 72)
FOCAL_PX = 130.0
KINDS = (
    "interacting",
    "right",
    "interacting",
    "left",
    "interacting",
    "interacting",
    "interacting",
    "interacting",
)
WRIST_LOST, TYPE_IN_DOUBT, FIT_MISSING, DARK = 4, 5, 6, 7
"""Positions of the awkward frames: the left wrist not valid, type not valid, no left fit, black image."""


class MemoryPairs(TwoHandSamples):
    """One frame per entry of ``kinds``; some of its frames are awkward where ``awkward`` says so."""

    def __init__(self, kinds=KINDS, seed=0, awkward=True):
        rng = np.random.default_rng(seed)
        n = len(kinds)
        self.hand_type = np.array(kinds)
        self.ids = [f"0/ROM{i // 2:02d}/cam400001/{i:05d}" for i in range(n)]
        self.clusters = [f"0/ROM{i // 2:02d}" for i in range(n)]
        self.hand_type_valid = np.ones(n, bool)
        self.verts_m = np.stack([_posed(side, n, rng) for side in SIDES], axis=1)
        self.joints_m = np.stack(
            [_regressed(side, self.verts_m[:, i]) for i, side in enumerate(SIDES)], axis=1
        )
        self.joints_m += rng.normal(0, 0.003, self.joints_m.shape)
        there = np.stack([(self.hand_type == s) | (self.hand_type == "interacting") for s in SIDES], axis=1)
        self.joint_valid = there[..., None] & (rng.random((n, 2, 21)) > 0.1)
        self.joint_valid[:, :, 0] = there
        self.has_fit = there.copy()
        if awkward:
            self.joint_valid[WRIST_LOST, 1] = False
            self.hand_type_valid[TYPE_IN_DOUBT] = False
            self.has_fit[FIT_MISSING, 1] = False
        self.black = {DARK} if awkward else set()
        self.joints_m[~there] = np.nan
        self.verts_m[~self.has_fit] = np.nan
        self.intrinsics_px = np.tile(np.array([[FOCAL_PX, 0, 48], [0, FOCAL_PX, 36], [0, 0, 1.0]]), (n, 1, 1))
        self.box_px = np.tile(np.array([14.0, 4, 68, 64]), (n, 1))
        self.image_size_px = np.tile(np.array(SIZE_PX), (n, 1))
        self.lost_images: set[int] = set()

    def fits(self, indices):
        n = len(indices)
        return {
            "verts_m": self.verts_m[indices],
            "pose_aa": np.zeros((n, 2, 48), np.float32),
            "betas": np.zeros((n, 2, 10), np.float32),
        }

    def image(self, index):
        if index in self.lost_images:
            raise RequestError(f"no image 'image{index}.jpg': expected one per frame.")
        rng = np.random.default_rng([9, index])
        level = 8 if index in self.black else 120
        return rng.integers(0, level, (SIZE_PX[1], SIZE_PX[0], 3), dtype=np.uint8)


def _posed(side, n, rng):
    """(n, 778, 3): hands of one side near the middle of the picture, palms towards each other."""
    hand = load_hand(side)
    sign = 1.0 if side == "right" else -1.0
    pose = rng.normal(0, 0.25, (n, 48))
    pose[:, :3] = rng.normal((0.0, sign * np.pi / 2, 0.0), 0.2, (n, 3))
    betas = rng.normal(0, 0.5, (n, 10))
    verts = hand(torch.from_numpy(pose).float(), torch.from_numpy(betas).float())[0].double().numpy()
    place = rng.normal((-0.045 * sign, 0.0, 0.6), 0.015, (n, 1, 3))
    return verts - verts.mean(1, keepdims=True) + place


def _regressed(side, verts_m):
    return load_hand(side).joint_regressor21("intaghand").double().numpy() @ verts_m

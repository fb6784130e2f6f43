"""Test sets in memory: posed hands of the model in use, one per frame or two."""

from dataclasses import dataclass, field

import numpy as np
import pytest
import torch

from tasks.hands.hand import load_hand
from tasks.hands.open_hand.pose_space import sample_poses


@dataclass
class Samples:
    ids: list[str]
    joints_m: np.ndarray
    verts_m: np.ndarray
    annotation_of: np.ndarray
    intrinsics_px: np.ndarray
    extra: dict = field(default_factory=dict)

    def __getattr__(self, name):
        extra = self.__dict__.get("extra", {})
        if name in extra:
            return extra[name]
        raise AttributeError(name)


@dataclass
class MemorySet:
    samples: Samples

    @property
    def ids(self):
        return list(self.samples.ids)

    def fields(self):
        """The perfect prediction."""
        joints_m = self.samples.joints_m[self.samples.annotation_of].copy()
        return {
            "joints_cam_m": joints_m,
            "verts_cam_m": self.samples.verts_m[self.samples.annotation_of].copy(),
        }


def posed(n, seed, turn=0.6):
    """(n, 21, 3) joints and (n, 778, 3) vertices of right hands about 60 cm before the camera."""
    rng, hand = np.random.default_rng(seed), load_hand("right")
    turns = rng.normal([0.3, 1.2, 0.2], turn, (n, 3))
    pose = np.concatenate([turns, sample_poses(n, rng) - hand.data.hands_mean], axis=1)
    with torch.no_grad():
        verts = hand(torch.tensor(pose).float(), torch.tensor(rng.normal(0, 0.7, (n, 10))).float())[0]
        place = torch.tensor(rng.normal([0, 0, 0.6], 0.04, (n, 1, 3))).float()
        verts = verts - verts.mean(dim=1, keepdim=True) + place
        joints = hand.joints_from_verts(verts)
    return joints.double().numpy(), verts.double().numpy()


def camera(n):
    return np.tile(np.array([[480.0, 0, 112], [0, 482, 110], [0, 0, 1]]), (n, 1, 1))


def single(n=24, seed=0, left=False, turn=0.6, frames=None):
    """A single-hand test set; ``frames`` are the toolkit's ids of the images."""
    joints_m, verts_m = posed(n, seed, turn)
    extra = {"mirrored": np.arange(n) % 3 == 0} if left else {}
    if frames is not None:
        extra["image_ids"] = np.asarray(frames)
    ids = [f"evaluation/{i:08d}" for i in range(n)]
    return MemorySet(Samples(ids, joints_m, verts_m, np.arange(n), camera(n), extra))


def two_hands(n=18, seed=0):
    """Every third frame has both hands, the others the right or the left one."""
    right, left = posed(n, seed), posed(n, seed + 1)
    pairs = []
    for r, l_ in zip(right, left, strict=True):
        pairs.append(np.stack([r - [0.08, 0, 0], l_ * [-1, 1, 1] + [0.08, 0, 0]], axis=1))
    joints_m, verts_m = pairs
    kind = np.arange(n) % 3
    has = np.stack([kind != 1, kind != 2], axis=1)
    joints_m[~has], verts_m[~has] = np.nan, np.nan
    ids = [f"Capture0/seq/cam/{i:05d}" for i in range(n)]
    extra = {"joint_valid": np.repeat(has[:, :, None], 21, axis=2)}
    return MemorySet(Samples(ids, joints_m, verts_m, np.arange(n), camera(n), extra))


@pytest.fixture(scope="session")
def small():
    return single(4)


@pytest.fixture(scope="session")
def make_single():
    return single


@pytest.fixture(scope="session")
def make_two_hands():
    return two_hands

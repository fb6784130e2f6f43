"""A small single-hand dataset in memory: posed hands of the model in use, as silhouettes over noise."""

import functools

import numpy as np
import pytest
import torch
from scipy.spatial import cKDTree

from tasks.geometry.cameras import project
from tasks.hands.hand import load_hand
from tasks.layouts.base import HandSamples

NATIVE_PX = 224


class MemorySamples(HandSamples):
    """``versions`` images of each of ``count`` posed hands; decoding is counted."""

    def __init__(self, count=6, versions=2, seed=0, masks=True, size_px=NATIVE_PX):
        rng = np.random.default_rng(seed)
        hand = load_hand("right")
        self.annotation_of = np.tile(np.arange(count), versions)
        self.ids = [f"{i:08d}" for i in range(count * versions)]
        self.clusters = [f"{i:08d}" for i in self.annotation_of]
        self.pose_aa = rng.normal(0, 0.25, (count, 48)).astype(np.float32)
        self.pose_aa[:, :3] += [0.0, np.pi / 2, 0.0]
        self.betas = rng.normal(0, 0.5, (count, 10)).astype(np.float32)
        place = rng.normal(0, 0.02, (count, 1, 3)) + np.array([0, 0, 0.6])
        verts = hand(torch.from_numpy(self.pose_aa), torch.from_numpy(self.betas))[0]
        self.verts_m = (verts - verts.mean(1, keepdim=True) + torch.from_numpy(place)).float().numpy()
        self.joints_m = hand.joints_from_verts(torch.from_numpy(self.verts_m)).numpy()
        focal = rng.uniform(480, 520, count) * size_px / 224
        self.intrinsics_px = np.zeros((count, 3, 3))
        self.intrinsics_px[:, 0, 0], self.intrinsics_px[:, 1, 1] = focal, focal * 1.002
        self.intrinsics_px[:, :2, 2], self.intrinsics_px[:, 2, 2] = size_px / 2, 1
        self.masks, self.seed, self.size_px = masks, seed, size_px
        self.decoded: list[int] = []
        self._hand = functools.cache(self._hand)

    def image(self, index):
        self.decoded.append(index)
        rng = np.random.default_rng([self.seed, index])
        image = rng.integers(0, 120, (self.size_px, self.size_px, 3), dtype=np.uint8)
        image[self._hand(index)] = (210, 150, 120)
        return image

    def mask(self, index):
        return self._hand(index) if self.masks else None

    def _hand(self, index):
        """Discs of 8 px about the projected vertices."""
        row = self.annotation_of[index]
        pixels = project(
            torch.from_numpy(self.verts_m[row]).double(), torch.from_numpy(self.intrinsics_px[row])
        )
        grid = np.indices((self.size_px, self.size_px)).reshape(2, -1).T[:, ::-1] + 0.5
        near = cKDTree(pixels.numpy()).query(grid)[0] < 8 * self.size_px / 224
        return near.reshape(self.size_px, self.size_px)


@pytest.fixture(scope="session")
def make_samples():
    return MemorySamples


@pytest.fixture(scope="session")
def samples():
    return MemorySamples()

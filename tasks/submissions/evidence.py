"""What a prediction and the truth look like beside each other, on frames spread over the test set."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch

from tasks.geometry.alignment import align_similarity
from tasks.hands.skeleton import BONES
from tasks.submissions.fields import ScoredSet, left_hands, sample_rows

MAX_FRAMES = 400
"""Evidence is gathered on at most so many frames."""
MIN_FRAMES = 3
"""Fewer frames are no evidence."""
SMALL_M = 1e-6
"""A hand smaller than this has collapsed to a point: zeros, for example. It has no shape to judge."""


@dataclass(frozen=True)
class Evidence:
    """Hands of a sample of the frames, predicted and true (k, 21, 3), both finite; which of them are mirrored."""

    predicted_m: np.ndarray
    true_m: np.ndarray
    is_left: np.ndarray
    swapped_m: np.ndarray | None = None
    """Of two hands, the prediction for the other one."""

    @classmethod
    def of(cls, joints_m: np.ndarray, dataset: ScoredSet, task: str) -> "Evidence":
        frames = spread(len(dataset.ids))
        predicted_m = np.asarray(joints_m[frames], np.float64).reshape(-1, 21, 3)
        true_m = _truth(dataset, frames).reshape(-1, 21, 3)
        hands = 2 if task == "two_hands" else 1
        is_left = np.repeat(left_hands(dataset)[frames], hands)
        return cls(predicted_m, true_m, is_left)._usable()

    @classmethod
    def of_pairs(cls, joints_m: np.ndarray, dataset: ScoredSet) -> "Evidence":
        frames = spread(len(dataset.ids))
        predicted_m = np.asarray(joints_m[frames], np.float64)
        true_m = _truth(dataset, frames)
        both = np.isfinite(true_m).all(axis=(1, 2, 3)) & np.isfinite(predicted_m).all(axis=(1, 2, 3))
        swapped_m = predicted_m[both][:, ::-1].reshape(-1, 21, 3)
        no_left = np.zeros(2 * int(both.sum()), bool)
        return cls(predicted_m[both].reshape(-1, 21, 3), true_m[both].reshape(-1, 21, 3), no_left, swapped_m)

    def _usable(self) -> "Evidence":
        finite = np.isfinite(self.predicted_m).all(axis=(1, 2)) & np.isfinite(self.true_m).all(axis=(1, 2))
        return self._rows(finite & (size_m(self.predicted_m) > SMALL_M))

    def _rows(self, rows: np.ndarray) -> "Evidence":
        return Evidence(self.predicted_m[rows], self.true_m[rows], self.is_left[rows])

    def groups(self) -> Iterator[tuple["Evidence", str]]:
        """Right hands and left ones, where there are both; hands of one kind are nothing special."""
        for rows, name in ((~self.is_left, "right"), (self.is_left, "left")):
            if rows.sum() >= MIN_FRAMES:
                yield self._rows(rows), name if self.is_left.any() else ""


def spread(count: int) -> np.ndarray:
    """At most ``MAX_FRAMES`` positions, evenly over the test set, the first and the last among them."""
    return np.unique(np.linspace(0, count - 1, min(count, MAX_FRAMES)).round().astype(np.int64))


def _truth(dataset: ScoredSet, frames: np.ndarray) -> np.ndarray:
    """True joints of these frames; of two hands, NaN where not valid."""
    samples, rows = dataset.samples, sample_rows(dataset)[frames]
    valid = getattr(samples, "joint_valid", None)
    if valid is None:
        return np.asarray(samples.joints_m[samples.annotation_of[rows]], np.float64)
    joints_m = np.array(samples.joints_m[rows], np.float64)
    joints_m[~np.asarray(valid[rows], bool)] = np.nan
    return joints_m


def size_m(points_m: np.ndarray) -> np.ndarray:
    """(k,) root mean square distance from the centroid."""
    return np.sqrt(((points_m - points_m.mean(axis=1, keepdims=True)) ** 2).sum(axis=2).mean(axis=1))


def relief_m(points_m: np.ndarray) -> np.ndarray:
    """(k,) standard deviation of depth."""
    return points_m[..., 2].std(axis=1)


def centred_m(predicted_m: np.ndarray, true_m: np.ndarray) -> np.ndarray:
    """(k,) mean joint distance, both centroids at the origin."""
    difference = predicted_m - true_m
    difference = difference - difference.mean(axis=1, keepdims=True)
    return np.linalg.norm(difference, axis=2).mean(axis=1)


def apart_m(predicted_m: np.ndarray, true_m: np.ndarray) -> float:
    """Median distance of the centroids."""
    return float(np.median(np.linalg.norm(predicted_m.mean(axis=1) - true_m.mean(axis=1), axis=1)))


def aligned_m(predicted_m: np.ndarray, true_m: np.ndarray) -> np.ndarray:
    """(k,) mean joint distance after the similarity without reflection that fits best (P2)."""
    aligned = align_similarity(torch.from_numpy(np.array(predicted_m)), torch.from_numpy(true_m)).numpy()
    return np.linalg.norm(aligned - true_m, axis=2).mean(axis=1)


def bone_difference(predicted_m: np.ndarray, true_m: np.ndarray) -> float:
    """How far the median bone lengths are apart, each hand's bones being 1 together."""
    lengths = []
    for points_m in (predicted_m, true_m):
        ends = points_m[:, np.array(BONES)]
        median = np.median(np.linalg.norm(ends[:, :, 1] - ends[:, :, 0], axis=2), axis=0)
        lengths.append(median / median.sum())
    return float(np.abs(lengths[0] - lengths[1]).sum())

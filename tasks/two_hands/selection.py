"""Which frames of a split a method on two hands can learn from, and how many are left out for what reason.

IntagHand's preparation, which Im2Hands shares: interacting beyond doubt, both MANO fits, image not dark. Frames that
could not be used later on are left out here as well, so that no batch fails in the middle of an epoch.
"""

from collections.abc import Callable, Iterator

import numpy as np
import torch

from tasks.geometry.cameras import project
from tasks.image_cache import map_threads
from tasks.two_hands.dataset import DARK, TwoHandDataset, TwoHandTruth

NEAREST_M = 0.05
"""Hands that reach nearer to the plane of the camera are not seen by it."""
_AT_ONCE = 1024
Test = Callable[[TwoHandDataset, np.ndarray], np.ndarray]


def pairs(dataset: TwoHandDataset) -> tuple[TwoHandDataset, dict[str, int]]:
    """The frames with two fitted hands that can be seen, and how many were left out for each reason."""
    return chosen(dataset, _PAIR_REASONS)


def readable(dataset: TwoHandDataset) -> tuple[TwoHandDataset, dict[str, int]]:
    """The frames of any hand type with a joint to learn from and an image to see it in, and the others by reason."""
    return chosen(dataset, _READABLE_REASONS)


def chosen(dataset: TwoHandDataset, reasons: dict[str, Test]) -> tuple[TwoHandDataset, dict[str, int]]:
    """What is left when the frames of each reason are gone, one after the other, and how many frames each took."""
    kept = np.arange(len(dataset))
    left_out: dict[str, int] = {}
    for reason, test in reasons.items():
        bad = np.concatenate([np.zeros(0, bool), *(test(dataset, part) for part in _portions(kept))])
        if bad.any():
            left_out[reason] = int(bad.sum())
        kept = kept[~bad]
    return dataset.part(kept), left_out


def _portions(positions: np.ndarray) -> Iterator[np.ndarray]:
    for first in range(0, len(positions), _AT_ONCE):
        yield positions[first : first + _AT_ONCE]


def _of_truth(test: Callable[[TwoHandTruth], torch.Tensor]) -> Test:
    return lambda dataset, positions: test(dataset.truth(torch.from_numpy(positions))).numpy()


def _unseen(dataset: TwoHandDataset, positions: np.ndarray) -> np.ndarray:
    """Frames in which a hand lies behind the camera or wholly beside the image."""
    rows = dataset.indices[positions]
    intrinsics_px = torch.from_numpy(np.asarray(dataset.samples.intrinsics_px[rows], np.float64))
    size_px = torch.from_numpy(np.asarray(dataset.samples.image_size_px[rows], np.float64))[:, None, None]
    verts_m = dataset.true_verts(torch.from_numpy(positions))
    verts_px = project(verts_m, intrinsics_px[:, None])
    behind = (verts_m[..., 2] < NEAREST_M).flatten(1).any(dim=1)
    inside = ((verts_px >= 0) & (verts_px < size_px)).all(dim=3).any(dim=2)
    return (behind | ~inside.all(dim=1)).numpy()


def _not_finite(dataset: TwoHandDataset, positions: np.ndarray) -> np.ndarray:
    return ~dataset.true_verts(torch.from_numpy(positions)).flatten(1).isfinite().all(dim=1).numpy()


def _brightness(dataset: TwoHandDataset, positions: np.ndarray) -> np.ndarray:
    return np.array(map_threads(dataset.samples.brightness, dataset.indices[positions].tolist()))


def _unreadable(dataset: TwoHandDataset, positions: np.ndarray) -> np.ndarray:
    return np.isnan(_brightness(dataset, positions))


def _dark(dataset: TwoHandDataset, positions: np.ndarray) -> np.ndarray:
    return _brightness(dataset, positions) < DARK


_PAIR_REASONS: dict[str, Test] = {
    "one hand": _of_truth(lambda truth: ~truth.interacting),
    "hand type in doubt": _of_truth(lambda truth: ~truth.hand_type_valid),
    "no MANO fit of a hand": _of_truth(lambda truth: ~truth.has_fit.all(dim=1)),
    "MANO fit not finite": _not_finite,
    "hand out of the image": _unseen,
    "image missing or damaged": _unreadable,
    "image dark": _dark,
}
_READABLE_REASONS: dict[str, Test] = {
    "no valid joint": _of_truth(lambda truth: ~truth.joint_valid.flatten(1).any(dim=1)),
    "image missing or damaged": _unreadable,
}

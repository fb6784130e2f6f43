"""A two-hand split by position: ids, clusters, the truth that predictions are scored against, and batches."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from tasks.errors import RequestError
from tasks.geometry.cameras import project
from tasks.hands.skeleton import Side
from tasks.image_cache import ImageCache
from tasks.layouts.base import TwoHandSamples
from tasks.layouts.crops import crop_image, first_unusable, intrinsics_of_crops
from tasks.layouts.decoding import hand_in_use
from tasks.two_hands.batch import TwoHandBatch
from tasks.two_hands.crops import hand_boxes, square_around

SIDES: tuple[Side, Side] = ("right", "left")
"""The order of hands in every array of this task."""
INTERACTING = "interacting"
DARK = 10.0
"""IntagHand drops frames whose mean grey value, of 0 to 255, lies below this."""
TIPS = "intaghand"
"""The fingertips of the keypoints: 745 317 444 556 673 beside the model's 16 rows, as Im2Hands has them."""


@dataclass(frozen=True)
class TwoHandTruth:
    """B frames: right hand, then left; points in metres, OpenCV camera frame, float64, as exact as the layout's."""

    joints_cam_m: Tensor
    """(B, 2, 21, 3), finger-major, NaN where not annotated."""
    joint_valid: Tensor
    """(B, 2, 21) bool: annotated, inside the image, and the hand's wrist is valid."""
    has_hand: Tensor
    """(B, 2) bool: the hands that the frame's type names."""
    hand_type_valid: Tensor
    """(B,) bool."""
    has_fit: Tensor
    """(B, 2) bool: the hand has a MANO fit."""

    @property
    def interacting(self) -> Tensor:
        """(B,) bool: both hands are there."""
        return self.has_hand.all(dim=1)

    @property
    def fitted_pair(self) -> Tensor:
        """(B,) bool: interacting beyond doubt, with both fits: the frames that IntagHand's preparation keeps."""
        return self.interacting & self.hand_type_valid & self.has_fit.all(dim=1)


class TwoHandDataset:
    """The frames of a split, or of a part of it, by position."""

    def __init__(
        self, samples: TwoHandSamples, indices: Sequence[int] | np.ndarray, image_size_px: int
    ) -> None:
        self.samples = samples
        self.indices = np.asarray(indices, dtype=np.int64)
        self.image_size_px = image_size_px
        self._images = ImageCache(len(samples), (3, image_size_px, image_size_px), self._decode)
        self._crops_px = np.full((len(samples), 3), np.nan)
        self._keypoints_m: np.ndarray | None = None
        self._derived: dict[str, np.ndarray] = {}

    def part(self, positions: np.ndarray) -> TwoHandDataset:
        """The frames at these positions alone; images that are in memory stay there for both."""
        part = copy.copy(self)
        part.indices = self.indices[positions]
        if self._keypoints_m is not None:
            part._keypoints_m = self._keypoints_m[positions]
        part._derived = {name: values[positions] for name, values in self._derived.items()}
        return part

    def with_keypoints(self, keypoints_cam_m: np.ndarray) -> TwoHandDataset:
        """The same frames, with these (n, 2, 21, 3) for the keypoints that methods are given; NaN: no such hand.

        Raises RequestError for another shape.
        """
        expected = (len(self), 2, 21, 3)
        if keypoints_cam_m.shape != expected:
            raise RequestError(f"keypoints have the shape {keypoints_cam_m.shape}: expected {expected}.")
        changed = copy.copy(self)
        changed._keypoints_m = keypoints_cam_m
        return changed

    def with_derived(self, derived: Mapping[str, np.ndarray]) -> TwoHandDataset:
        """The same frames, with what was derived of each beforehand: (n, 2, ...) arrays by name, right hand first."""
        changed = copy.copy(self)
        changed._derived = dict(derived)
        return changed

    def __len__(self) -> int:
        return len(self.indices)

    @property
    def ids(self) -> list[str]:
        """The id of each frame, by position."""
        return [self.samples.ids[i] for i in self.indices]

    def ids_at(self, indices: Tensor) -> list[str]:
        """The ids of these positions."""
        return [self.samples.ids[row] for row in self.indices[indices.numpy()]]

    @property
    def clusters(self) -> list[str]:
        """The unit of replication of each frame, by position."""
        return [self.samples.clusters[i] for i in self.indices]

    def truth(self, indices: Tensor) -> TwoHandTruth:
        """The truth of these positions (B,) int64, without touching an image."""
        rows = self.indices[indices.numpy()]
        samples = self.samples
        types = np.asarray(samples.hand_type)[rows]
        has_hand = np.stack([(types == side) | (types == INTERACTING) for side in SIDES], axis=1)
        return TwoHandTruth(
            joints_cam_m=_float64(samples.joints_m[rows]),
            joint_valid=torch.from_numpy(np.asarray(samples.joint_valid)[rows]),
            has_hand=torch.from_numpy(has_hand),
            hand_type_valid=torch.from_numpy(np.asarray(samples.hand_type_valid)[rows].astype(bool)),
            has_fit=torch.from_numpy(np.asarray(samples.has_fit)[rows]),
        )

    def gather(self, indices: Tensor) -> TwoHandBatch:
        """The batch of these positions (B,) int64. Raises RequestError for an image that cannot be decoded."""
        positions = indices.numpy()
        rows = self.indices[positions]
        truth = self.truth(indices)
        verts_m = self.true_verts(indices)
        crops_px = self._crops(rows, truth, verts_m)
        images = self._images.take(rows)
        intrinsics_px = intrinsics_of_crops(self.samples.intrinsics_px[rows], crops_px, self.image_size_px)
        true_keypoints_m = self._true_keypoints(truth, verts_m)
        keypoints_m = true_keypoints_m
        if self._keypoints_m is not None:
            keypoints_m = _float64(self._keypoints_m[positions])
        return TwoHandBatch(
            image=images.float().mul_(1 / 255),
            intrinsics_px=torch.from_numpy(intrinsics_px).float(),
            joints_cam_m=truth.joints_cam_m.nan_to_num().float(),
            joint_valid=truth.joint_valid,
            has_hand=truth.has_hand,
            verts_cam_m=verts_m.nan_to_num().float(),
            has_fit=truth.has_fit,
            keypoints_cam_m=keypoints_m.nan_to_num().float(),
            has_keypoints=keypoints_m.flatten(2).isfinite().all(dim=2),
            true_keypoints_cam_m=true_keypoints_m.nan_to_num().float(),
            index=indices,
            derived={name: torch.from_numpy(values[positions]) for name, values in self._derived.items()},
        )

    def _crops(self, rows: np.ndarray, truth: TwoHandTruth, verts_m: Tensor) -> np.ndarray:
        """(B, 3) crops, kept for ``_decode``."""
        intrinsics_px = torch.from_numpy(np.asarray(self.samples.intrinsics_px[rows], np.float64))
        verts_px = project(verts_m, intrinsics_px[:, None]).numpy()
        boxes_px = hand_boxes(
            verts_px, truth.has_fit.numpy(), truth.has_hand.numpy(), np.asarray(self.samples.box_px)[rows]
        )
        crops_px = square_around(boxes_px)
        bad = first_unusable(crops_px)
        if bad is not None:
            raise RequestError(
                f"frame '{self.samples.ids[rows[bad]]}' has no usable crop around its hands; 'palmares data check' "
                "lists every problem."
            )
        self._crops_px[rows] = crops_px
        return crops_px

    def _decode(self, row: int) -> Tensor:
        pixels = crop_image(self.samples.image(row), self._crops_px[row], self.image_size_px)
        return torch.from_numpy(pixels).permute(2, 0, 1)

    def _true_keypoints(self, truth: TwoHandTruth, verts_m: Tensor) -> Tensor:
        """(B, 2, 21, 3) float64, NaN where there are none."""
        regressors = [hand_in_use(side).joint_regressor21(TIPS).double() for side in SIDES]
        fitted_m = torch.stack([row @ verts_m[:, i] for i, row in enumerate(regressors)], dim=1)
        return torch.where(truth.has_fit[..., None, None], fitted_m, truth.joints_cam_m)

    def true_verts(self, indices: Tensor) -> Tensor:
        """(B, 2, V, 3) float64: the vertices of the fits in metres, camera frame; NaN where there is no fit."""
        return _float64(self.samples.fits(self.indices[indices.numpy()])["verts_m"])

    def image(self, index: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Whole image (H, W, 3) uint8, its intrinsics (3, 3) and the hands' box (4,) x, y, width, height in pixels."""
        row = int(self.indices[index])
        intrinsics_px = np.asarray(self.samples.intrinsics_px[row], dtype=np.float64)
        return self.samples.image(row), intrinsics_px, np.asarray(self.samples.box_px[row], dtype=np.float64)

    def dark(self, indices: Tensor) -> Tensor:
        """(B,) bool: frames too dark for IntagHand's preparation. One whose image is not there is taken to be lit."""
        rows = self.indices[indices.numpy()].tolist()
        return torch.tensor([self.samples.brightness(row) < DARK for row in rows], dtype=torch.bool)


def _float64(array: np.ndarray) -> Tensor:
    return torch.from_numpy(np.array(array, dtype=np.float64))

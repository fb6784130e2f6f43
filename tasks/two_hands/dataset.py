"""A two-hand split by position: ids, clusters, and the truth that predictions are scored against."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from tasks.errors import RequestError
from tasks.hands.skeleton import Side
from tasks.layouts.base import TwoHandSamples

SIDES: tuple[Side, Side] = ("right", "left")
"""The order of hands in every array of this task."""
INTERACTING = "interacting"
DARK = 10.0
"""IntagHand drops frames whose mean grey value, of 0 to 255, lies below this."""


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
        return torch.tensor([self._is_dark(int(self.indices[i])) for i in indices.tolist()], dtype=torch.bool)

    def _is_dark(self, row: int) -> bool:
        try:
            return bool(self.samples.image(row).mean() < DARK)
        except RequestError:
            return False


def _float64(array: np.ndarray) -> Tensor:
    return torch.from_numpy(np.array(array, dtype=np.float64))

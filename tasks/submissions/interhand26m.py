"""InterHand2.6M's submission: an ``.npz`` with the names of the official evaluation.

``joint_coord`` (n, 42, 3): pixels of the original image, and millimetres of depth relative to that hand's true wrist,
which the official script adds; right hand, then left, order C. ``rel_root_depth`` (n,) or (n, 1): millimetres, of the
left wrist relative to the right one. ``hand_type`` (n, 2): probabilities of a right and of a left hand. Fields of our
own that have no official name may stand beside them.
Source: facebookresearch/InterHand2.6M data/InterHand2.6M/dataset.py.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from tasks.hands.skeleton import reorder
from tasks.prediction_fields import RAGGED_SHAPES, SHAPES, Shape
from tasks.ragged import Fields
from tasks.submissions.fields import ScoredSet, Spool, block_rows, sample_rows
from tasks.submissions.named_arrays import field_names, read_arrays

MM_PER_M = 1000.0
OFFICIAL: dict[str, Shape] = {"joint_coord": (42, 3), "rel_root_depth": (), "hand_type": (2,)}
REQUIRED = ("joint_coord", "rel_root_depth", "hand_type")
REPLACED = ("joints_cam_m", "handedness")
"""Our own fields that the official ones hold."""


def is_official(file: Path) -> bool:
    """Whether the arrays have the official names."""
    return any(name in OFFICIAL for name in field_names(file))


def read_official(file: Path, dataset: ScoredSet, spool: Spool) -> Fields:
    """The task's fields; a hand whose true wrist is not known cannot be placed and is NaN."""
    ids = dataset.ids
    own = {name: shape for name, shape in SHAPES["two_hands"].items() if name not in REPLACED}
    ragged = RAGGED_SHAPES["two_hands"]
    fields = read_arrays(
        file, {**OFFICIAL, **own}, ids, spool, REQUIRED, may_be_columns=("rel_root_depth",), ragged=ragged
    )
    joints_m = spool.array("joints_cam_m", (len(ids), 2, 21, 3))
    given = fields.get("relative_root_m")
    roots_m = given if isinstance(given, np.ndarray) else spool.array("relative_root_m", (len(ids), 3))
    for rows, place in _placements(dataset):
        joints_m[rows], relative_m = place.to_camera(
            np.asarray(fields["joint_coord"][rows]), np.asarray(fields["rel_root_depth"][rows])
        )
        if given is None:
            roots_m[rows] = relative_m
    kept = {name: values for name, values in fields.items() if name in own or name in ragged}
    result = {"joints_cam_m": joints_m, **kept, "relative_root_m": roots_m, "handedness": fields["hand_type"]}
    for name in ("joint_coord", "rel_root_depth"):
        spool.drop(name)
    return result


def official_arrays(
    fields: Mapping[str, np.ndarray], dataset: ScoredSet, spool: Spool
) -> dict[str, np.ndarray]:
    """The official fields, and those of our own that have no official name."""
    n = len(dataset.ids)
    shapes: dict[str, tuple[int, ...]] = {"joint_coord": (42, 3), "rel_root_depth": (1,), "hand_type": (2,)}
    arrays = {name: spool.array(name, (n, *shape)) for name, shape in shapes.items()}
    for rows, place in _placements(dataset):
        joints_m = np.asarray(fields["joints_cam_m"][rows], np.float64)
        relative_m = np.asarray(
            fields["relative_root_m"][rows]
            if "relative_root_m" in fields
            else joints_m[:, 1, 0] - joints_m[:, 0, 0],
            np.float64,
        )
        coord, depth_mm = place.from_camera(joints_m, relative_m)
        arrays["joint_coord"][rows], arrays["rel_root_depth"][rows, 0] = coord, depth_mm
        present = np.isfinite(joints_m).all(axis=(2, 3))
        arrays["hand_type"][rows] = fields["handedness"][rows] if "handedness" in fields else present
    return arrays | {name: values for name, values in fields.items() if name not in REPLACED}


class _Placement:
    """The cameras of some frames and the true depths (k, 2) of their wrists, metres."""

    def __init__(self, intrinsics_px: np.ndarray, wrist_depth_m: np.ndarray) -> None:
        self._focal = intrinsics_px[:, [0, 1], [0, 1]][:, None, None]
        self._centre = intrinsics_px[:, [0, 1], [2, 2]][:, None, None]
        self._wrist_m = wrist_depth_m

    def to_camera(self, coord: np.ndarray, depth_mm: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Official coordinates (k, 42, 3) and relative depths (k,) -> joints (k, 2, 21, 3), relative roots (k, 3)."""
        hands = coord.reshape(-1, 2, 21, 3)[:, :, reorder("C", "B")]
        pixels, offset_m = hands[..., :2], hands[..., 2] / MM_PER_M
        joints_m = self._back_project(pixels, offset_m + self._wrist_m[:, :, None])
        left_depth_m = offset_m[:, 1, :1] + self._wrist_m[:, :1] + depth_mm.reshape(-1, 1) / MM_PER_M
        left_m = self._back_project(pixels[:, 1:, :1], left_depth_m[:, None])[:, 0, 0]
        return joints_m, left_m - joints_m[:, 0, 0]

    def from_camera(self, joints_m: np.ndarray, relative_m: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The inverse; of a relative root it keeps the depth, since its pixel is that of the left wrist."""
        known_m = np.where(np.isfinite(self._wrist_m), self._wrist_m, joints_m[:, :, 0, 2])
        with np.errstate(invalid="ignore", divide="ignore"):
            pixels = joints_m[..., :2] / joints_m[..., 2:] * self._focal + self._centre
        offset_m = joints_m[..., 2] - known_m[:, :, None]
        hands = np.concatenate([pixels, offset_m[..., None] * MM_PER_M], axis=-1)[:, :, reorder("B", "C")]
        left_m = joints_m[:, 0, 0, 2] + relative_m[:, 2]
        return hands.reshape(-1, 42, 3), (left_m - offset_m[:, 1, 0] - known_m[:, 0]) * MM_PER_M

    def _back_project(self, pixels: np.ndarray, depth_m: np.ndarray) -> np.ndarray:
        return np.concatenate(
            [(pixels - self._centre) / self._focal * depth_m[..., None], depth_m[..., None]], -1
        )


def _placements(dataset: ScoredSet) -> Iterator[tuple[slice, _Placement]]:
    """Blocks of rows, each with its cameras and wrists."""
    samples, at, step = dataset.samples, sample_rows(dataset), block_rows((42, 3))
    for start in range(0, len(at), step):
        rows = slice(start, min(start + step, len(at)))
        wrist_depth_m = np.asarray(samples.joints_m[at[rows]][:, :, 0, 2], np.float64)
        yield rows, _Placement(np.asarray(samples.intrinsics_px[at[rows]], np.float64), wrist_depth_m)

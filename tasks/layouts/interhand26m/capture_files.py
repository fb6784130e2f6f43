"""The other annotation files as arrays: cameras, joints and MANO fits, one row per camera or frame of a capture."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tasks.layouts.interhand26m.files import HAND_TYPES, MM, N_JOINTS, SIDES, Defect, load_json

_CAMERA_SHAPES: dict[str, tuple[int, ...]] = {
    "campos": (3,),
    "camrot": (3, 3),
    "focal": (2,),
    "princpt": (2,),
}
ROTATION_TOLERANCE = 1e-2
_FIT_SHAPES: dict[str, tuple[int, ...]] = {"pose": (48,), "shape": (10,), "trans": (3,)}


@dataclass(frozen=True)
class Cameras:
    """Rows by (capture, camera)."""

    row_of: dict[tuple[int, str], int]
    campos_mm: np.ndarray
    """(n, 3) centres, world."""
    camrot: np.ndarray
    """(n, 3, 3) world to camera."""
    intrinsics_px: np.ndarray
    """(n, 3, 3)."""

    @property
    def campos_m(self) -> np.ndarray:
        """(n, 3)."""
        return self.campos_mm / MM


@dataclass(frozen=True)
class Joints:
    """Rows by (capture, frame)."""

    row_of: dict[tuple[int, int], int]
    world_mm: np.ndarray
    """(n, 42, 3) order C."""
    annotated: np.ndarray
    """(n, 42) bool."""
    hand_type: np.ndarray
    """(n,) int64: index into ``HAND_TYPES``."""


@dataclass(frozen=True)
class Fits:
    """Rows by (capture, frame); hands are right, left; NaN where a hand has no fit."""

    row_of: dict[tuple[int, int], int]
    pose_aa: np.ndarray
    """(n, 2, 48) ``hands_mean`` still to be added."""
    betas: np.ndarray
    """(n, 2, 10)."""
    trans_m: np.ndarray
    """(n, 2, 3) world."""

    @property
    def present(self) -> np.ndarray:
        """(n, 2) bool."""
        return np.isfinite(self.trans_m).all(axis=-1)


def read_cameras(path: Path) -> tuple[Cameras, list[Defect]]:
    """The cameras, and the records that could not be read."""
    rows: dict[tuple[int, str], dict[str, np.ndarray]] = {}
    content, defects = load_json(path)
    for capture, tables in _numbered(content, defects):
        if not isinstance(tables, dict) or not all(isinstance(tables.get(k), dict) for k in _CAMERA_SHAPES):
            defects.append((str(capture), f"lacks one of {', '.join(_CAMERA_SHAPES)}"))
            continue
        for camera in sorted(set().union(*(tables[key] for key in _CAMERA_SHAPES))):
            try:
                rows[capture, camera] = _camera(tables, camera)
            except _BadRecordError as error:
                defects.append((f"{capture}/{camera}", str(error)))
    return _cameras(rows), defects


def _camera(tables: dict[str, dict], camera: str) -> dict[str, np.ndarray]:
    row = {key: _array(tables[key], camera, shape, name=key) for key, shape in _CAMERA_SHAPES.items()}
    turn = row["camrot"]
    if not np.abs(turn @ turn.T - np.eye(3)).max() < ROTATION_TOLERANCE or np.linalg.det(turn) < 0:
        raise _BadRecordError("'camrot' is no rotation")
    if not (row["focal"] > 0).all():
        raise _BadRecordError("'focal' is not positive")
    return row


def _cameras(rows: dict[tuple[int, str], dict[str, np.ndarray]]) -> Cameras:
    intrinsics = np.tile(np.eye(3), (len(rows), 1, 1))
    for k, row in zip(intrinsics, rows.values(), strict=True):
        k[[0, 1], [0, 1]], k[:2, 2] = row["focal"], row["princpt"]
    return Cameras(
        row_of={key: i for i, key in enumerate(rows)},
        campos_mm=_stack([row["campos"] for row in rows.values()], (3,)),
        camrot=_stack([row["camrot"] for row in rows.values()], (3, 3)),
        intrinsics_px=intrinsics,
    )


def read_joints(path: Path) -> tuple[Joints, list[Defect]]:
    """The joints of every frame, and the records that could not be read."""
    rows: dict[tuple[int, int], _Frame] = {}
    content, defects = load_json(path, _frame)
    for key, record in _frames(content, defects):
        if isinstance(record, _Frame):
            rows[key] = record
        else:
            text = record if isinstance(record, str) else "lacks 'world_coord'"
            defects.append((f"{key[0]}/{key[1]}", text))
    frames = rows.values()
    return Joints(
        row_of={key: i for i, key in enumerate(rows)},
        world_mm=_stack([frame.world_mm for frame in frames], (N_JOINTS, 3)),
        annotated=_stack([frame.annotated for frame in frames], (N_JOINTS,)).astype(bool),
        hand_type=np.array([frame.hand_type for frame in frames], np.int64),
    ), defects


@dataclass(frozen=True)
class _Frame:
    world_mm: np.ndarray
    annotated: np.ndarray
    hand_type: int


def _frame(record: dict) -> Any:
    if "world_coord" not in record:
        return record
    try:
        world = _array(record, "world_coord", (N_JOINTS, 3), finite=False)
        annotated = _array(record, "joint_valid", (N_JOINTS, 1))[:, 0] == 1
    except _BadRecordError as error:
        return str(error)
    if not np.isfinite(world[annotated]).all():
        return "'world_coord' holds NaN or infinite numbers"
    if record.get("hand_type") not in HAND_TYPES:
        return f"has the hand type {record.get('hand_type')!r}: one of {', '.join(HAND_TYPES)} expected"
    return _Frame(world, annotated, HAND_TYPES.index(record["hand_type"]))


def read_fits(path: Path) -> tuple[Fits, list[Defect]]:
    """The MANO fits, and those that could not be read."""
    row_of: dict[tuple[int, int], int] = {}
    rows: list[np.ndarray] = []
    content, defects = load_json(path, _fit)
    for key, record in _frames(content, defects):
        row = np.full((2, sum(_size(shape) for shape in _FIT_SHAPES.values())), np.nan)
        for hand, side in enumerate(SIDES):
            fit = record.get(side) if isinstance(record, dict) else "is no record"
            if isinstance(fit, np.ndarray):
                row[hand] = fit
            elif fit is not None:
                text = fit if isinstance(fit, str) else "lacks 'pose'"
                defects.append((f"{key[0]}/{key[1]}/{side}", text))
        row_of[key] = len(rows)
        rows.append(row)
    table = _stack(rows, (2, 61))
    return Fits(row_of, table[..., :48], table[..., 48:58], table[..., 58:]), defects


def _fit(record: dict) -> Any:
    if "pose" not in record:
        return record
    try:
        return np.concatenate([_array(record, key, shape) for key, shape in _FIT_SHAPES.items()])
    except _BadRecordError as error:
        return str(error)


def _frames(content: dict, defects: list[Defect]) -> Iterator[tuple[tuple[int, int], Any]]:
    for capture, frames in _numbered(content, defects):
        if not isinstance(frames, dict):
            defects.append((str(capture), "holds no frames"))
            continue
        for frame, record in _numbered(frames, defects, f"{capture}/"):
            yield (capture, frame), record


def _numbered(content: dict, defects: list[Defect], within: str = "") -> Iterator[tuple[int, Any]]:
    """Items whose keys are whole numbers in text; other keys are defects."""
    for key, value in content.items():
        if key.isdecimal():
            yield int(key), value
        else:
            defects.append((f"{within}{key}", "is no number of a capture or frame"))


class _BadRecordError(ValueError):
    """A record whose numbers are missing, of another shape, or impossible."""


def _array(
    record: dict, key: str, shape: tuple[int, ...], finite: bool = True, name: str | None = None
) -> np.ndarray:
    name = name or key
    if key not in record:
        raise _BadRecordError(f"lacks '{name}'")
    try:
        array = np.asarray(record[key], np.float64)
    except (ValueError, TypeError, OverflowError):
        raise _BadRecordError(f"'{name}' is ragged, or holds something that is no number") from None
    if array.shape != shape:
        raise _BadRecordError(f"'{name}' has shape {array.shape}: {shape} expected")
    if finite and not np.isfinite(array).all():
        raise _BadRecordError(f"'{name}' holds NaN or infinite numbers")
    return array


def _stack(rows: list[np.ndarray], shape: tuple[int, ...]) -> np.ndarray:
    return np.stack(rows) if rows else np.zeros((0, *shape))


def _size(shape: tuple[int, ...]) -> int:
    return int(np.prod(shape))

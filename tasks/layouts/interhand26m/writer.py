"""Writes InterHand2.6M's official layout: JPEG images by capture, sequence, camera and frame, and JSON by split."""

import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from tasks.hands.skeleton import JOINTS, Side
from tasks.layouts.interhand26m.files import (
    SIDES,
    WRISTS,
    SplitName,
    annotation_folder,
    annotation_path,
    image_folder,
    image_name,
)

DECIMALS = 5
"""Of millimetres and pixels: 10 nanometres."""
FIT_DECIMALS = 8
"""Of metres and radians."""
JPEG_QUALITY = 92


Fragments = dict[str, Any]
"""Text of records without brackets, as JSON can hold it: ``images`` and ``annotations``, and by capture the others."""


@dataclass(frozen=True)
class Camera:
    """One camera of a capture."""

    capture: int
    camera: str
    campos_mm: np.ndarray
    camrot: np.ndarray
    """(3, 3) world to camera."""
    focal_px: np.ndarray
    princpt_px: np.ndarray


@dataclass(frozen=True)
class Moment:
    """One frame of a capture, whoever looks at it."""

    capture: int
    sequence: str
    frame: int
    hand_type: str
    world_mm: np.ndarray
    """(42, 3) order C."""
    annotated: np.ndarray
    """(42,) bool."""
    fits: Mapping[Side, tuple[np.ndarray, np.ndarray, np.ndarray] | None]
    """Side -> pose (48,), shape (10,), translation (3,) in metres, world; None where the hand has none."""


@dataclass(frozen=True)
class Shot:
    """One image and its annotation."""

    id: int
    capture: int
    subject: str
    sequence: str
    camera: str
    frame: int
    size_px: tuple[int, int]
    """Width, height."""
    box_px: np.ndarray
    """(4,)."""
    joint_valid: np.ndarray
    """(42,) bool: annotated and inside the image."""
    hand_type: str


def write_image(root: Path, split: SplitName, shot: Shot, rgb: np.ndarray) -> None:
    """One colour image (H, W, 3) uint8."""
    path = image_folder(root, split) / image_name(shot.capture, shot.sequence, shot.camera, shot.frame)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(rgb).save(path, quality=JPEG_QUALITY)


def write_texts(root: Path, subjects: Iterable[tuple[str, int, str]]) -> None:
    """``skeleton.txt`` (name, number, parent of each joint) and ``subject.txt`` (split, capture, subject)."""
    folder = root / "annotations"
    folder.mkdir(parents=True, exist_ok=True)
    lines = ["# joint_name joint_id joint_parent_id"]
    for hand, side in enumerate(SIDES):
        for k, name in enumerate(JOINTS["C"]):
            parent = -1 if name == "wrist" else WRISTS[hand] if name.endswith("1") else 21 * hand + k + 1
            lines.append(f"{side[0]}_{name.replace('_', '')} {21 * hand + k} {parent}")
    (folder / "skeleton.txt").write_text("\n".join(lines) + "\n", encoding="ascii")
    rows = [f"{split} Capture{capture} {subject}\n" for split, capture, subject in subjects]
    (folder / "subject.txt").write_text("# split capture subject\n" + "".join(rows), encoding="ascii")


def annotation_fragments(moments: Iterable[Moment], shots: Iterable[Shot]) -> Fragments:
    """The text of these records, for ``write_fragments``."""
    shots, moments = list(shots), list(moments)
    return {
        "images": _joined(map(_image_record, shots)),
        "annotations": _joined(map(_annotation_record, shots)),
        "joint_3d": _by_capture(moments, _joint_record),
        "MANO_NeuralAnnot": _by_capture(moments, _fit_record),
    }


def write_fragments(
    root: Path, split: SplitName, cameras: Iterable[Camera], parts: Sequence[Fragments]
) -> None:
    """The four JSON files of a split, from the fragments of its parts; records keep their order."""
    annotation_folder(root, split).mkdir(parents=True, exist_ok=True)
    lists = (",".join(filter(None, (part[key] for part in parts))) for key in ("images", "annotations"))
    _write_text(root, split, "data", '{{"images":[{}],"annotations":[{}]}}'.format(*lists))
    _write_text(root, split, "camera", _text(_camera_tables(cameras)))
    for key in ("joint_3d", "MANO_NeuralAnnot"):
        captures: dict[str, list[str]] = defaultdict(list)
        for part in parts:
            for capture, frames in part[key].items():
                captures[capture].append(frames)
        tables = (f'"{capture}":{{{",".join(frames)}}}' for capture, frames in captures.items())
        _write_text(root, split, key, f"{{{','.join(tables)}}}")


def write_annotations(
    root: Path, split: SplitName, cameras: Iterable[Camera], moments: Iterable[Moment], shots: Iterable[Shot]
) -> None:
    """The four JSON files of a split; records keep their order."""
    write_fragments(root, split, cameras, [annotation_fragments(moments, shots)])


def _write_text(root: Path, split: SplitName, key: str, text: str) -> None:
    annotation_path(root, split, key).write_text(text, encoding="ascii")


def _joined(records: Iterable[dict]) -> str:
    return ",".join(map(_text, records))


def _text(content: Any) -> str:
    return json.dumps(content, separators=(",", ":"))


def _image_record(shot: Shot) -> dict[str, Any]:
    return {
        "id": shot.id,
        "file_name": image_name(shot.capture, shot.sequence, shot.camera, shot.frame),
        "width": shot.size_px[0],
        "height": shot.size_px[1],
        "capture": shot.capture,
        "subject": shot.subject,
        "seq_name": shot.sequence,
        "camera": shot.camera,
        "frame_idx": shot.frame,
    }


def _annotation_record(shot: Shot) -> dict[str, Any]:
    return {
        "id": shot.id,
        "image_id": shot.id,
        "bbox": _rounded(shot.box_px, 3),
        "joint_valid": [[int(valid)] for valid in shot.joint_valid],
        "hand_type": shot.hand_type,
        "hand_type_valid": 1,
        "category_id": 1,
        "area": float(np.round(shot.box_px[2] * shot.box_px[3], 3)),
        "iscrowd": 0,
    }


def _camera_tables(cameras: Iterable[Camera]) -> dict[str, Any]:
    tables: dict[str, Any] = defaultdict(lambda: {"campos": {}, "camrot": {}, "focal": {}, "princpt": {}})
    for one in cameras:
        table = tables[str(one.capture)]
        table["campos"][one.camera] = _rounded(one.campos_mm, DECIMALS)
        table["camrot"][one.camera] = one.camrot.tolist()
        table["focal"][one.camera] = _rounded(one.focal_px, DECIMALS)
        table["princpt"][one.camera] = _rounded(one.princpt_px, DECIMALS)
    return tables


def _by_capture(moments: Iterable[Moment], record: Callable[[Moment], dict]) -> dict[str, str]:
    """Capture -> the text of its frames."""
    captures: dict[str, list[str]] = defaultdict(list)
    for moment in moments:
        captures[str(moment.capture)].append(f'"{moment.frame}":{_text(record(moment))}')
    return {capture: ",".join(frames) for capture, frames in captures.items()}


def _joint_record(moment: Moment) -> dict[str, Any]:
    return {
        "world_coord": _rounded(moment.world_mm, DECIMALS),
        "joint_valid": [[int(valid)] for valid in moment.annotated],
        "hand_type": moment.hand_type,
        "hand_type_valid": 1,
        "seq": moment.sequence,
    }


def _fit_record(moment: Moment) -> dict[str, Any]:
    return {side: _one_fit(moment.fits.get(side)) for side in SIDES}


def _one_fit(fit: tuple[np.ndarray, np.ndarray, np.ndarray] | None) -> dict[str, Any] | None:
    if fit is None:
        return None
    names = ("pose", "shape", "trans")
    return {name: _rounded(values, FIT_DECIMALS) for name, values in zip(names, fit, strict=True)}


def _rounded(array: np.ndarray, decimals: int) -> Any:
    return np.round(np.asarray(array, np.float64), decimals).tolist()

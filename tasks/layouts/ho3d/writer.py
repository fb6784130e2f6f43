"""Writes HO-3D's official layout: a pickle and two or three images a frame, lists, evaluation truth, calibration."""

import json
import pickle
from collections.abc import Iterable, Mapping, Sequence
from io import TextIOWrapper
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from PIL import Image

from tasks.layouts.ho3d.depth import DEPTH_SCALE_M, encode_depth
from tasks.layouts.ho3d.files import (
    EVALUATION_FILES,
    MASK_SIZE_PX,
    SplitName,
    Version,
    depth_path,
    image_path,
    list_path,
    meta_path,
    segmentation_path,
)

DECIMALS = 8
"""Of every number of the evaluation truth: 10 nanometres."""
JPEG_QUALITY = 92
PNG_LEVEL = 1
"""Photographs hardly become smaller by more, but writing them takes four times as long."""


def make_sequence(root: Path, version: Version, split: SplitName, sequence: str) -> None:
    """The folders of one sequence."""
    folders = ["rgb", "depth", "meta", *(["seg"] if version.has_masks and split == "train" else [])]
    for folder in folders:
        (root / split / sequence / folder).mkdir(parents=True, exist_ok=True)


def write_list(root: Path, split: SplitName, frames: Sequence[str]) -> None:
    """The frames of a split, ``SEQ/FRAME``, in the order of the list."""
    list_path(root, split).write_text("".join(f"{frame}\n" for frame in frames), encoding="ascii")


def write_image(root: Path, version: Version, split: SplitName, frame: str, rgb: np.ndarray) -> None:
    """One colour image (480, 640, 3) uint8."""
    path = image_path(root, version, split, frame)
    options = {"quality": JPEG_QUALITY} if version.image_format == "JPEG" else {"compress_level": PNG_LEVEL}
    Image.fromarray(rgb).save(path, format=version.image_format, **options)


def write_depth(root: Path, split: SplitName, frame: str, depth_m: np.ndarray) -> None:
    """One depth image (480, 640), 0 where unknown."""
    Image.fromarray(encode_depth(depth_m)).save(depth_path(root, split, frame), compress_level=PNG_LEVEL)


def write_segmentation(root: Path, version: Version, frame: str, hand: np.ndarray, item: np.ndarray) -> None:
    """Masks (480, 640) bool of a training frame; on disk a quarter of the size, in the colours of the version."""
    width, height = MASK_SIZE_PX
    shares = [part.reshape(height, 4, width, 4).mean(axis=(1, 3)) for part in (hand, item & ~hand)]
    colours = np.zeros((height, width, 3), np.uint8)
    colours[shares[0] > 0.5, version.mask_channel] = 255
    colours[shares[1] > 0.5, 1 if version.has_masks else 2] = 255
    path = segmentation_path(root, version, frame)
    Image.fromarray(colours).save(path, quality=95)


def write_meta(root: Path, split: SplitName, frame: str, meta: Mapping[str, Any]) -> None:
    """A frame's annotation (``annotations.training_meta`` or ``evaluation_meta``); the same content, the same bytes."""
    with meta_path(root, split, frame).open("wb") as file:
        pickle.dump({key: _plain(value) for key, value in meta.items()}, file, protocol=2)


def _plain(value: Any) -> Any:
    """An array with numpy's own type object, which a pickle refers to: unpickled ones, as numba's cache gives its
    results, are equal but written out anew."""
    return value.astype(np.dtype(value.dtype.str)) if isinstance(value, np.ndarray) else value


def truth_fragments(truth: Iterable[tuple[np.ndarray, np.ndarray]]) -> dict[str, str]:
    """Evaluation file -> the text of these rows (``annotations.evaluation_truth``), without a list's brackets."""
    joints, verts = zip(*truth, strict=True)
    return {
        "joints_m": _rows_text(np.stack(joints)),
        "verts_m": _rows_text(np.stack(verts)),
    }


def _rows_text(rows: np.ndarray) -> str:
    return json.dumps(np.round(rows.astype(np.float64), DECIMALS).tolist(), separators=(",", ":"))[1:-1]


class EvaluationFiles:
    """Both files of evaluation truth, open for appending in the order of the list; leaving the context closes them."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._files: dict[str, TextIOWrapper] = {}
        self._empty = True

    def __enter__(self) -> "EvaluationFiles":
        for key, name in EVALUATION_FILES.items():
            self._files[key] = (self._root / name).open("w", encoding="ascii")
            self._files[key].write("[")
        return self

    def append(self, fragments: Mapping[str, str]) -> None:
        """Append some rows, as made by ``truth_fragments``."""
        for key, file in self._files.items():
            file.write(("" if self._empty else ",") + fragments[key])
        self._empty = False

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for file in self._files.values():
            file.write("]\n")
            file.close()


def write_calibration(
    root: Path, performance: str, intrinsics_px: Sequence[np.ndarray], to_common: Sequence[np.ndarray]
) -> None:
    """v3's calibration of a multi-camera performance: per camera (3, 3) intrinsics and a (4, 4) to a common frame."""
    folder = root / "calibration" / performance / "calibration"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "cam_orders.txt").write_text("".join(f"{i}\n" for i in range(len(intrinsics_px))))
    for i, (k, transform) in enumerate(zip(intrinsics_px, to_common, strict=True)):
        numbers = f"fx: {k[0, 0]:.6f}, fy: {k[1, 1]:.6f}, ppx: {k[0, 2]:.6f}, ppy: {k[1, 2]:.6f}\n"
        (folder / f"cam_{i}_intrinsics.txt").write_text(numbers)
        (folder / f"cam_{i}_depth_scale.txt").write_text(f"{DEPTH_SCALE_M:.20f}\n")
        np.savetxt(folder / f"trans_{i}.txt", transform, fmt="%.10f")

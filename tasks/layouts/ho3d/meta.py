"""HO-3D's annotations as they are read: a pickle a frame, of which nothing runs, and lists of frames."""

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from tasks.errors import RequestError
from tasks.hands.unpickling import load_pickle
from tasks.layouts.ho3d.files import FRAME_ID, SplitName, list_path
from tasks.layouts.records import BadRecordError, record_array

META_SHAPES: dict[SplitName, dict[str, tuple[int, ...]]] = {
    "train": {
        "handPose": (48,),
        "handTrans": (3,),
        "handBeta": (10,),
        "handJoints3D": (21, 3),
        "camMat": (3, 3),
    },
    "evaluation": {"handJoints3D": (3,), "handBoundingBox": (4,), "camMat": (3, 3)},
}
"""Key -> shape of what a sample needs; keys of the object are of no use here. The wrist alone in evaluation frames."""
_MAX_META_BYTES = 4 * 2**20


def load_meta(path: Path) -> dict[str, Any]:
    """The content of a frame's pickle. Raises RequestError, naming the file, unless it is arrays and plain values."""
    return load_pickle(path, "annotation of HO-3D", _MAX_META_BYTES)


def meta_array(meta: dict[str, Any], key: str, shape: tuple[int, ...]) -> np.ndarray:
    """One annotation as float64. Raises BadRecordError when it is missing, None, no numbers, or of another shape."""
    if key not in meta:
        raise BadRecordError("is missing")
    if meta[key] is None:
        raise BadRecordError("is None: the frame has no annotation, but the list names it")
    value = np.asarray(meta[key])
    return record_array(value.reshape(shape) if value.shape == (*shape, 1) else value, shape)


def read_metas(root: Path, paths: list[Path], shapes: dict[str, tuple[int, ...]]) -> dict[str, np.ndarray]:
    """The annotations of these frames, key -> (n, *shape) float64. Raises RequestError at the first unusable one."""
    arrays = {key: np.empty((len(paths), *shape)) for key, shape in shapes.items()}
    for row, path in enumerate(paths):
        meta = load_meta(path)
        for key, shape in shapes.items():
            try:
                arrays[key][row] = meta_array(meta, key, shape)
            except BadRecordError as error:
                raise _unusable(root, path, key, str(error)) from None
    for key, rows in arrays.items():
        finite = np.isfinite(rows).reshape(len(rows), -1).all(axis=1)
        if not finite.all():
            raise _unusable(root, paths[int(np.argmin(finite))], key, "holds NaN or infinite numbers")
    return arrays


def _unusable(root: Path, path: Path, key: str, text: str) -> RequestError:
    return RequestError(f"{path}[{key}]: {text}; 'palmares data check' lists every problem of {root}.")


def read_list(root: Path, split: SplitName) -> list[str]:
    """The frames of a split in the order of its list. Raises RequestError for a missing or malformed list."""
    path = list_path(root, split)
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except OSError as error:
        raise RequestError(
            f"{path}: cannot be read ({error.strerror}); expected lines 'SEQ/FRAME'."
        ) from None
    except UnicodeDecodeError:
        raise RequestError(f"{path}: is no text; expected lines 'SEQ/FRAME'.") from None
    frames = [line.strip() for line in lines if line.strip()]
    for number, frame in enumerate(frames, start=1):
        if not FRAME_ID.fullmatch(frame):
            raise RequestError(f"{path}, line {number}: {frame[:40]!r} is no 'SEQ/FRAME', as in 'MC1/0003'.")
    if not frames:
        raise RequestError(f"{path} lists no frame; expected lines 'SEQ/FRAME'.")
    if len(set(frames)) < len(frames):
        twice = Counter(frames).most_common(1)[0][0]
        raise RequestError(f"{path} lists {twice} twice.")
    return frames

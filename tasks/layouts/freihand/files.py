"""FreiHAND on disk: the names of its files, the arithmetic of its image ids, and its JSON read record by record.

Facts: the official repository lmb-freiburg/freihand (utils/fh_utils.py) and the dataset's page.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import numpy as np

from tasks.errors import RequestError

SplitName = Literal["training", "evaluation"]
SPLITS: tuple[SplitName, ...] = ("training", "evaluation")
IMAGE_SIZE_PX = 224
VERSIONS = ("gs", "hom", "sample", "auto")
"""The four backgrounds of a training sample: green screen, harmonised, sample, automatic colours."""
VERSION_STRIDE = 32560
"""Unique samples of the full training set; the official readers find version v of a sample at this offset times v."""
MARKER = "palmares.json"
"""The file that says that a generator wrote the folder. The real download has none."""

RECORD_SHAPES: dict[str, tuple[int, ...]] = {
    "K": (3, 3),
    "xyz": (21, 3),
    "verts": (778, 3),
    "scale": (),
    "mano": (1, 61),
}
"""Annotation file -> shape of one record: pixels, metres (joints finger-major), metres, metres, MANO parameters."""
FOREIGN_FILES = {"evaluation_errors.json"}
"""Official files that are of no use here."""


def annotation_path(root: Path, split: SplitName, key: str) -> Path:
    """The JSON file of one annotation."""
    return root / f"{split}_{key}.json"


def versions_of(split: SplitName) -> int:
    """The number of images that share one annotation."""
    return len(VERSIONS) if split == "training" else 1


def image_id(sample: int, version: int) -> int:
    """The number of an image file."""
    return sample + VERSION_STRIDE * version


def sample_of(image: int) -> int:
    """The annotation of an image."""
    return image % VERSION_STRIDE


def image_path(root: Path, split: SplitName, image: int) -> Path:
    """The colour image with this id."""
    return root / split / "rgb" / f"{image:08d}.jpg"


def mask_path(root: Path, sample: int) -> Path:
    """The hand mask of a training sample: one for all of its versions. The evaluation set has none."""
    return root / "training" / "mask" / f"{sample:08d}.jpg"


def image_ids_in(folder: Path) -> tuple[set[int], list[str]]:
    """The ids of the images of a folder, and the names that are no image's. Hidden files do not count."""
    ids: set[int] = set()
    strangers: list[str] = []
    for entry in folder.iterdir() if folder.is_dir() else ():
        if re.fullmatch(r"[0-9]{8}\.jpg", entry.name):
            ids.add(int(entry.stem))
        elif not entry.name.startswith("."):
            strangers.append(entry.name)
    return ids, sorted(strangers)


_SPACE = re.compile(r"[ \t\n\r]*")


class BrokenRecordsError(ValueError):
    """A JSON file that is not a list of records, or breaks off. ``record`` is the first one that is lost."""

    def __init__(self, text: str, record: int) -> None:
        super().__init__(text)
        self.record = record


def iterate_records(path: Path) -> Iterator[Any]:
    """The items of a JSON list, decoded one by one, so that a gigabyte of vertices never stands in memory as lists.

    Raises BrokenRecordsError at the first item that cannot be decoded, and OSError where the file cannot be read.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise BrokenRecordsError("is no JSON: it holds bytes that are no text", 0) from None
    position = _after_space(text, 0)
    if text[position : position + 1] != "[":
        raise BrokenRecordsError("is no JSON list of records", 0)
    position = _after_space(text, position + 1)
    decode, count = json.JSONDecoder().raw_decode, 0
    closed = text[position : position + 1] == "]"
    while not closed:
        try:
            item, position = decode(text, position)
        except (ValueError, RecursionError):
            raise BrokenRecordsError(f"{_defect(text)} after {count} whole records", count) from None
        yield item
        count += 1
        position = _after_space(text, position)
        closed = text[position : position + 1] == "]"
        if not closed and text[position : position + 1] != ",":
            raise BrokenRecordsError(f"{_defect(text)} after {count} whole records", count)
        position = position if closed else _after_space(text, position + 1)
    if text[position + 1 :].strip():
        raise BrokenRecordsError("goes on after the end of its list", count)


def _after_space(text: str, position: int) -> int:
    return _SPACE.match(text, position).end()  # type: ignore[union-attr]  # it matches the empty string too


def _defect(text: str) -> str:
    return "is invalid JSON" if text.rstrip().endswith("]") else "is truncated JSON"


class BadRecordError(ValueError):
    """A record that is not an array of numbers of the right shape."""


def record_array(record: Any, shape: tuple[int, ...]) -> np.ndarray:
    """A decoded record as float64. Raises BadRecordError for another shape or for anything that is no number."""
    try:
        array = np.asarray(record)
    except (ValueError, OverflowError, TypeError):
        raise BadRecordError(f"is ragged: shape {shape} expected") from None
    if array.shape != shape:
        raise BadRecordError(f"has shape {array.shape}: {shape} expected")
    if array.dtype.kind not in "iuf":
        raise BadRecordError("holds something that is no number")
    return array.astype(np.float64)


def read_annotation(root: Path, split: SplitName, key: str, dtype: type = np.float32) -> np.ndarray:
    """All records of an annotation file, (n, *shape). Raises RequestError that names the file and the record."""
    path = annotation_path(root, split, key)
    rows: list[np.ndarray] = []
    try:
        for record in iterate_records(path):
            rows.append(record_array(record, RECORD_SHAPES[key]).astype(dtype))
    except OSError as error:
        raise RequestError(f"{path}: cannot be read ({error.strerror}); expected {what_is(key)}.") from None
    except BrokenRecordsError as error:
        raise RequestError(f"{path}: {error}; copy the file again.") from None
    except BadRecordError as error:
        raise RequestError(
            f"{path}[{len(rows)}]: {error}; 'palmares data check' lists every problem."
        ) from None
    return np.stack(rows) if rows else np.zeros((0, *RECORD_SHAPES[key]), dtype)


def what_is(key: str) -> str:
    """An annotation file in words, for messages."""
    return {
        "K": "camera matrices",
        "xyz": "joints",
        "verts": "vertices",
        "scale": "reference bone lengths",
        "mano": "MANO parameters",
    }[key]

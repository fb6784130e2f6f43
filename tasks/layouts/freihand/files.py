"""FreiHAND on disk: the names of its files, the arithmetic of its image ids, and its JSON read record by record.

Facts: the official repository lmb-freiburg/freihand (utils/fh_utils.py) and the dataset's page.
"""

import re
from pathlib import Path
from typing import Literal

import numpy as np

from tasks.layouts.records import read_records

SplitName = Literal["training", "evaluation"]
SPLITS: tuple[SplitName, ...] = ("training", "evaluation")
IMAGE_SIZE_PX = 224
VERSIONS = ("gs", "hom", "sample", "auto")
"""The four backgrounds of a training sample: green screen, harmonised, sample, automatic colours."""
VERSION_STRIDE = 32560
"""Unique samples of the full training set; the official readers find version v of a sample at this offset times v."""

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


def read_annotation(root: Path, split: SplitName, key: str, dtype: type = np.float32) -> np.ndarray:
    """All records of an annotation file, (n, *shape). Raises RequestError that names the file and the record."""
    return read_records(annotation_path(root, split, key), RECORD_SHAPES[key], what_is(key), dtype)


def what_is(key: str) -> str:
    """An annotation file in words, for messages."""
    return {
        "K": "camera matrices",
        "xyz": "joints",
        "verts": "vertices",
        "scale": "reference bone lengths",
        "mano": "MANO parameters",
    }[key]

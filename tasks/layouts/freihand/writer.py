"""Writes FreiHAND's official layout: JPEG images by id, and five JSON lists a split, appended shard by shard."""

import json
from collections.abc import Mapping
from io import TextIOWrapper
from pathlib import Path
from types import TracebackType

import numpy as np
from PIL import Image

from tasks.layouts.freihand.annotations import Annotations
from tasks.layouts.freihand.files import (
    RECORD_SHAPES,
    SPLITS,
    SplitName,
    annotation_path,
    image_path,
    mask_path,
)

DECIMALS = 8
"""Of every number on disk: 10 nanometres, finer than float32 at arm's length."""
JPEG_QUALITY = 92


def make_folders(root: Path) -> None:
    """The folders of an empty dataset."""
    for folder in ("training/rgb", "training/mask", "evaluation/rgb"):
        (root / folder).mkdir(parents=True)


def write_image(root: Path, split: SplitName, image: int, rgb: np.ndarray) -> None:
    """One colour image (224, 224, 3) uint8."""
    Image.fromarray(rgb).save(image_path(root, split, image), quality=JPEG_QUALITY)


def write_mask(root: Path, sample: int, mask: np.ndarray) -> None:
    """The mask (224, 224) bool of a training sample, as white on black."""
    Image.fromarray(np.where(mask, np.uint8(255), np.uint8(0))).save(
        mask_path(root, sample), quality=JPEG_QUALITY
    )


def json_fragments(annotations: Annotations) -> dict[str, str]:
    """Annotation file -> the text of these records, to be put between the brackets of a list."""
    return {
        key: json.dumps(np.round(records.astype(np.float64), DECIMALS).tolist(), separators=(",", ":"))[1:-1]
        for key, records in annotations.files().items()
    }


class AnnotationFiles:
    """The JSON files of a dataset, open for appending; leaving the context closes the lists.

    Fragments go straight to the disk, so that a set of any size needs the memory of one shard.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._files: dict[tuple[SplitName, str], TextIOWrapper] = {}
        self._empty: set[tuple[SplitName, str]] = set()

    def __enter__(self) -> "AnnotationFiles":
        for split in SPLITS:
            for key in RECORD_SHAPES:
                self._files[split, key] = annotation_path(self._root, split, key).open("w", encoding="ascii")
                self._files[split, key].write("[")
        self._empty = set(self._files)
        return self

    def append(self, split: SplitName, fragments: Mapping[str, str]) -> None:
        """Append one shard, as made by ``json_fragments``."""
        for key in RECORD_SHAPES:
            separator = "" if (split, key) in self._empty else ","
            self._files[split, key].write(separator + fragments[key])
            self._empty.discard((split, key))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for file in self._files.values():
            file.write("]")
            file.close()

"""Finds every problem of an InterHand2.6M folder and names it by file and record, whatever the folder holds.

This file checks what is there: files, JSON, the joins between the files, images. ``check_values`` checks the numbers,
``check_hands`` the hands.
"""

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from tasks.layouts.base import Problem
from tasks.layouts.images import defect
from tasks.layouts.interhand26m.check_hands import check_hands
from tasks.layouts.interhand26m.check_values import check_values
from tasks.layouts.interhand26m.files import (
    HAND_TYPES,
    KEYS,
    SPLITS,
    Defect,
    SplitName,
    annotation_folder,
    annotation_name,
    image_folder,
)
from tasks.layouts.interhand26m.tables import Joined, Tables, read_tables
from tasks.layouts.marker import check_marker

OPTIONAL_SPLIT = "val"
_IMAGES_AT_ONCE = 4096


def check_interhand26m(root: Path) -> Iterator[Problem]:
    """Every problem of the dataset folder; no content makes it raise."""
    if not root.is_dir():
        yield Problem(str(root), "", "is no folder")
        return
    yield from check_marker(root)
    for split in SPLITS:
        if split != OPTIONAL_SPLIT or annotation_folder(root, split).is_dir():
            yield from _check_split(root, split)


def _check_split(root: Path, split: SplitName) -> Iterator[Problem]:
    yield from _check_names(root, split)
    found: list[tuple[str, Defect]] = []
    tables = read_tables(root, split, lambda key, defect: found.append((key, defect)))
    yield from (Problem(annotation_name(split, key), *defect) for key, defect in found)
    joined = Joined.of(tables)
    unread = {key for key, (record, _) in found if not record}
    yield from _check_joins(split, tables, joined, unread)
    with np.errstate(all="ignore"):  # absurd numbers overflow; they are reported, not computed with
        yield from check_values(split, tables, joined)
        yield from check_hands(split, tables)
    yield from _check_images(root, split, tables)


def _check_names(root: Path, split: SplitName) -> Iterator[Problem]:
    """Annotation files that InterHand2.6M does not have, so that a misspelt one is seen."""
    known = {annotation_name(split, key) for key in KEYS}
    for path in sorted(annotation_folder(root, split).glob("*.json")):
        if path.name not in known:
            yield Problem(f"annotations/{split}/{path.name}", "", "is no file of InterHand2.6M")


def _check_joins(split: SplitName, tables: Tables, joined: Joined, unread: set[str]) -> Iterator[Problem]:
    """Records that name what is not there. A file that could not be read at all is not told again."""
    images, annotations = tables.images, tables.annotations
    data = annotation_name(split, "data")
    for kind, ids in (("image", images.id), ("annotation", annotations.id)):
        yield from (Problem(data, f"{kind} {i}", "has an id that occurs twice") for i in _repeated(ids))
    if "data" not in unread:
        for kind, ids in (("images", images.id), ("annotations", annotations.id)):
            if not len(ids):
                yield Problem(data, kind, "holds no record")
        for row in np.flatnonzero(joined.image < 0):
            text = f"names image {annotations.image_id[row]}, which is not there"
            yield Problem(data, f"annotation {annotations.id[row]}", text)
        for i in np.setdiff1d(images.id, annotations.image_id):
            yield Problem(data, f"image {i}", "has no annotation")
    places = zip(images.capture.tolist(), images.camera, strict=True)
    moments = zip(images.capture.tolist(), images.frame.tolist(), strict=True)
    if "camera" not in unread:
        yield from _lacking(annotation_name(split, "camera"), places, tables.cameras.row_of)
    if "joint_3d" not in unread:
        yield from _lacking(annotation_name(split, "joint_3d"), moments, tables.joints.row_of)
    if "MANO_NeuralAnnot" not in unread:
        yield from _check_pairs_of_fits(split, tables, joined)


def _check_pairs_of_fits(split: SplitName, tables: Tables, joined: Joined) -> Iterator[Problem]:
    """Whether any interacting frame has both fits. Single ones may lack a fit: protocols on meshes leave those out."""
    annotations = tables.annotations
    interacting = (annotations.hand_type == HAND_TYPES.index("interacting")) & annotations.hand_type_valid
    both = np.append(tables.fits.present.all(axis=1), False)[joined.fit]
    if interacting.any() and not both[interacting].any():
        text = (
            f"has both fits for none of {interacting.sum()} interacting images, as protocols on meshes need"
        )
        yield Problem(annotation_name(split, "MANO_NeuralAnnot"), "", text)


def _repeated(ids: np.ndarray) -> list[int]:
    values, counts = np.unique(ids, return_counts=True)
    return values[counts > 1].tolist()


def _lacking(file: str, keys: Iterator[tuple], row_of: dict) -> Iterator[Problem]:
    for (capture, what), count in sorted(Counter(key for key in keys if key not in row_of).items()):
        yield Problem(file, f"{capture}/{what}", f"is missing, or damaged, but {count} images need it")


def _check_images(root: Path, split: SplitName, tables: Tables) -> Iterator[Problem]:
    """Missing and damaged images."""
    folder, images = image_folder(root, split), tables.images
    if len(images) and not folder.is_dir():
        yield Problem(f"images/{split}", "", f"is missing, with all {len(images)} images")
        return

    def look(row: int) -> str:
        width, height = images.size_px[row].tolist()
        return defect(folder / images.file_name(row), "RGB", "JPEG", (width, height))[0]

    with ThreadPoolExecutor() as pool:  # PIL decodes without the interpreter's lock
        for first in range(0, len(images), _IMAGES_AT_ONCE):
            rows = range(first, min(first + _IMAGES_AT_ONCE, len(images)))
            for row, text in zip(rows, pool.map(look, rows), strict=True):
                if text:
                    yield Problem(f"images/{split}/{images.file_name(row)}", "", text)

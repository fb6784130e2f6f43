"""Finds every problem of a FreiHAND folder and names it by file and record, whatever the folder holds.

This file checks what is there: files, JSON, counts, images. ``check_values`` checks the numbers, ``check_hand`` the
hands.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np

from tasks.layouts.base import Problem
from tasks.layouts.freihand.check_hand import check_hands
from tasks.layouts.freihand.check_values import check_values
from tasks.layouts.freihand.files import (
    FOREIGN_FILES,
    IMAGE_SIZE_PX,
    RECORD_SHAPES,
    SPLITS,
    VERSION_STRIDE,
    VERSIONS,
    SplitName,
    annotation_path,
    image_id,
    image_ids_in,
    image_path,
    mask_path,
    sample_of,
    versions_of,
)
from tasks.layouts.images import defect
from tasks.layouts.marker import MARKER, check_marker
from tasks.layouts.records import BadRecordError, BrokenRecordsError, iterate_records, record_array
from tasks.layouts.table import Table

SMALLEST_MASK_SHARE = 0.005
"""Of the image: a mask with fewer white pixels shows no hand."""


def check_freihand(root: Path) -> Iterator[Problem]:
    """Every problem of the dataset folder; no content makes it raise."""
    if not root.is_dir():
        yield Problem(str(root), "", "is no folder")
        return
    yield from check_marker(root)
    yield from _check_names(root)
    for split in SPLITS:
        tables: dict[str, Table] = {}
        for key in RECORD_SHAPES:
            yield from _read_table(root, split, key, tables)
        yield from _check_counts(tables)
        yield from check_values(tables)
        yield from check_hands(tables)
        count = max((len(table) for table in tables.values()), default=None)
        yield from _check_images(root, split, count)


def _check_names(root: Path) -> Iterator[Problem]:
    """Annotation files that FreiHAND does not have, so that a misspelt one is seen."""
    known = (
        {annotation_path(root, s, key).name for s in SPLITS for key in RECORD_SHAPES}
        | FOREIGN_FILES
        | {MARKER}
    )
    for path in sorted(root.glob("*.json")):
        if path.name not in known:
            yield Problem(path.name, "", "is no file of FreiHAND")


def _read_table(root: Path, split: SplitName, key: str, tables: dict[str, Table]) -> Iterator[Problem]:
    """Put what can be read of an annotation file into ``tables``; yield the rest as problems."""
    path = annotation_path(root, split, key)
    rows: list[np.ndarray | None] = []
    whole = False
    try:
        for record in iterate_records(path):
            try:
                rows.append(record_array(record, RECORD_SHAPES[key]))
            except BadRecordError as error:
                yield Problem(path.name, str(len(rows)), str(error))
                rows.append(None)
        whole = True
    except FileNotFoundError:
        yield Problem(path.name, "", "is missing")
    except OSError as error:
        yield Problem(path.name, "", f"cannot be read: {error.strerror}")
    except BrokenRecordsError as error:
        yield Problem(path.name, str(error.record), str(error))
    if whole and not rows:
        yield Problem(path.name, "", "holds no record")
    if rows:
        tables[key] = Table.of(path.name, rows, RECORD_SHAPES[key], whole)
        yield from tables[key].drop(~tables[key].finite(), "holds NaN or infinite numbers")


def _check_counts(tables: dict[str, Table]) -> Iterator[Problem]:
    counts = {table.file: len(table) for table in tables.values() if table.whole}
    if not counts:
        return
    usual = Counter(counts.values()).most_common(1)[0][0]
    for file, count in counts.items():
        if count != usual:
            yield Problem(file, "", f"holds {count} records where the other files hold {usual}")
        if count > VERSION_STRIDE:
            yield Problem(file, "", f"holds {count} records: at most {VERSION_STRIDE} are possible")


def _check_images(root: Path, split: SplitName, count: int | None) -> Iterator[Problem]:
    """Missing, surplus and damaged images. Without a count of annotations, only what is there is decoded."""
    kinds = [f"images of version {v} ('{VERSIONS[v]}')" for v in range(versions_of(split))]
    rgb_path = partial(image_path, root, split)
    yield from _check_folder(root, f"{split}/rgb", rgb_path, kinds, count)
    if split == "training":
        yield from _check_folder(root, "training/mask", partial(mask_path, root), ["masks"], count)


def _check_folder(
    root: Path, folder: str, path_of: Callable[[int], Path], kinds: list[str], count: int | None
) -> Iterator[Problem]:
    """One folder of images; ``kinds`` names what its files of each background version are."""
    present, strangers = image_ids_in(root / folder)
    yield from (Problem(f"{folder}/{name}", "", "is no image of FreiHAND") for name in strangers)
    expected = sorted(present) if count is None else []
    for version, kind in enumerate(kinds if count else []):
        ids = [image_id(sample, version) for sample in range(count or 0)]
        if present.isdisjoint(ids):
            yield Problem(folder, "", f"lacks all {count} {kind}")
        else:
            expected += ids
    with ThreadPoolExecutor() as pool:  # PIL decodes without the interpreter's lock
        texts = pool.map(partial(_image_defect, is_mask=folder.endswith("mask")), map(path_of, expected))
        for image, text in zip(expected, texts, strict=True):
            if text:
                yield Problem(f"{folder}/{image:08d}.jpg", str(sample_of(image)), text)
    for surplus in sorted(present.difference(expected)):
        yield Problem(f"{folder}/{surplus:08d}.jpg", "", "belongs to no annotation")


def _image_defect(path: Path, is_mask: bool) -> str:
    """What is wrong with an image file, or nothing."""
    text, pixels = defect(path, "L" if is_mask else "RGB", "JPEG", (IMAGE_SIZE_PX, IMAGE_SIZE_PX))
    if is_mask and pixels is not None and (pixels > 128).mean() < SMALLEST_MASK_SHARE:
        return "shows no hand: almost no pixel is white"
    return text

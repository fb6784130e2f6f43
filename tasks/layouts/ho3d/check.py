"""Finds every problem of an HO-3D folder and names it by file and key, whatever the folder holds.

This file checks what is there: lists, pickles, counts, images. ``check_values`` checks the numbers.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np

from tasks.errors import RequestError
from tasks.layouts.base import Problem
from tasks.layouts.ho3d.annotations import joints_from_official
from tasks.layouts.ho3d.check_values import check_values, project
from tasks.layouts.ho3d.files import (
    EVALUATION_FILES,
    FRAME_ID,
    IMAGE_SIZE_PX,
    MASK_SIZE_PX,
    SPLITS,
    SplitName,
    Version,
    depth_path,
    image_path,
    list_path,
    meta_path,
    segmentation_path,
)
from tasks.layouts.ho3d.meta import META_SHAPES, load_meta, meta_array
from tasks.layouts.images import defect
from tasks.layouts.marker import check_marker
from tasks.layouts.records import BadRecordError, BrokenRecordsError, iterate_records, record_array
from tasks.layouts.table import Table, sound_together

MASKS_LOOKED_AT = 64
CLEARLY_MORE = 0.2
"""Share of joints: objects hide some, but not most in all frames."""
TRUTH_SHAPES = {"joints_m": (21, 3), "verts_m": (778, 3)}


def check_ho3d(root: Path, version: Version) -> Iterator[Problem]:
    """Every problem of the dataset folder; no content makes it raise."""
    if not root.is_dir():
        yield Problem(str(root), "", "is no folder")
        return
    yield from check_marker(root)
    for split in SPLITS:
        frames: list[str] = []
        yield from _read_list(root, split, frames)
        tables: dict[str, Table] = {}
        yield from _read_metas(root, split, frames, tables)
        if split == "evaluation":
            for key in EVALUATION_FILES:
                yield from _read_truth(root, key, len(frames), tables)
        yield from check_values(root, split, tables)
        yield from _check_images(root, version, split, frames)
        if split == "train":
            yield from _check_mask_colours(root, version, frames, tables)


def _read_list(root: Path, split: SplitName, frames: list[str]) -> Iterator[Problem]:
    """Put the frames of a list into ``frames``; yield the rest as problems."""
    path = list_path(root, split)
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except FileNotFoundError:
        yield Problem(path.name, "", "is missing")
        return
    except (OSError, UnicodeDecodeError):
        yield Problem(path.name, "", "cannot be read as text")
        return
    seen: set[str] = set()
    for number, line in enumerate((line.strip() for line in lines), start=1):
        if line and not FRAME_ID.fullmatch(line):
            yield Problem(path.name, str(number), f"{line[:40]!r} is no frame, as in 'MC1/0003'")
        elif line in seen:
            yield Problem(path.name, str(number), f"lists {line} once more")
        elif line:
            seen.add(line)
            frames.append(line)
    if not frames:
        yield Problem(path.name, "", "lists no frame")


def _read_metas(
    root: Path, split: SplitName, frames: list[str], tables: dict[str, Table]
) -> Iterator[Problem]:
    """Put what can be read of the pickles into ``tables``; yield the rest as problems."""
    shapes = META_SHAPES[split]
    rows: dict[str, list[np.ndarray | None]] = {key: [] for key in shapes}
    names = [meta_path(root, split, frame).relative_to(root).as_posix() for frame in frames]
    for name in names:
        arrays: dict[str, np.ndarray] = {}
        yield from _read_meta(root, name, shapes, arrays)
        for key in shapes:
            rows[key].append(arrays.get(key))
    for key, shape in shapes.items() if frames else ():
        tables[key] = Table.of(key, rows[key], shape, True)
        tables[key].places = [(name, key) for name in names]
        yield from tables[key].drop(~tables[key].finite(), "holds NaN or infinite numbers")


def _read_meta(
    root: Path, name: str, shapes: dict[str, tuple[int, ...]], arrays: dict[str, np.ndarray]
) -> Iterator[Problem]:
    """Put the usable annotations of one frame into ``arrays``."""
    if not (root / name).exists():
        yield Problem(name, "", "is missing, but the list names its frame")
        return
    try:
        meta = load_meta(root / name)
    except RequestError as error:
        yield Problem(name, "", str(error).removeprefix(f"{root / name}: "))
        return
    for key, shape in shapes.items():
        try:
            arrays[key] = meta_array(meta, key, shape)
        except BadRecordError as error:
            yield Problem(name, key, str(error))


def _read_truth(root: Path, key: str, n_frames: int, tables: dict[str, Table]) -> Iterator[Problem]:
    """Put what can be read of a file of evaluation truth into ``tables``; yield the rest as problems."""
    path, shape = root / EVALUATION_FILES[key], TRUTH_SHAPES[key]
    rows: list[np.ndarray | None] = []
    whole = False
    try:
        for record in iterate_records(path):
            try:
                rows.append(record_array(record, shape))
            except BadRecordError as error:
                yield Problem(path.name, str(len(rows)), str(error))
                rows.append(None)
        whole = True
    except FileNotFoundError:
        yield Problem(path.name, "", "is missing: without it the test split cannot be scored")
    except OSError as error:
        yield Problem(path.name, "", f"cannot be read: {error.strerror}")
    except BrokenRecordsError as error:
        yield Problem(path.name, str(error.record), str(error))
    if whole and len(rows) != n_frames:
        yield Problem(path.name, "", f"holds {len(rows)} records, but evaluation.txt lists {n_frames} frames")
    if rows:
        tables[key] = Table.of(path.name, rows, shape, whole)
        yield from tables[key].drop(~tables[key].finite(), "holds NaN or infinite numbers")


def _check_images(root: Path, version: Version, split: SplitName, frames: list[str]) -> Iterator[Problem]:
    """Missing and damaged images of the listed frames; other frames are not annotated and of no use."""
    with ThreadPoolExecutor() as pool:  # PIL decodes without the interpreter's lock
        for problems in pool.map(partial(_image_problems, root, version, split), frames):
            yield from problems


def _check_mask_colours(
    root: Path, version: Version, frames: list[str], tables: dict[str, Table]
) -> Iterator[Problem]:
    """Segmentations whose hand is of another colour than this version's: joints lie on the hand."""
    if "handJoints3D" not in tables:
        return
    at = sound_together(tables["handJoints3D"], tables["camMat"])[:MASKS_LOOKED_AT]
    joints_m = joints_from_official(tables["handJoints3D"].rows[at])
    joints_px = project(joints_m, tables["camMat"].rows[at]) * MASK_SIZE_PX[0] / IMAGE_SIZE_PX[0]
    hits: list[np.ndarray] = []
    for row, points in zip(at, joints_px, strict=True):
        path = segmentation_path(root, version, frames[row])
        text, colours = defect(path, "RGB", "PNG" if path.suffix == ".png" else "JPEG", MASK_SIZE_PX)
        if not text and colours is not None:
            x, y = np.clip(points.astype(int), 0, np.array(MASK_SIZE_PX) - 1).T
            hits.append((colours[y, x] > 128).mean(axis=0))
    share = np.mean(hits, axis=0) if hits else np.zeros(3)
    found = int(share.argmax())
    if share[found] > share[version.mask_channel] + CLEARLY_MORE:
        names = ("red", "green", "blue")
        text = f"segmentations show hands in {names[found]}: {names[version.mask_channel]} expected"
        yield Problem("train", "", text)


def _image_problems(root: Path, version: Version, split: SplitName, frame: str) -> list[Problem]:
    """What is wrong with the images of one frame. Depth and v2's segmentations need not be there."""
    images = [(image_path(root, version, split, frame), version.image_format, IMAGE_SIZE_PX)]
    depth = depth_path(root, split, frame)
    if depth.parent.is_dir():
        images.append((depth, "PNG", IMAGE_SIZE_PX))
    if split == "train" and version.has_masks:
        images.append((segmentation_path(root, version, frame), "PNG", MASK_SIZE_PX))
    problems = []
    for path, kind, size_px in images:
        text, _ = defect(path, "RGB", kind, size_px)
        if text:
            problems.append(Problem(path.relative_to(root).as_posix(), "", text))
    return problems

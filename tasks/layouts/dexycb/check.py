"""Finds every problem of a DexYCB folder and names it by file and key, whatever the folder holds.

This file checks what is there: calibration, sequences, labels, images. ``check_values`` checks the numbers.
"""

import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from tasks.errors import RequestError
from tasks.layouts.base import Problem
from tasks.layouts.dexycb.annotations import Sequence
from tasks.layouts.dexycb.check_values import check_labels
from tasks.layouts.dexycb.files import (
    IMAGE_SIZE_PX,
    SEQUENCES_PER_SUBJECT,
    SERIALS,
    SUBJECTS,
    depth_path,
    extrinsics_path,
    hand_path,
    image_path,
    intrinsics_path,
    label_path,
)
from tasks.layouts.dexycb.grid import sequences_of
from tasks.layouts.dexycb.labels import (
    LABEL_SHAPES,
    read_betas,
    read_extrinsics,
    read_intrinsics,
    read_label,
    read_sequence,
)
from tasks.layouts.images import defect
from tasks.layouts.marker import check_marker, is_synthetic
from tasks.layouts.table import Table

_SUBJECT = re.compile(r"[0-9]{8}-subject-[0-9]{2}")
_SERIAL = re.compile(r"[0-9]{12}")


@dataclass
class _Calibration:
    """What could be read of it, so that each file is read, and its problems told, once."""

    cameras: dict[str, np.ndarray] = field(default_factory=dict)
    hands: dict[str, np.ndarray | None] = field(default_factory=dict)
    places: set[str] = field(default_factory=set)


def check_dexycb(root: Path) -> Iterator[Problem]:
    """Every problem of the dataset folder; no content makes it raise."""
    if not root.is_dir():
        yield Problem(str(root), "", "is no folder")
        return
    yield from check_marker(root)
    known = _Calibration()
    yield from _check_cameras(root, known.cameras)
    yield from _check_subjects(root)
    for subject in SUBJECTS:
        for name in sequences_of(root, subject):
            yield from _check_sequence(root, name, known)


def _check_cameras(root: Path, cameras: dict[str, np.ndarray]) -> Iterator[Problem]:
    """Put usable intrinsics into ``cameras``; yield the rest as problems."""
    for serial in SERIALS:
        try:
            cameras[serial] = read_intrinsics(root, serial)
        except RequestError as error:
            yield _problem(root, intrinsics_path(root, serial), error)
    folder = root / "calibration" / "intrinsics"
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        if path.name.split("_")[0] not in SERIALS and not path.name.startswith("."):
            yield Problem(path.relative_to(root).as_posix(), "", "is of an unknown camera")


def _check_subjects(root: Path) -> Iterator[Problem]:
    """Folders of unknown subjects, and subjects without all their sequences: splits go by positions."""
    for path in sorted(root.iterdir()):
        if _SUBJECT.fullmatch(path.name) and path.name not in SUBJECTS:
            yield Problem(path.name, "", "is an unknown subject")
    counts = {subject: len(sequences_of(root, subject)) for subject in SUBJECTS}
    if not any(counts.values()):
        yield Problem(str(root), "", "holds no sequence, as in 20200709-subject-01/20200709_141754")
    for subject, count in counts.items() if not is_synthetic(root) else ():
        if count != SEQUENCES_PER_SUBJECT:
            yield Problem(subject, "", f"holds {count} sequences: {SEQUENCES_PER_SUBJECT} expected")


def _check_sequence(root: Path, name: str, known: _Calibration) -> Iterator[Problem]:
    """Every problem of a sequence, its calibration (once) and its images."""
    try:
        sequence = read_sequence(root, name)
    except RequestError as error:
        yield _problem(root, root / name / "meta.yml", error)
        return
    yield from _check_calibration(root, sequence, known)
    yield from _check_meta(root, sequence)
    betas = known.hands[sequence.hand]
    for serial in sequence.serials:
        if serial in SERIALS:
            yield from _check_camera_of(root, sequence, serial, known.cameras.get(serial), betas)


def _check_calibration(root: Path, sequence: Sequence, known: _Calibration) -> Iterator[Problem]:
    if sequence.hand not in known.hands:
        known.hands[sequence.hand] = None
        try:
            known.hands[sequence.hand] = read_betas(root, sequence.hand)
        except RequestError as error:
            yield _problem(root, hand_path(root, sequence.hand), error)
    if sequence.extrinsics not in known.places:
        known.places.add(sequence.extrinsics)
        try:
            missing = set(sequence.serials) - set(read_extrinsics(root, sequence.extrinsics))
        except RequestError as error:
            yield _problem(root, extrinsics_path(root, sequence.extrinsics), error)
            return
        name = extrinsics_path(root, sequence.extrinsics).relative_to(root).as_posix()
        yield from (Problem(name, serial[:40], "has no place") for serial in sorted(missing & set(SERIALS)))


def _check_meta(root: Path, sequence: Sequence) -> Iterator[Problem]:
    """What ``meta.yml`` says that cannot be, and cameras that it does not name."""
    meta = f"{sequence.name}/meta.yml"
    if sequence.num_frames and not 0 <= sequence.ycb_grasp_ind < len(sequence.ycb_ids):
        yield Problem(
            meta, "ycb_grasp_ind", f"is {sequence.ycb_grasp_ind} of {len(sequence.ycb_ids)} objects"
        )
    for serial in sequence.serials:
        if serial not in SERIALS:
            yield Problem(meta, "serials", f"names the unknown camera {serial[:40]}")
    if not is_synthetic(root) and (set(sequence.serials) != set(SERIALS) or not sequence.num_frames):
        yield Problem(meta, "serials", "lacks cameras or frames: all eight cameras expected")
    for path in sorted((root / sequence.name).iterdir()):
        if _SERIAL.fullmatch(path.name) and path.name not in sequence.serials:
            yield Problem(f"{sequence.name}/{path.name}", "", "is of a camera that meta.yml does not name")


def _check_camera_of(
    root: Path, sequence: Sequence, serial: str, intrinsics_px: np.ndarray | None, betas: np.ndarray | None
) -> Iterator[Problem]:
    """Every problem of the images of one camera in one sequence."""
    folder = root / sequence.name / serial
    if not folder.is_dir():
        yield Problem(f"{sequence.name}/{serial}", "", "is missing")
        return
    frames = range(sequence.num_frames)
    for prefix, suffix in (("color_", "jpg"), ("labels_", "npz")):
        count = sum(1 for _ in folder.glob(f"{prefix}*.{suffix}"))
        if count > len(frames):
            text = f"holds {count} files {prefix}*: meta.yml has {len(frames)} frames"
            yield Problem(f"{sequence.name}/{serial}", "", text)
    rows: dict[str, list[np.ndarray | None]] = {key: [] for key in LABEL_SHAPES}
    with ThreadPoolExecutor() as pool:  # archives and images are decoded without the interpreter's lock
        paths = [label_path(root, sequence.name, serial, frame) for frame in frames]
        for arrays, problem in pool.map(lambda p: _try_label(root, p), paths):
            if problem:
                yield problem
            for key, values in rows.items():
                values.append(arrays.get(key))
        for problems in pool.map(lambda f: _image_problems(root, sequence.name, serial, f), frames):
            yield from problems
    tables: dict[str, Table] = {}
    for key, shape in LABEL_SHAPES.items():
        names = [(path.relative_to(root).as_posix(), key) for path in paths]
        tables[key] = Table.of(key, [_float64(row) for row in rows[key]], shape, True)
        tables[key].places = names
        yield from tables[key].drop(~tables[key].finite(), "holds NaN or infinite numbers")
    yield from check_labels(root, sequence, tables, intrinsics_px, betas)


def _float64(row: np.ndarray | None) -> np.ndarray | None:
    return None if row is None else row.astype(np.float64)


def _try_label(root: Path, path: Path) -> tuple[dict[str, np.ndarray], Problem | None]:
    """The arrays of a label and no problem, or none and what is wrong."""
    try:
        arrays = read_label(path, (*LABEL_SHAPES, "seg"))
    except RequestError as error:
        return {}, _problem(root, path, error)
    if not set(np.unique(arrays["seg"]).tolist()) <= {*range(22), 255}:
        return arrays, Problem(path.relative_to(root).as_posix(), "seg", "holds unknown labels")
    return arrays, None


def _image_problems(root: Path, sequence: str, serial: str, frame: int) -> list[Problem]:
    """What is wrong with the images of one frame. Depth need not be there."""
    images = [(image_path(root, sequence, serial, frame), "RGB", "JPEG")]
    depth = depth_path(root, sequence, serial, frame)
    if depth.exists():
        images.append((depth, "I", "PNG"))
    problems = []
    for path, mode, kind in images:
        text, _ = defect(path, mode, kind, IMAGE_SIZE_PX)
        if text:
            problems.append(Problem(path.relative_to(root).as_posix(), "", text))
    return problems


def _problem(root: Path, path: Path, error: RequestError) -> Problem:
    """A reader's refusal as a problem, its advice left out."""
    text = str(error).split(";")[0].rstrip(".")
    name = path.relative_to(root).as_posix()
    record = ""
    rest = text.removeprefix(str(path))
    if rest.startswith("["):
        record, rest = rest[1:].split("]", 1)
    return Problem(name, record, rest.removeprefix(":").strip())

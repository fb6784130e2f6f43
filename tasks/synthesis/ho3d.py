"""Makes a synthetic HO-3D, v2 or v3: the same seed gives the same bytes, whatever the number of processes.

Sequences bear the official names: what they say of object, performance and camera holds here too. ``AP`` brings an
object and ``MPM`` a subject that training never shows; ``SB11`` and ``SB13`` see a performance that training sees from
other cameras. Both versions show the same performances.
"""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tasks.hands.in_use import ENVIRONMENT
from tasks.layouts.ho3d.annotations import (
    Frame,
    ObjectPose,
    contact_meta,
    evaluation_meta,
    evaluation_truth,
    training_meta,
)
from tasks.layouts.ho3d.files import SEGMENTATIONS_V2, V2, V3, SplitName, Version, performance_of
from tasks.layouts.ho3d.writer import (
    EvaluationFiles,
    make_sequence,
    truth_fragments,
    write_calibration,
    write_depth,
    write_image,
    write_list,
    write_meta,
    write_segmentation,
)
from tasks.layouts.marker import write_marker
from tasks.layouts.registry import LAYOUTS
from tasks.synthesis.footage import HAND, THING, Camera, Shot, cast, film, rig, scenery, tools
from tasks.synthesis.making import Progress, make_parts, require_request, signature
from tasks.synthesis.streams import stream
from tasks.synthesis.things import THINGS, Thing, contact
from tasks.synthesis.unfinished import unfinished
from tasks.threads import one_thread

GENERATOR_VERSION = LAYOUTS["ho3d_v3"].generator_version
"""Raise it when the same seed would give other bytes: synthetic data are cached by it."""
DATASET = "ho3d"
"""Names the random streams."""
SMALLEST_EVALUATION, EVALUATION_SHARE = 16, 4
FRAMES_AT_LEAST = 3
"""Per sequence; small sets have fewer sequences."""
UNLABELLED_EVERY = 3
"""One in so many training sequences ends in a frame without annotation, which no list names."""
CAMERAS = 5
"""Of a performance that several cameras saw."""

TRAINING = tuple(
    f"{prefix}{number}"
    for prefix, numbers in (
        ("MC", "1"), ("ABF", "10 11"), ("SM", "2"), ("SB", "10 12"), ("BB", "10 11"), ("SS", "1"), ("GPMF", "10 11"),
        ("ND", "2"), ("SiBF", "10 11"), ("SMu", "1"), ("ShSu", "10 12"), ("GSF", "10 11"), ("SiS", "1"),
        ("MDF", "10 11"), ("MC", "2"), ("SMu", "40 41"), ("SM", "3"), ("ABF", "12 13 14"), ("BB", "12 13 14"),
        ("MC", "4"), ("GPMF", "12 13 14"), ("SS", "2"), ("GSF", "12 13 14"), ("SM", "4"), ("MDF", "12 13 14"),
        ("MC", "5"), ("SB", "14"), ("SMu", "42"), ("ShSu", "13 14"), ("SS", "3"), ("SiBF", "12 13 14"), ("SM", "5"),
        ("MC", "6"),
    )
    for number in numbers.split()
)  # fmt: skip
EVALUATION = (
    "SM1", "AP10", "AP11", "MPM10", "MPM11", "SB11", "SB13", "AP12", "MPM12", "AP13", "MPM13", "AP14", "MPM14",
)  # fmt: skip
"""The official sequences, in the order in which larger sets take them up: kinds and cameras are mixed early."""
ROLES: dict[str, tuple[str, int]] = {
    "ABF": ("021_bleach_cleanser", 0),
    "AP": ("019_pitcher_base", 0),
    "BB": ("011_banana", 1),
    "GPMF": ("010_potted_meat_can", 2),
    "GSF": ("037_scissors", 2),
    "MC": ("003_cracker_box", 3),
    "MDF": ("035_power_drill", 3),
    "MPM": ("010_potted_meat_can", 8),
    "ND": ("035_power_drill", 4),
    "SB": ("021_bleach_cleanser", 5),
    "SM": ("006_mustard_bottle", 5),
    "SMu": ("025_mug", 5),
    "SS": ("004_sugar_box", 5),
    "ShSu": ("004_sugar_box", 6),
    "SiBF": ("011_banana", 7),
    "SiS": ("004_sugar_box", 7),
}
"""Prefix of the sequence -> object and subject."""


@dataclass(frozen=True)
class Sequence:
    """What one camera saw of a performance."""

    name: str
    split: SplitName
    n_frames: int
    """With annotation."""
    unlabelled: bool
    """Whether one more frame follows."""

    @property
    def camera(self) -> int:
        """The last digit where several cameras saw the performance."""
        return 0 if performance_of(self.name) == self.name else int(self.name[-1])

    def frame(self, instant: int) -> str:
        """``SEQ/FRAME``."""
        return f"{self.name}/{instant:04d}"


@dataclass(frozen=True)
class Take:
    """One performance and its sequences, filmed by one process."""

    root: Path
    version: Version
    seed: int
    number: int
    performance: str
    sequences: tuple[Sequence, ...]

    @property
    def n_frames(self) -> int:
        """Annotated frames of all cameras."""
        return sum(sequence.n_frames for sequence in self.sequences)

    @property
    def role(self) -> tuple[Thing, int]:
        """Object and subject."""
        name, subject = ROLES[re.sub(r"[0-9]+$", "", self.performance)]
        return THINGS[name], subject

    @property
    def cameras(self) -> list[Camera]:
        """All that stand around the stage."""
        alone = performance_of(self.sequences[0].name) == self.sequences[0].name
        return rig(stream(self.seed, DATASET, self.number, "rig"), 1 if alone else CAMERAS)


def make_ho3d_v2(
    out: Path, size: int, seed: int, workers: int | None = None, progress: Progress | None = None
) -> None:
    """Write HO-3D v2 with ``size`` listed training frames and ``size // 4`` (at least 16) evaluation frames.

    Some training sequences end in a frame without annotation, which no list names. The evaluation truth is there, in
    the form in which it was published, and so are the segmentations of the training frames. ``workers`` processes (all
    cores by default); ``progress`` is told the frames done and in all. The set appears whole: what a call that ends
    before has finished, the next one like it takes up. Raises RequestError for a size or seed out of range, a folder
    that is not empty, a disk that cannot be written, a process that was killed, or another one that makes the same set.
    """
    _make(V2, out, size, seed, workers, progress)


def make_ho3d_v3(
    out: Path, size: int, seed: int, workers: int | None = None, progress: Progress | None = None
) -> None:
    """Write HO-3D v3, as ``make_ho3d_v2``: with contacts and calibrations, and JPEG images."""
    _make(V3, out, size, seed, workers, progress)


def _make(
    version: Version, out: Path, size: int, seed: int, workers: int | None, progress: Progress | None
) -> None:
    require_request(
        size, seed, version.n_train, f"{version.title} has 1 to {version.n_train} training frames"
    )
    request = signature(version.layout, GENERATOR_VERSION, seed, size)
    with unfinished(out, request) as work:
        takes = _takes(work.root, version, size, seed)
        made = make_parts(work, "take", takes, film_take, lambda take: take.n_frames, workers, progress)
        with EvaluationFiles(work.root) as files:
            for _, truth in made:
                if truth:
                    files.append(truth)
        _write_lists(work.root, version, takes)
        write_marker(work.root, request)


def _takes(root: Path, version: Version, size: int, seed: int) -> list[Take]:
    sequences = [
        *_sequences(TRAINING, "train", size),
        *_sequences(EVALUATION, "evaluation", max(SMALLEST_EVALUATION, size // EVALUATION_SHARE)),
    ]
    numbers = {name: i for i, name in enumerate(dict.fromkeys(map(performance_of, TRAINING + EVALUATION)))}
    return [
        Take(root, version, seed, number, name, own)
        for name, number in numbers.items()
        if (own := tuple(each for each in sequences if performance_of(each.name) == name))
    ]


def _sequences(names: tuple[str, ...], split: SplitName, n_frames: int) -> Iterator[Sequence]:
    """Sequences that share the frames of a split."""
    count = min(len(names), max(1, n_frames // FRAMES_AT_LEAST))
    for i, name in enumerate(names[:count]):
        unlabelled = split == "train" and i % UNLABELLED_EVERY == 0
        yield Sequence(name, split, n_frames // count + (i < n_frames % count), unlabelled)


def _write_lists(root: Path, version: Version, takes: list[Take]) -> None:
    """Lists and calibrations."""
    listed: dict[SplitName, list[str]] = {"train": [], "evaluation": []}
    for take in takes:
        for sequence in take.sequences:
            listed[sequence.split] += [sequence.frame(i) for i in range(sequence.n_frames)]
        if version == V3 and len(take.cameras) > 1:
            to_common = [np.linalg.inv(take.cameras[0].to_stage) @ each.to_stage for each in take.cameras]
            intrinsics_px = [camera.intrinsics_px for camera in take.cameras]
            write_calibration(root, take.performance, intrinsics_px, to_common)
    for split, frames in listed.items():
        write_list(root, split, frames)


def film_take(take: Take) -> dict[str, str] | None:
    """Write the images and annotations of a performance; return the text of its evaluation truth, if any."""
    with one_thread():
        truth = list(_film(take))
        return truth_fragments(truth) if truth else None


def _film(take: Take) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Write all sequences of a performance; yield the evaluation truth of those that are evaluated."""
    thing, subject = take.role
    cameras = take.cameras
    hand, stage = tools(os.environ.get(ENVIRONMENT, ""))
    last = max(each.n_frames + each.unlabelled for each in take.sequences)
    watching = [cameras[each.camera] for each in take.sequences]
    played = cast(stage, hand, take.seed, DATASET, take.number, subject, thing, last, watching)
    for sequence, camera in zip(take.sequences, watching, strict=True):
        _make_folders(take, sequence)
        behind = scenery(stream(take.seed, DATASET, take.number, f"scenery of camera {sequence.camera}"))
        for instant in range(sequence.n_frames + sequence.unlabelled):
            shot = film(stage, played, instant, camera, behind)
            frame = _frame(shot, thing, len(cameras))
            _write_frame(take, sequence, instant, shot, frame)
            if sequence.split == "evaluation":
                yield evaluation_truth(frame)


def _make_folders(take: Take, sequence: Sequence) -> None:
    make_sequence(take.root, take.version, sequence.split, sequence.name)
    if take.version == V2 and sequence.split == "train":
        (take.root / SEGMENTATIONS_V2 / "train" / sequence.name / "seg").mkdir(parents=True)


def _frame(shot: Shot, thing: Thing, n_cameras: int) -> Frame:
    item = ObjectPose(thing.name, thing.label, shot.thing_rotation, shot.thing_centre_m, thing.corners_m)
    return Frame(
        intrinsics_px=shot.camera.intrinsics_px,
        pose_aa=shot.pose_aa,
        trans_m=shot.trans_m,
        betas=shot.betas,
        rest_wrist_m=shot.rest_wrist_m,
        joints_m=shot.joints_m("ho3d"),
        verts_m=shot.verts_m,
        object=item,
        cameras=tuple(str(i) for i in range(n_cameras)),
    )


def _write_frame(take: Take, sequence: Sequence, instant: int, shot: Shot, frame: Frame) -> None:
    root, split, name = take.root, sequence.split, sequence.frame(instant)
    write_image(root, take.version, split, name, shot.rgb)
    write_depth(root, split, name, shot.depth_m)
    if split == "train":
        write_segmentation(root, take.version, name, shot.parts == HAND, shot.parts == THING)
    if split == "evaluation":
        meta = evaluation_meta(frame)
    else:
        meta = training_meta(frame)
        if take.version == V3:
            meta |= _contact(take, shot, frame)
    write_meta(root, split, name, meta if instant < sequence.n_frames else _unlabelled(meta))


def _contact(take: Take, shot: Shot, frame: Frame) -> dict[str, Any]:
    thing, _ = take.role
    return contact_meta(frame, *contact(thing, shot.thing_rotation, shot.thing_centre_m, shot.verts_m))


def _unlabelled(meta: dict[str, Any]) -> dict[str, Any]:
    """An annotation of which only the camera and the object's name are known."""
    known = ("camMat", "camIDList", "objName", "objLabel")
    return {key: value if key in known else None for key, value in meta.items()}

"""Makes a synthetic DexYCB: the same seed gives the same bytes, whatever the number of processes.

The official setups split by position in sorted lists of subjects, cameras and sequences. So all ten subjects are here,
the first with enough sequences for the held-out grasps; a sequence that a small set has no frames for keeps its place
by its ``meta.yml``, which names the cameras that filmed it. Sequences of one subject show a left and a right hand in
turn, five for each object. Some begin with a frame in which the hand has not come yet.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from tasks.hands.hand import load_hand
from tasks.hands.in_use import ENVIRONMENT
from tasks.hands.model_file import HandModelData
from tasks.hands.skeleton import Side
from tasks.layouts.dexycb.annotations import Label, Sequence, hand_label, label_without_hand
from tasks.layouts.dexycb.files import HAND_LABEL, SERIALS, SETUPS, SUBJECTS, SplitName
from tasks.layouts.dexycb.writer import (
    write_depth,
    write_extrinsics,
    write_hand,
    write_image,
    write_intrinsics,
    write_label,
    write_sequence,
)
from tasks.layouts.marker import write_marker
from tasks.layouts.registry import LAYOUTS
from tasks.synthesis.footage import HAND, THING, Camera, Scenery, Shot, cast, film, rig, scenery, tools
from tasks.synthesis.making import Progress, make_parts, require_request, signature
from tasks.synthesis.streams import stream
from tasks.synthesis.subjects import betas_of
from tasks.synthesis.things import THINGS, Thing
from tasks.synthesis.unfinished import unfinished
from tasks.threads import one_thread

GENERATOR_VERSION = LAYOUTS["dexycb"].generator_version
"""Raise it when the same seed would give other bytes: synthetic data are cached by it."""
DATASET = "dexycb"
"""Names the random streams."""
LARGEST = 465_504
"""Training images of the real set, setup s0."""
SMALLEST_TEST, TEST_SHARE = 16, 4
SEQUENCES = (40, *(5,) * 9)
"""Per subject."""
SEQUENCES_PER_THING = 5
SEEN = (0, 1, 2, 4, 5, 6, 8, 9, 10, 12)
"""The object of each subject's first sequences: not one that setup s3 holds out."""
FIRST: tuple[tuple[int, int], ...] = ((0, 0), (6, 0), (7, 0), (0, 15), (0, 35))
"""Subject and sequence: with these, every split of every setup has images."""
INSTANTS = 8
"""Of a sequence, before further cameras film it."""
EMPTY_EVERY = 4
"""One in so many filmed sequences begins without the hand."""
EXTRINSICS, MASTER = "20200702_090000", SERIALS[2]
_START_S, _STEP_S = 9 * 3600, 97
"""Of the times in the names of sequences."""


@dataclass(frozen=True)
class Take:
    """One sequence, filmed by one process; without cameras it only keeps its place."""

    root: Path
    seed: int
    subject: int
    index: int
    """Position in the subject's sorted list."""
    cameras: tuple[int, ...] = ()
    n_instants: int = 0
    """With the hand."""
    empty_first: bool = False

    @property
    def n_images(self) -> int:
        """Annotated ones."""
        return len(self.cameras) * self.n_instants

    @property
    def name(self) -> str:
        """``SUBJECT/TIME``."""
        seconds = _START_S + _STEP_S * self.index
        clock = f"{seconds // 3600:02d}{seconds // 60 % 60:02d}{seconds % 60:02d}"
        return f"{SUBJECTS[self.subject]}/{SUBJECTS[self.subject][:8]}_{clock}"

    @property
    def side(self) -> Side:
        """Left and right in turn."""
        return "left" if (self.subject + self.index) % 2 else "right"

    @property
    def thing(self) -> Thing:
        """The first subject's change every five sequences; the others have one each, none of a held-out place."""
        place = self.index // SEQUENCES_PER_THING
        return list(THINGS.values())[place if self.subject == 0 else SEEN[self.subject]]

    @property
    def sequence(self) -> Sequence:
        """What ``meta.yml`` says."""
        return Sequence(
            name=self.name,
            num_frames=self.n_instants + self.empty_first,
            ycb_ids=(self.thing.label,),
            ycb_grasp_ind=0,
            side=self.side,
            hand=_hand_name(self.subject, self.side),
            extrinsics=EXTRINSICS,
            serials=tuple(SERIALS[camera] for camera in sorted(self.cameras)),
        )


def make_dexycb(
    out: Path, size: int, seed: int, workers: int | None = None, progress: Progress | None = None
) -> None:
    """Write ``size`` training images of setup s0, ``size // 4`` (at least 16) for test and half as many for validation.

    Images without a hand come on top. From five training images on, every setup has all of its splits. Small sets are
    filmed by few of the eight cameras at a time. ``workers`` processes (all cores by default); ``progress`` is told the
    images done and in all. The set appears whole: what a call that ends before has finished, the next one like it takes
    up. Raises RequestError for a size or seed out of range, a folder that is not empty, a disk that cannot be written,
    a process that was killed, or another one that makes the same set.
    """
    require_request(size, seed, LARGEST, f"DexYCB has 1 to {LARGEST} training images")
    request = signature(DATASET, GENERATOR_VERSION, seed, size)
    with unfinished(out, request) as work:
        takes = plan(work.root, seed, size)
        filmed = [take for take in takes if take.n_images]
        make_parts(work, "take", filmed, film_take, lambda take: take.n_images, workers, progress)
        _calibrate(work.root, seed)
        for take in takes:
            write_sequence(work.root, take.sequence)
        write_marker(work.root, request)


def plan(root: Path, seed: int, size: int) -> list[Take]:
    """All sequences, those of each split sharing its images."""
    n_test = max(SMALLEST_TEST, size // TEST_SHARE)
    counts: dict[SplitName, int] = {"train": size, "val": n_test // 2, "test": n_test}
    return [take for split, count in counts.items() for take in _shared(root, seed, _order(split), count)]


def _order(split: SplitName) -> list[tuple[int, int]]:
    """Subject and sequence of a split of setup s0, in the order in which larger sets film them."""
    part = SETUPS["s0"][split]
    all_of_it = [
        (subject, index)
        for index in range(max(SEQUENCES))
        for subject in part.subjects
        if index < SEQUENCES[subject] and part.takes(index)
    ]
    return [*(FIRST if split == "train" else ()), *(each for each in all_of_it if each not in FIRST)]


def _shared(root: Path, seed: int, order: list[tuple[int, int]], n_images: int) -> Iterator[Take]:
    """Takes with exactly ``n_images`` in all; what does not divide by the cameras falls to the last sequence."""
    *body, last = order
    n_cameras = min(max(1, n_images // (INSTANTS * len(body))), len(SERIALS))
    instants, rest = divmod(n_images, n_cameras)
    count = min(len(body), max(instants // 2, min(instants, len(FIRST))))
    for k, (subject, index) in enumerate(body):
        own = (instants // count + (k < instants % count)) if k < count else 0
        cameras = tuple((j - k) % len(SERIALS) for j in range(n_cameras)) if own else ()
        yield Take(root, seed, subject, index, cameras, own, bool(own) and k % EMPTY_EVERY == 0)
    yield Take(root, seed, *last, tuple(range(rest)), min(rest, 1))


def _calibrate(root: Path, seed: int) -> None:
    """The files under ``calibration``."""
    cameras = _rig(seed)
    to_master = np.linalg.inv(cameras[SERIALS.index(MASTER)].to_stage)
    for serial, camera in zip(SERIALS, cameras, strict=True):
        write_intrinsics(root, serial, camera.intrinsics_px)
    places = {
        serial: (to_master @ camera.to_stage)[:3] for serial, camera in zip(SERIALS, cameras, strict=True)
    }
    write_extrinsics(root, EXTRINSICS, places, MASTER)
    sides: tuple[Side, ...] = ("left", "right")
    for subject in range(len(SUBJECTS)):
        for side in sides:
            write_hand(root, _hand_name(subject, side), betas_of(seed, DATASET, subject))


def _rig(seed: int) -> list[Camera]:
    return rig(stream(seed, DATASET, 0, "rig"), len(SERIALS))


def _hand_name(subject: int, side: Side) -> str:
    return f"{SUBJECTS[subject]}_{side}"


def film_take(take: Take) -> None:
    """Write the images and labels of a sequence."""
    with one_thread():
        write_sequence(take.root, take.sequence)
        hand, stage = tools(os.environ.get(ENVIRONMENT, ""))
        rigged = _rig(take.seed)
        number = 100 * take.subject + take.index
        played = cast(
            stage, hand, take.seed, DATASET, number, take.subject, take.thing, take.n_instants,
            [rigged[camera] for camera in take.cameras], take.side == "left",
        )  # fmt: skip
        data = load_hand(take.side).data
        for camera in take.cameras:
            behind = _scenery(take.seed, take.subject, camera)
            for frame in range(take.sequence.num_frames):
                with_hand = frame > 0 or not take.empty_first
                instant = max(0, frame - take.empty_first)
                shot = film(stage, played, instant, rigged[camera], behind, with_hand)
                _write_image(take, SERIALS[camera], frame, shot, _label(take, data, shot, with_hand))


@lru_cache(maxsize=len(SERIALS))
def _scenery(seed: int, subject: int, camera: int) -> Scenery:
    return scenery(stream(seed, DATASET, subject, f"scenery of camera {camera}"))


def _label(take: Take, data: HandModelData, shot: Shot, with_hand: bool) -> Label:
    seg = np.zeros(shot.parts.shape, np.uint8)
    seg[shot.parts == HAND] = HAND_LABEL
    seg[shot.parts == THING] = take.thing.label
    pose_y = np.concatenate([shot.thing_rotation, shot.thing_centre_m[:, None]], axis=1)[None]
    if not with_hand:
        return label_without_hand(seg, pose_y)
    joints_m = shot.joints_m("manopth_left" if take.side == "left" else "manopth")
    return hand_label(data, shot.pose_aa, shot.trans_m, joints_m, shot.camera.intrinsics_px, seg, pose_y)


def _write_image(take: Take, serial: str, frame: int, shot: Shot, label: Label) -> None:
    write_image(take.root, take.name, serial, frame, shot.rgb)
    write_depth(take.root, take.name, serial, frame, shot.depth_m)
    write_label(take.root, take.name, serial, frame, label)

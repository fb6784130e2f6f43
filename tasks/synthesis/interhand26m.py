"""Writes synthetic InterHand2.6M: both hands of several subjects, alone and near each other, before rings of cameras.

Like the real set it has captures (one subject each), sequences (one or two hands) and static cameras of which several
see every frame; annotations and MANO fits are in the world frame of the capture, in millimetres and metres. Unlike it,
fits and joints agree exactly. The unit of work is a shard: four sequences, whose hands are posed together, each of
their instants seen by four cameras.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import groupby
from pathlib import Path

import numpy as np
from scipy.spatial.transform import Rotation

from tasks.hands.hand import HandModel, load_hand
from tasks.hands.in_use import ENVIRONMENT
from tasks.hands.skeleton import reorder
from tasks.layouts.interhand26m.files import MM, N_JOINTS, SIDES, SPLITS, SplitName
from tasks.layouts.interhand26m.fits import posed_verts_m
from tasks.layouts.interhand26m.frames import rest_wrist_m, to_camera
from tasks.layouts.interhand26m.writer import (
    FIT_DECIMALS,
    Camera,
    Fragments,
    Moment,
    Shot,
    annotation_fragments,
    write_fragments,
    write_image,
    write_texts,
)
from tasks.layouts.marker import write_marker
from tasks.layouts.registry import LAYOUTS
from tasks.synthesis.making import Progress, make_parts, require_request, signature
from tasks.synthesis.streams import stream
from tasks.synthesis.subjects import betas_of
from tasks.synthesis.two_hands_film import Instant, film
from tasks.synthesis.two_hands_posing import FRAMES, KINDS, Motion, Poser
from tasks.synthesis.two_hands_stage import TwoHandStage
from tasks.synthesis.two_hands_studio import FRAME_PX, N_CAMERAS, Studio, studio
from tasks.synthesis.unfinished import unfinished
from tasks.threads import one_thread

GENERATOR_VERSION = LAYOUTS["interhand26m"].generator_version
"""Raise it when the same seed would give other bytes: synthetic data are cached by it."""
VIEWS = 4
"""Cameras that see a frame: every other one of the ring, in turns."""
SEQUENCES = len(KINDS)
"""Of a shard, whose frames are interleaved, so that the smallest set has every kind."""
IMAGES = SEQUENCES * FRAMES * VIEWS
"""Of a shard."""
CAPTURES: dict[SplitName, int] = {"train": 27, "val": 1, "test": 7}
"""Subjects; each has sequences of every kind."""
SMALLEST: dict[SplitName, int] = {"train": 1, "val": 8, "test": 16}
SHARE: dict[SplitName, int] = {"train": 1, "val": 8, "test": 4}
"""A split has the size over this, and at least its smallest number, of images."""
LARGEST = 1_000_000


Hands = tuple[HandModel, HandModel]
"""Right, left."""


@dataclass(frozen=True)
class Shard:
    """Some sequences, posed together and filmed by one process."""

    root: Path
    seed: int
    split: SplitName
    number: int
    count: int
    """Images to keep; the shard is computed whole."""

    @property
    def first(self) -> int:
        """Its first image."""
        return self.number * IMAGES

    @property
    def sequences(self) -> range:
        """Its sequences."""
        return range(self.number * SEQUENCES, (self.number + 1) * SEQUENCES)

    @property
    def streams(self) -> str:
        """What the random streams of its split are called."""
        return f"interhand26m {self.split}"


def make_interhand26m(
    out: Path, size: int, seed: int, workers: int | None = None, progress: Progress | None = None
) -> None:
    """Write ``size`` training images, and a quarter (at least 16) of test and an eighth (at least 8) of val images.

    Every frame is seen by four cameras; half of the frames show two hands, the others a right or a left one. Splits
    have subjects of their own. The hands are those in use (``load_hand``). ``workers`` processes (all cores by default)
    write the same bytes whatever their number; ``progress`` is told the images done and in all. The set appears whole:
    what a call that ends before has finished, the next one like it takes up. Raises RequestError for a size or seed out
    of range, a folder that is not empty, a disk that cannot be written, a process that was killed, or another one that
    makes the same set.
    """
    require_request(size, seed, LARGEST, f"expected 1 to {LARGEST} training images")
    request = signature("interhand26m", GENERATOR_VERSION, seed, size)
    with unfinished(out, request) as work:
        shards = [shard for split in SPLITS for shard in _shards(work.root, seed, split, size)]
        made = make_parts(work, "shard", shards, make_shard, lambda shard: shard.count, workers, progress)
        _write_annotations(work.root, made)
        write_marker(work.root, request)


def _shards(root: Path, seed: int, split: SplitName, size: int) -> Iterator[Shard]:
    images = max(SMALLEST[split], size // SHARE[split])
    for number, first in enumerate(range(0, images, IMAGES)):
        yield Shard(root, seed, split, number, min(IMAGES, images - first))


def _write_annotations(root: Path, made: Iterator[tuple[Shard, Fragments]]) -> None:
    """All files beside the images."""
    subjects = []
    for split, parts in groupby(made, lambda part: part[0].split):
        shards, fragments = zip(*parts, strict=True)
        captures = sorted({int(capture) for each in fragments for capture in each["joint_3d"]})
        subjects += [(split, capture, _subject(split, capture)) for capture in captures]
        studios = [studio(shards[0].seed, shards[0].streams, capture) for capture in captures]
        cameras = [camera for one in studios for camera in one.cameras]
        write_fragments(root, split, cameras, fragments)
    write_texts(root, subjects)


def _subject(split: str, capture: int) -> str:
    return f"{split}{capture}"


def make_shard(shard: Shard) -> Fragments:
    """Write the images of a shard; return the text of its annotations."""
    with one_thread():
        tools = _tools(os.environ.get(ENVIRONMENT, ""))
        seen = _frames(shard, tools)[: -(-shard.count // VIEWS)]
        shots = [shot for i, frame in enumerate(seen) for shot in _shots(shard, frame, i)]
        images = (
            image
            for frame in seen
            for image in film(tools.stage, tools.hands[0], shard.seed, frame.instant, _cameras(frame))
        )
        for shot, image in zip(shots[: shard.count], images, strict=False):
            write_image(shard.root, shard.split, shot, image)
        return annotation_fragments(map(_moment, seen), shots[: shard.count])


@dataclass(frozen=True)
class Frame:
    """One frame of a sequence: its MANO parameters as they will stand in the file, and what follows from them."""

    instant: Instant
    kind: str
    pose_aa: np.ndarray
    """(2, 48) world, the mean pose still to be added."""
    betas: np.ndarray
    """(10,)."""
    trans_m: np.ndarray
    """(2, 3)."""
    verts_m: np.ndarray
    """(2, V, 3) world."""
    joints_m: np.ndarray
    """(2, 21, 3) world, order C."""


def _cameras(frame: Frame) -> list[int]:
    """The numbers of those that see a frame."""
    return [*range(frame.instant.number % 2, N_CAMERAS, N_CAMERAS // VIEWS)]


def _frames(shard: Shard, tools: "_Tools") -> list[Frame]:
    """The frames of a shard, the first of each sequence first."""
    captures = [sequence % CAPTURES[shard.split] for sequence in shard.sequences]
    betas = np.stack([betas_of(shard.seed, shard.streams, capture) for capture in captures])
    betas = np.round(betas, FIT_DECIMALS)
    streams = [stream(shard.seed, shard.streams, sequence, "motion") for sequence in shard.sequences]
    motions = tools.poser.motions(streams, KINDS, betas, held_out=shard.split == "train")
    studios = [studio(shard.seed, shard.streams, capture) for capture in captures]
    return [
        _frame(shard, tools.hands, k, time, motions[k], betas[k], studios[k])
        for time in range(FRAMES)
        for k in range(SEQUENCES)
    ]


def _frame(
    shard: Shard, hands: Hands, k: int, time: int, motion: Motion, betas: np.ndarray, studio: Studio
) -> Frame:
    """One frame of the shard's k-th sequence."""
    j0_m = np.stack([rest_wrist_m(hand.data, betas[None])[0] for hand in hands])
    turn = Rotation.from_matrix(studio.world_rotation) * Rotation.from_rotvec(motion.pose_aa[time, :, :3])
    pose = np.concatenate([turn.as_rotvec(), motion.pose_aa[time, :, 3:]], axis=1)
    pose[:, 3:] -= np.stack([hand.data.hands_mean for hand in hands]).astype(np.float64)
    wrist_m = studio.to_world_m(motion.origin_m[time]) + turn.apply(j0_m)
    pose, trans = np.round(pose, FIT_DECIMALS), np.round(wrist_m - j0_m, FIT_DECIMALS)
    verts = (
        np.concatenate([posed_verts_m(side, pose[h, None], betas[None]) for h, side in enumerate(SIDES)])
        + trans[:, None]
    )
    rotation = Rotation.from_rotvec(pose[:, :3]).as_matrix()
    instant = Instant(
        split=shard.streams,
        capture=shard.sequences[k] % CAPTURES[shard.split],
        sequence=shard.sequences[k],
        number=time,
        shows=motion.shows,
        hands_m=(verts - (trans + j0_m)[:, None]) @ rotation + j0_m[:, None],
        rotation=rotation,
        j0_m=j0_m,
        wrist_m=trans + j0_m,
        bend_aa=motion.bend_aa[time],
    )
    joints = np.stack([_regressor(hand) for hand in hands]) @ verts
    return Frame(instant, KINDS[k], pose, betas, trans, verts, joints)


def _regressor(hand: HandModel) -> np.ndarray:
    """(21, V) rows in order C."""
    return hand.joint_regressor21("interhand26m").double().numpy()[reorder("B", "C")]


def _moment(frame: Frame) -> Moment:
    instant = frame.instant
    fits = {
        side: (frame.pose_aa[k], frame.betas, frame.trans_m[k]) if instant.shows[k] else None
        for k, side in enumerate(SIDES)
    }
    annotated = np.repeat(instant.shows, N_JOINTS // 2)
    world_mm = np.where(annotated[:, None], MM * frame.joints_m.reshape(N_JOINTS, 3), 0.0)
    return Moment(
        instant.capture, _sequence_name(frame), _frame_number(frame), frame.kind, world_mm, annotated, fits
    )


def _shots(shard: Shard, frame: Frame, index: int) -> Iterator[Shot]:
    """The annotations of a frame's views."""
    instant = frame.instant
    cameras = studio(shard.seed, shard.streams, instant.capture).cameras
    for view, number in enumerate(_cameras(frame)):
        camera = cameras[number]
        joints_px, ahead = _projected(frame.joints_m.reshape(-1, 3), camera)
        inside = ((joints_px >= 0) & (joints_px < FRAME_PX[::-1])).all(axis=1) & ahead
        verts_px, _ = _projected(frame.verts_m[instant.shows].reshape(-1, 3), camera)
        yield Shot(
            id=shard.first + index * VIEWS + view,
            capture=instant.capture,
            subject=_subject(shard.split, instant.capture),
            sequence=_sequence_name(frame),
            camera=camera.camera,
            frame=_frame_number(frame),
            size_px=(FRAME_PX[1], FRAME_PX[0]),
            box_px=_box_px(verts_px),
            joint_valid=inside & np.repeat(instant.shows, N_JOINTS // 2),
            hand_type=frame.kind,
        )


def _projected(points_m: np.ndarray, camera: Camera) -> tuple[np.ndarray, np.ndarray]:
    """Pixels (N, 2) of world points (N, 3), and whether they lie before the camera."""
    seen = to_camera(MM * points_m[None], camera.camrot[None], camera.campos_mm[None])[0]
    return seen[:, :2] / seen[:, 2:] * camera.focal_px + camera.princpt_px, seen[:, 2] > 0


def _box_px(verts_px: np.ndarray) -> np.ndarray:
    """(4,) x, y, width, height of what the image shows of the hands."""
    size = np.array(FRAME_PX[::-1])
    low = np.clip(verts_px.min(axis=0), 0, size - 1)
    return np.concatenate([low, np.clip(verts_px.max(axis=0), low + 1, size) - low])


def _sequence_name(frame: Frame) -> str:
    return f"{frame.instant.sequence:05d}_{frame.kind}"


def _frame_number(frame: Frame) -> int:
    """Numbers that no two frames of a capture share."""
    return frame.instant.sequence * FRAMES + frame.instant.number


@dataclass(frozen=True)
class _Tools:
    """What every shard of a process needs."""

    hands: Hands
    poser: Poser
    stage: TwoHandStage


@lru_cache(maxsize=1)
def _tools(mano_folder: str) -> _Tools:
    """Anew when another hand model is chosen."""
    right, left = load_hand("right"), load_hand("left")
    return _Tools((right, left), Poser(right, left), TwoHandStage(right.data, left.data))

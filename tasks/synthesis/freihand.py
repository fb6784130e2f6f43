"""Makes a synthetic FreiHAND: the same seed gives the same bytes, whatever the number of processes.

Samples are made in shards of a fixed size, each from random streams of its own, so a set of N samples is the beginning
of any larger one. (Another kind of processor may round the last bits of a picture differently.)
"""

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from tasks.hands.hand import HandModel, load_hand
from tasks.hands.in_use import ENVIRONMENT
from tasks.layouts.freihand.annotations import Annotations, annotate
from tasks.layouts.freihand.files import VERSION_STRIDE, SplitName, image_id
from tasks.layouts.freihand.writer import (
    DECIMALS,
    AnnotationFiles,
    json_fragments,
    make_folders,
    write_image,
    write_mask,
)
from tasks.layouts.marker import write_marker
from tasks.layouts.registry import LAYOUTS
from tasks.synthesis.bank import BANK, BakeTask, Bank
from tasks.synthesis.compositing import evaluation_frame, training_versions
from tasks.synthesis.making import Progress, make_parts, require_request, signature
from tasks.synthesis.posing import Posed, pose_batch
from tasks.synthesis.rendering import render
from tasks.synthesis.shading import Stage
from tasks.synthesis.streams import stream
from tasks.synthesis.subjects import betas_of, subject_of
from tasks.synthesis.unfinished import unfinished
from tasks.threads import one_thread

GENERATOR_VERSION = LAYOUTS["freihand"].generator_version

SHARD = 16
"""Samples computed together. Part of the generator's version: rounding may depend on the size of a batch."""
BAKE_FROM = 12
"""Shards from which on shared pictures are baked first; for fewer, each process draws what it needs."""
SMALLEST_EVALUATION, EVALUATION_SHARE = 16, 4


@dataclass(frozen=True)
class Shard:
    """A run of samples of one split, made by one process."""

    root: Path
    bank: Bank
    split: SplitName
    first: int
    count: int
    """Samples to keep; the shard is computed whole."""


def make_freihand(
    out: Path, size: int, seed: int, workers: int | None = None, progress: Progress | None = None
) -> None:
    """Write ``size`` training samples, each on four backgrounds, and ``size // 4`` (at least 16) evaluation frames.

    Masks hold the hand's own visible pixels: forearm and objects are black, also where they hide the hand. The
    evaluation set has other subjects and no masks. The hand is the one in use (``load_hand``). ``workers`` processes
    (all cores by default); ``progress`` is told the samples done and in all. The set appears whole: what a call that
    ends before has finished, the next one like it takes up. Raises RequestError for a size or seed out of range, a
    folder that is not empty, a disk that cannot be written, a process that was killed, or another one that makes the
    same set.
    """
    what_there_is = f"this layout has room for 1 to {VERSION_STRIDE} unique samples"
    require_request(size, seed, VERSION_STRIDE, what_there_is)
    request = signature("freihand", GENERATOR_VERSION, seed, size)
    with unfinished(out, request) as work:
        bank = Bank(seed, work.root / BANK)
        n_evaluation = max(SMALLEST_EVALUATION, size // EVALUATION_SHARE)
        shards = [
            *_shards(work.root, bank, "training", size),
            *_shards(work.root, bank, "evaluation", n_evaluation),
        ]
        if workers != 1 and len(shards) >= BAKE_FROM:
            make_parts(work, "bank", [*bank.tasks()], BakeTask.run, lambda task: 0, workers)
        made = make_parts(work, "shard", shards, make_shard, lambda shard: shard.count, workers, progress)
        with AnnotationFiles(work.root) as files:
            for shard, fragments in made:
                files.append(shard.split, fragments)
        shutil.rmtree(bank.folder, ignore_errors=True)
        write_marker(work.root, request)


def _shards(root: Path, bank: Bank, split: SplitName, count: int) -> Iterator[Shard]:
    for first in range(0, count, SHARD):
        yield Shard(root, bank, split, first, min(SHARD, count - first))


def make_shard(shard: Shard) -> dict[str, str]:
    """Write the images of a shard; return the JSON text of its annotations, file by file."""
    with one_thread():
        make_folders(shard.root)
        hand, stage = _tools(os.environ.get(ENVIRONMENT, ""))
        seed, split = shard.bank.seed, shard.split
        subjects = [subject_of(seed, split, shard.first + i) for i in range(SHARD)]
        betas = np.stack([betas_of(seed, split, subject) for subject in subjects])
        posed = pose_batch(stage, hand, seed, split, shard.first, betas)
        _write_images(shard, stage, hand, posed)
        return json_fragments(_annotations(hand, posed, betas, shard.count))


def _write_images(shard: Shard, stage: Stage, hand: HandModel, posed: Posed) -> None:
    bank, split = shard.bank, shard.split
    picture = render(stage, hand, posed, bank, split, shard.first)
    for i in range(shard.count):
        sample = shard.first + i
        rng = stream(bank.seed, split, sample, "image")
        if split == "evaluation":
            frame = evaluation_frame(rng, picture.rgb[i], picture.alpha[i], bank.scene)
            write_image(shard.root, split, sample, frame)
            continue
        for version, image in enumerate(training_versions(rng, picture.rgb[i], picture.alpha[i], bank.scene)):
            write_image(shard.root, split, image_id(sample, version), image)
        write_mask(shard.root, sample, picture.hand[i] > 0.5)


def _annotations(hand: HandModel, posed: Posed, betas: np.ndarray, count: int) -> Annotations:
    """The labels of the first ``count`` hands, from the vertices as they will stand in the file."""
    verts_m = np.round(posed.verts_m[:count, : hand.n_verts].astype(np.float64), DECIMALS)
    joints_m = hand.joint_regressor21("freihand").double().numpy() @ verts_m
    pose_aa = posed.pose_aa[:count]
    pose_aa[:, 3:] -= hand.data.hands_mean  # FreiHAND's parameters are relative to the mean pose
    return annotate(posed.intrinsics_px[:count], joints_m, verts_m, pose_aa, betas[:count])


@lru_cache(maxsize=1)
def _tools(mano_folder: str) -> tuple[HandModel, Stage]:
    """What every shard of a process needs, anew when another hand model is chosen."""
    hand = load_hand("right")
    return hand, Stage(hand.data)

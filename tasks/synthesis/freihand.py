"""Makes a synthetic dataset in FreiHAND's official layout, in shards that any number of processes can share."""

import multiprocessing
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch

from tasks.errors import RequestError
from tasks.hands.hand import HandModel, load_hand
from tasks.layouts.freihand.annotations import Annotations, annotate
from tasks.layouts.freihand.files import SplitName, image_id
from tasks.layouts.freihand.writer import (
    AnnotationFiles,
    json_fragments,
    make_folders,
    write_image,
    write_marker,
    write_mask,
)
from tasks.synthesis.backgrounds import bank_of
from tasks.synthesis.compositing import evaluation_frame, training_versions
from tasks.synthesis.posing import Posed, pose_batch
from tasks.synthesis.rendering import render
from tasks.synthesis.shading import Picture, Stage
from tasks.synthesis.streams import GENERATOR_VERSION, stream
from tasks.synthesis.subjects import betas_of, subject_of

__all__ = ["GENERATOR_VERSION", "make_freihand"]

SHARD_SAMPLES = 16
LEAST_EVALUATION, EVALUATION_SHARE = 16, 4
MAX_SIZE = 32560
"""The official index arithmetic has room for as many unique samples as the real set."""


@dataclass(frozen=True)
class Shard:
    """A run of samples of one split."""

    root: Path
    seed: int
    split: SplitName
    first: int
    count: int


def make_freihand(
    out: Path,
    size: int,
    seed: int,
    workers: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Write ``size`` unique training samples, four images each, and max(16, size // 4) evaluation frames to ``out``.

    The same size and seed give the same bytes for any number of ``workers`` (default: all cores). ``progress`` is told
    the samples done and to do. Written beside ``out`` and renamed when whole. Raises RequestError when ``out`` is not
    an empty or new folder, or ``size`` is not in 1 to 32560.
    """
    if not 1 <= size <= MAX_SIZE:
        raise RequestError(
            f"size {size} is not possible: FreiHAND's index arithmetic has room for 1 to {MAX_SIZE}."
        )
    with _beside(Path(out)) as root:
        make_folders(root)
        shards = [
            *_shards(root, seed, "training", size),
            *_shards(root, seed, "evaluation", _evaluation_size(size)),
        ]
        total, done = sum(shard.count for shard in shards), 0
        with (
            AnnotationFiles(root) as files,
            _mapping(min(workers or os.cpu_count() or 1, len(shards))) as each,
        ):
            for shard, fragments in zip(shards, each(make_shard, shards), strict=True):
                files.append(shard.split, fragments)
                done += shard.count
                if progress:
                    progress(done, total)
        write_marker(root, _marker(size, seed))


def make_shard(shard: Shard) -> dict[str, str]:
    """Write the images of a shard; returns its annotations as JSON fragments."""
    hand, stage = _tools()
    samples = range(shard.first, shard.first + shard.count)
    betas = np.stack(
        [betas_of(shard.seed, shard.split, subject_of(shard.seed, shard.split, sample)) for sample in samples]
    )
    posed = pose_batch(stage, hand, shard.seed, shard.split, shard.first, betas)
    picture = render(stage, hand, posed, shard.seed, shard.split, shard.first)
    for i, sample in enumerate(samples):
        _write_images(shard, sample, picture, i)
    return json_fragments(_annotations(hand, posed, betas))


def _write_images(shard: Shard, sample: int, picture: Picture, i: int) -> None:
    rng = stream(shard.seed, shard.split, sample, "image")
    bank = bank_of(shard.seed, shard.split)
    rgb, alpha = picture.rgb[i], picture.alpha[i]
    if shard.split == "evaluation":
        write_image(shard.root, shard.split, sample, evaluation_frame(rng, rgb, alpha, bank))
        return
    for version, image in enumerate(training_versions(rng, rgb, alpha, bank)):
        write_image(shard.root, shard.split, image_id(sample, version), image)
    write_mask(shard.root, sample, picture.hand[i] > 0.5)


def _annotations(hand: HandModel, posed: Posed, betas: np.ndarray) -> Annotations:
    """Labels by FreiHAND's own rules: the regressor on the posed mesh, poses with the mean pose taken off."""
    verts = posed.verts_m[:, : hand.n_verts].astype(np.float64)
    joints = hand.joint_regressor21("freihand").double().numpy() @ verts
    pose = posed.pose_aa.copy()
    pose[:, 3:] -= hand.data.hands_mean
    return annotate(posed.intrinsics_px, joints, verts, pose, betas)


@lru_cache(maxsize=1)
def _tools() -> tuple[HandModel, Stage]:
    """What every shard of a process needs."""
    hand = load_hand()
    return hand, Stage(hand.data)


def _shards(root: Path, seed: int, split: SplitName, count: int) -> list[Shard]:
    return [
        Shard(root, seed, split, first, min(SHARD_SAMPLES, count - first))
        for first in range(0, count, SHARD_SAMPLES)
    ]


def _evaluation_size(size: int) -> int:
    return max(LEAST_EVALUATION, size // EVALUATION_SHARE)


def _marker(size: int, seed: int) -> dict[str, object]:
    hand = load_hand()
    return {
        "generator": "palmares",
        "generator_version": GENERATOR_VERSION,
        "seed": seed,
        "size": size,
        "hand": hand.name,
        "hand_fingerprint": hand.fingerprint,
    }


@contextmanager
def _mapping(workers: int) -> Iterator[Callable[..., Iterator[dict[str, str]]]]:
    """An ordered ``map`` over processes of one thread each; in this process for a single worker."""
    if workers == 1:
        threads = torch.get_num_threads()
        torch.set_num_threads(1)
        try:
            yield map
        finally:
            torch.set_num_threads(threads)
        return
    with multiprocessing.get_context("spawn").Pool(
        workers, initializer=torch.set_num_threads, initargs=(1,)
    ) as pool:
        yield pool.imap


@contextmanager
def _beside(out: Path) -> Iterator[Path]:
    """A new folder beside ``out`` that takes its place when all went well, and is removed when it did not."""
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise RequestError(f"'{out}' is not empty: expected a new or empty folder.")
    root = out.absolute().with_name(f".{out.name}.{os.getpid()}")
    try:
        root.mkdir(parents=True)
    except OSError as error:
        raise RequestError(
            f"'{out}' cannot be made ({error.strerror}): name a folder that can be written."
        ) from None
    try:
        yield root
        if out.exists():
            out.rmdir()
        root.rename(out)
    except BaseException:
        shutil.rmtree(root, ignore_errors=True)
        raise

"""The data that a stage is trained on: the training and validation set with the keypoints it is given, the frames that
the stage chooses, and what was derived of them.

The driver chooses the frames, once; every worker takes them by position.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from methods.base import Stage
from suite.home import Home
from suite.identity import digest
from suite.shards import SampleStore, read_arrays, write_arrays
from suite.train import StageJob
from tasks.errors import RequestError
from tasks.layouts.registry import open_layout
from tasks.prediction_fields import REQUIRED
from tasks.registry import load_task

SPLITS = ("train", "val")


@dataclass(frozen=True)
class Frames:
    """The samples that a stage learns from."""

    positions: Mapping[str, np.ndarray]
    """Split -> positions in it."""
    left_out: Mapping[str, Mapping[str, int]]
    """Split -> reason -> how many."""

    @property
    def counts(self) -> dict[str, int]:
        """Split -> how many are learnt from."""
        return {split: len(positions) for split, positions in self.positions.items()}

    @property
    def fingerprint(self) -> str:
        """16 hex digits, the same for the same samples."""
        return digest({split: positions.tolist() for split, positions in self.positions.items()})

    def note(self) -> dict[str, Any]:
        """What the record says of them."""
        return {
            split: {"used": used, "left_out": dict(self.left_out[split])}
            for split, used in self.counts.items()
        }

    def __str__(self) -> str:
        parts = []
        for split, used in self.counts.items():
            why = ", ".join(f"{number:,} {reason}" for reason, number in self.left_out[split].items())
            parts.append(f"{used:,} {split} samples{f' (left out: {why})' if why else ''}")
        return ", ".join(parts)


def frames_of(job: StageJob, stage: Stage) -> Frames:
    """The frames that a stage chooses, looked up in the job's folder after the first time.

    Raises RequestError where none is left to train on.
    """
    path = job.folder / "frames.npz"
    if not path.exists():
        write_arrays(path, _to_arrays(_choose(stage, open_splits(job))))
    return _from_arrays(read_arrays(path))


def open_splits(job: StageJob) -> dict[str, Any]:
    """The whole training and validation set, with predicted keypoints where the stage is given such."""
    data = load_task(job.task).open(open_layout(job.layout, Path(job.root)), job.image_size_px)
    splits = {split: data[split] for split in SPLITS}
    if job.keypoints_key is None:
        return splits
    store = SampleStore(Home(Path(job.home)).keypoints / job.keypoints_key)
    return {
        split: dataset.with_keypoints(store.arrays(split)[REQUIRED]) if len(dataset) else dataset
        for split, dataset in splits.items()
    }


def chosen(splits: Mapping[str, Any], frames: Frames) -> dict[str, Any]:
    """The chosen frames of each split."""
    return {
        split: dataset
        if len(frames.positions[split]) == len(dataset)
        else dataset.part(frames.positions[split])
        for split, dataset in splits.items()
    }


def training_data(job: StageJob, stage: Stage) -> dict[str, Any]:
    """The chosen frames of each split, with what was derived of them."""
    data = chosen(open_splits(job), frames_of(job, stage))
    if job.derived_key is None:
        return data
    store = SampleStore(Home(Path(job.home)).derived / job.derived_key)
    return {split: dataset.with_derived(store.arrays(split)) for split, dataset in data.items()}


def _choose(stage: Stage, splits: Mapping[str, Any]) -> Frames:
    positions, left_out = {}, {}
    for split, dataset in splits.items():
        kept, left_out[split] = stage.select(dataset)
        everything = np.arange(len(dataset))
        positions[split] = everything if kept is dataset else np.searchsorted(dataset.indices, kept.indices)
    frames = Frames(positions, left_out)
    if not frames.counts["train"]:
        why = ", ".join(f"{number} {reason}" for reason, number in left_out["train"].items())
        raise RequestError(
            f"stage '{stage.name}' has no training sample left: {why or 'the split is empty'}."
        )
    return frames


def _to_arrays(frames: Frames) -> dict[str, np.ndarray]:
    return {**frames.positions, "left_out": np.array(json.dumps(frames.left_out))}


def _from_arrays(arrays: Mapping[str, np.ndarray]) -> Frames:
    return Frames({split: arrays[split] for split in SPLITS}, json.loads(str(arrays["left_out"])))

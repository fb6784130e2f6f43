"""Work over the samples of a split in shards: each written whole once, here or by Ray tasks, and never done twice.

What is kept of every sample of several splits is a ``SampleStore``: shards while it is made, then one array per field
and split, which the workers of a training map into memory.
"""

import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from suite.home import read_json, write_json
from suite.lease import in_turn
from suite.progress import say
from suite.train import Resources

if TYPE_CHECKING:
    import torch

SHARD_SAMPLES = 64
BATCH_SAMPLES = 32
NOTE = "samples.json"
Show = Callable[[int, int], None]
Arrays = dict[str, np.ndarray]
Shard = TypeVar("Shard")


def shard_count(samples: int) -> int:
    """How many shards so many samples make."""
    return -(-samples // SHARD_SAMPLES)


def shard_range(number: int, samples: int) -> tuple[int, int]:
    """First position of a shard, and the one after its last."""
    return number * SHARD_SAMPLES, min((number + 1) * SHARD_SAMPLES, samples)


def batches(start: int, stop: int) -> Iterator["torch.Tensor"]:
    """The positions of a range in batches, the same ones whoever asks."""
    import torch

    for first in range(start, stop, BATCH_SAMPLES):
        yield torch.arange(first, min(first + BATCH_SAMPLES, stop))


def run_shards(
    work: Callable[[Shard], None], shards: Sequence[Shard], total: int, resources: Resources, show: Show
) -> None:
    """Do the work of these shards, of ``total`` that there are; a task whose process dies is tried again.

    No more of them at once than the run has CPUs: another one's workers may wait for theirs.
    """
    before = total - len(shards)
    show(before, total)
    if resources.workers == 0:
        for done, shard in enumerate(shards, start=before + 1):
            work(shard)
            show(done, total)
        return
    import ray

    remote = ray.remote(
        num_cpus=1,
        num_gpus=resources.gpus_per_shard,
        max_retries=3,
        scheduling_strategy="DEFAULT",  # a trial of Tune would have it in its own bundle, which is next to nothing
    )(_do)
    waiting = iter(shards)
    pending = [remote.remote(work, shard) for shard in islice(waiting, resources.cpus)]
    for done in range(before + 1, total + 1):
        finished, pending = ray.wait(pending, num_returns=1)
        ray.get(finished)
        pending += [remote.remote(work, shard) for shard in islice(waiting, 1)]
        show(done, total)


def _do(work: Callable[[Shard], None], shard: Shard) -> None:
    work(shard)


def write_arrays(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Write an ``.npz`` file whole: beside first, then renamed over."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.stem}.{os.getpid()}.npz")
    np.savez(beside, **arrays)  # type: ignore[arg-type]
    beside.replace(path)


def read_arrays(path: Path) -> Arrays:
    """The arrays of an ``.npz`` file."""
    with np.load(path, allow_pickle=False) as archive:
        return dict(archive)


class SampleStore:
    """``<folder>/<split>/<field>.npy``, a row per sample, published by the note ``samples.json``.

    Until then ``<folder>/shards/<split>-<number>.npz`` holds what is done.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def note(self) -> dict[str, Any] | None:
        """What is known of a published store; None where it is not whole."""
        return read_json(self.folder / NOTE)

    def shard(self, split: str, number: int) -> Path:
        return self.folder / "shards" / f"{split}-{number:05d}.npz"

    def arrays(self, split: str) -> Arrays:
        """The fields of a split, mapped into memory."""
        files = sorted((self.folder / split).glob("*.npy"))
        return {file.stem: np.load(file, mmap_mode="r", allow_pickle=False) for file in files}

    def fill(
        self,
        counts: Mapping[str, int],
        work: Callable[[tuple[str, int]], None],
        note: Mapping[str, Any],
        resources: Resources,
        show: Show,
    ) -> None:
        """Have ``work`` write the shards that are not there yet, put them together and publish them with a note.

        ``counts`` are the samples of each split. What is published already is left alone, and what another process is
        about to publish is waited for.
        """
        if self.note() is not None:
            return
        with in_turn(self.folder, lambda who: say(f"waits for samples {self.folder.name}, made by {who}")):
            if self.note() is not None:
                return
            shards = [(split, number) for split, n in counts.items() for number in range(shard_count(n))]
            missing = [shard for shard in shards if not self.shard(*shard).exists()]
            run_shards(work, missing, len(shards), resources, show)
            for split, count in counts.items():
                self._join(split, count)
            write_json(self.folder / NOTE, {**note, "samples": dict(counts)})
            shutil.rmtree(self.folder / "shards", ignore_errors=True)
            for cut_off in self.folder.glob("*/.*"):
                cut_off.unlink(missing_ok=True)

    def _join(self, split: str, count: int) -> None:
        """One array per field of the shards of a split, a shard in memory at a time."""
        folder = self.folder / split
        folder.mkdir(parents=True, exist_ok=True)
        fields: dict[str, np.memmap] = {}
        for number in range(shard_count(count)):
            start, stop = shard_range(number, count)
            for name, values in read_arrays(self.shard(split, number)).items():
                if name not in fields:
                    fields[name] = np.lib.format.open_memmap(
                        _beside(folder, name), mode="w+", dtype=values.dtype, shape=(count, *values.shape[1:])
                    )
                fields[name][start:stop] = values
        for name, field in fields.items():
            field.flush()
            _beside(folder, name).replace(folder / f"{name}.npy")


def _beside(folder: Path, name: str) -> Path:
    return folder / f".{name}.{os.getpid()}"

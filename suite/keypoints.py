"""The joints that a cell's trained stages predict over the training and validation set: keypoints for another method.

They are made once, then kept. Those of the test set stand in the cell's record (``stored.keypoints_of``).
"""

from functools import partial
from pathlib import Path

import numpy as np
import torch

from suite.evaluate import Bench, EvaluationJob
from suite.home import Home
from suite.shards import SampleStore, Show, batches, shard_range, write_arrays
from suite.stage_data import SPLITS
from suite.train import Resources
from tasks.errors import RequestError
from tasks.layouts.registry import open_layout
from tasks.prediction_fields import REQUIRED, SHAPES
from tasks.registry import load_task


def predict_keypoints(job: EvaluationJob, key: str, resources: Resources, show: Show) -> None:
    """Predict the joints of every sample of the training and validation set, unless that is done."""
    data = load_task(job.task).open(open_layout(job.layout, Path(job.root)), job.image_size_px)
    note = {"method": job.method, "stages": dict(job.stages)}
    counts = {split: len(data[split]) for split in SPLITS}
    store_of(job, key).fill(counts, partial(keypoints_shard, job, key), note, resources, show)
    Bench.of.cache_clear()


def store_of(job: EvaluationJob, key: str) -> SampleStore:
    """Where a cell's keypoints are kept."""
    return SampleStore(Home(Path(job.home)).keypoints / key)


def keypoints_shard(job: EvaluationJob, key: str, shard: tuple[str, int]) -> None:
    """Predict the joints of one shard and write it whole."""
    split, number = shard
    bench = Bench.of(job, split)
    shard_of = shard_range(number, len(bench.dataset))
    joints_m = np.concatenate([_joints(bench, positions) for positions in batches(*shard_of)])
    write_arrays(store_of(job, key).shard(split, number), {REQUIRED: joints_m})


def _joints(bench: Bench, positions: torch.Tensor) -> np.ndarray:
    """The joints of these samples; NaN for one that cannot be read: a stage that cannot learn from it leaves it out."""
    try:
        return np.asarray(bench.predict(positions)[REQUIRED])
    except RequestError:
        if len(positions) > 1:
            return np.concatenate([_joints(bench, one) for one in positions.split(1)])
        return np.full((1, *SHAPES[bench.task.spec.name][REQUIRED]), np.nan, np.float32)  # type: ignore[arg-type]

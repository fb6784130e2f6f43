"""Evaluation: the test split in shards, each predicted and scored once and kept until the record stands."""

import functools
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from suite.home import Home, write_json
from suite.plan import Cell
from suite.scoring import per_sample_table, sample_meshes, sample_renders
from suite.shards import Arrays, batches, read_arrays, run_shards, shard_count, shard_range, write_arrays
from suite.train import Resources
from tasks.ragged import Field, Fields, Ragged, concatenate, from_arrays, to_arrays

if TYPE_CHECKING:
    import pandas as pd
    import torch
    from PIL import Image
    from torch import nn


@dataclass(frozen=True)
class EvaluationJob:
    """Everything a worker needs to evaluate a shard of a cell, in plain values."""

    home: str
    cell: str
    method: str
    config: str
    task: str
    protocol: str
    layout: str
    root: str
    image_size_px: int
    keypoints: str
    """What the method is told of where its keypoints come from."""
    source: str | None
    """The cell whose record holds the keypoints of the test set, where they are no true ones."""
    stages: tuple[tuple[str, str], ...]
    device: str

    @classmethod
    def of(cls, home: Home, cell: Cell, keys: dict[str, str], resources: Resources) -> "EvaluationJob":
        return cls(
            home=str(home.root),
            cell=cell.id,
            method=cell.method.name,
            config=cell.config.model_dump_json(),
            task=cell.task.name,
            protocol=cell.protocol.name,
            layout=cell.layout,
            root=str(cell.root),
            image_size_px=cell.config.image_size_px,
            keypoints=cell.entrant.keypoints,
            source=cell.source.id if cell.source else None,
            stages=tuple(keys.items()),
            device=resources.device,
        )

    def shard(self, number: int) -> Path:
        return Home(Path(self.home)).evaluation_plan(self.cell).with_name(f"{number:05d}.npz")


@dataclass(frozen=True)
class Evaluation:
    """The outcome over the whole test split."""

    per_sample: "pd.DataFrame"
    predictions: dict[str, Field]
    not_applicable: dict[str, str]
    renders: dict[str, "Image.Image"]
    meshes: dict[str, bytes]
    seconds: float


def evaluate(job: EvaluationJob, resources: Resources, progress: Callable[[int, int], None]) -> Evaluation:
    """Evaluate what is not evaluated yet, then put the shards together."""
    started = time.time()
    bench = Bench.of(job)
    shards = range(shard_count(len(bench.dataset)))
    write_json(Home(Path(job.home)).evaluation_plan(job.cell), {"shards": len(shards)})
    missing = [number for number in shards if not job.shard(number).exists()]
    run_shards(partial(evaluate_shard, job), missing, len(shards), resources, progress)
    return _gather(job, bench, list(shards), started)


class Bench:
    """What predicting a split takes: the trained method and the data."""

    def __init__(self, job: EvaluationJob, split: str) -> None:
        import torch

        from suite.stored import keypoints_of
        from suite.worker import make_method
        from tasks.layouts.registry import open_layout
        from tasks.registry import PROTOCOLS, load_task

        torch.set_num_threads(1)
        self.job, self.device = job, torch.device(job.device)
        self.method = make_method(job.method, job.config, job.keypoints)
        self.task = load_task(job.task)
        self.protocol = PROTOCOLS[job.protocol]
        layout, size_px = open_layout(job.layout, Path(job.root)), job.image_size_px
        if split == "test":
            self.dataset = self.task.test_set(layout, size_px)
        else:
            self.dataset = self.task.open(layout, size_px)[split]
        if job.source is not None:
            keypoints_m = keypoints_of(Home(Path(job.home)), job.source, self.dataset.ids)
            self.dataset = self.dataset.with_keypoints(keypoints_m)

    @classmethod
    @functools.lru_cache(maxsize=1)
    def of(cls, job: EvaluationJob, split: str = "test") -> "Bench":
        """The bench of a job, kept for the process's next shard."""
        return cls(job, split)

    @functools.cached_property
    def modules(self) -> "dict[str, nn.Module]":
        """The trained stages on the device, loaded by whoever predicts: the driver may not have such a device."""
        from suite.stages import StageCache
        from suite.worker import load_stages

        cache = StageCache(Home(Path(self.job.home)))
        trained = load_stages(cache, self.method, dict(self.job.stages))
        return {name: module.to(self.device) for name, module in trained.items()}

    def predict(self, positions: "torch.Tensor") -> dict[str, Field]:
        """The method's predictions for these samples, a batch of them."""
        import torch

        batch, modules = self.dataset.gather(positions), self.modules
        with torch.inference_mode():
            fields = self.method.predict(modules, batch.to(self.device))
        return {name: on_host(value) for name, value in fields.items()}


def on_host(value: "torch.Tensor | Ragged") -> Field:
    """A field in memory; numbers of any precision in float32, whole ones as they are."""
    if isinstance(value, Ragged):
        return value
    value = value.float() if value.is_floating_point() else value
    return np.asarray(value.detach().cpu())


def evaluate_shard(job: EvaluationJob, number: int) -> None:
    """Predict and score one shard and write it whole."""
    bench = Bench.of(job)
    start, stop = shard_range(number, len(bench.dataset))
    predictions = _joined([bench.predict(positions) for positions in batches(start, stop)])
    scores = bench.task.score(bench.protocol, predictions, bench.dataset, np.arange(start, stop))
    arrays = {f"prediction/{name}": value for name, value in to_arrays(predictions).items()}
    arrays |= {f"score/{name}": value for name, value in scores.columns.items()}
    write_arrays(job.shard(number), {**arrays, "not_applicable": np.array(json.dumps(scores.not_applicable))})


def _gather(job: EvaluationJob, bench: Bench, shards: list[int], started: float) -> Evaluation:
    parts = [read_arrays(job.shard(number)) for number in shards]
    predictions = _joined([from_arrays(_select(part, "prediction/")) for part in parts])
    scores = _joined([_select(part, "score/") for part in parts])
    return Evaluation(
        per_sample=per_sample_table(bench.dataset, to_arrays(scores)),
        predictions=predictions,
        not_applicable=json.loads(str(parts[0]["not_applicable"])),
        renders=sample_renders(bench.task, predictions, bench.dataset),
        meshes=sample_meshes(bench.task, predictions, bench.dataset),
        seconds=round(time.time() - started, 3),
    )


def _joined(parts: Sequence[Fields]) -> dict[str, Field]:
    return {name: concatenate([part[name] for part in parts]) for name in parts[0]}


def _select(values: Arrays, prefix: str) -> Arrays:
    return {name.removeprefix(prefix): value for name, value in values.items() if name.startswith(prefix)}

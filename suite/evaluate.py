"""Evaluation: the test split in shards, each predicted and scored once and kept until the record stands."""

import functools
import json
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from suite.home import Home
from suite.plan import Cell
from suite.scoring import SHARD_SAMPLES, per_sample_table, sample_meshes, sample_renders
from suite.train import Resources

if TYPE_CHECKING:
    import pandas as pd
    from PIL import Image

BATCH_SAMPLES = 32


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
            stages=tuple(keys.items()),
            device=resources.device,
        )

    def shard(self, number: int) -> Path:
        return Home(Path(self.home)).cells / self.cell / "shards" / f"{number:05d}.npz"


@dataclass(frozen=True)
class Evaluation:
    """The outcome over the whole test split."""

    per_sample: "pd.DataFrame"
    predictions: dict[str, np.ndarray]
    not_applicable: dict[str, str]
    renders: dict[str, "Image.Image"]
    meshes: dict[str, bytes]
    seconds: float


def evaluate(job: EvaluationJob, resources: Resources, progress: Callable[[int, int], None]) -> Evaluation:
    """Evaluate what is not evaluated yet, then put the shards together."""
    started = time.time()
    bench = Bench.of(job)
    shards = range(-(-len(bench.dataset) // SHARD_SAMPLES))
    missing = [number for number in shards if not job.shard(number).exists()]
    progress(len(shards) - len(missing), len(shards))
    if resources.workers == 0:
        for done, number in enumerate(missing, start=len(shards) - len(missing) + 1):
            evaluate_shard(job, number)
            progress(done, len(shards))
    else:
        _evaluate_under_ray(job, missing, len(shards), resources, progress)
    return _gather(job, bench, list(shards), started)


def _evaluate_under_ray(
    job: EvaluationJob,
    missing: list[int],
    total: int,
    resources: Resources,
    progress: Callable[[int, int], None],
) -> None:
    import ray

    remote = ray.remote(num_cpus=1, num_gpus=resources.gpus_per_worker, max_retries=3)(evaluate_shard)
    pending = [remote.remote(job, number) for number in missing]
    while pending:
        finished, pending = ray.wait(pending, num_returns=1)
        ray.get(finished)
        progress(total - len(pending), total)


class Bench:
    """What evaluating needs beside the shard's number: the trained method and the test set."""

    def __init__(self, job: EvaluationJob) -> None:
        import torch

        from suite.stages import StageCache
        from suite.worker import load_stages, make_method
        from tasks.layouts.registry import open_layout
        from tasks.registry import PROTOCOLS, load_task

        torch.set_num_threads(1)
        self.device = torch.device(job.device)
        self.method = make_method(job.method, job.config)
        cache = StageCache(Home(Path(job.home)))
        self.modules = load_stages(cache, self.method, dict(job.stages))
        for module in self.modules.values():
            module.to(self.device)
        self.task = load_task(job.task)
        self.protocol = PROTOCOLS[job.protocol]
        layout = open_layout(job.layout, Path(job.root))
        self.dataset = self.task.test_set(layout, self.method.config.image_size_px)

    @classmethod
    @functools.lru_cache(maxsize=1)
    def of(cls, job: EvaluationJob) -> "Bench":
        """The bench of a job, kept for the process's next shard."""
        return cls(job)

    def predict(self, start: int, stop: int) -> dict[str, np.ndarray]:
        """The method's predictions for a range of test samples."""
        import torch

        parts = []
        for first in range(start, stop, BATCH_SAMPLES):
            batch = self.dataset.gather(torch.arange(first, min(first + BATCH_SAMPLES, stop)))
            with torch.inference_mode():
                fields = self.method.predict(self.modules, batch.to(self.device))
            parts.append({name: value.float().cpu().numpy() for name, value in fields.items()})
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def evaluate_shard(job: EvaluationJob, number: int) -> None:
    """Predict and score one shard and write it whole."""
    bench = Bench.of(job)
    start = number * SHARD_SAMPLES
    stop = min(start + SHARD_SAMPLES, len(bench.dataset))
    predictions = bench.predict(start, stop)
    scores = bench.task.score(bench.protocol, predictions, bench.dataset, np.arange(start, stop))
    path = job.shard(number)
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.stem}.{os.getpid()}.npz")
    arrays: dict[str, Any] = {f"prediction/{name}": value for name, value in predictions.items()}
    arrays |= {f"score/{name}": value for name, value in scores.columns.items()}
    np.savez(beside, **arrays, not_applicable=np.array(json.dumps(scores.not_applicable)))
    beside.replace(path)


def _gather(job: EvaluationJob, bench: Bench, shards: list[int], started: float) -> Evaluation:
    parts = [dict(np.load(job.shard(number), allow_pickle=False)) for number in shards]
    joined = {
        name: np.concatenate([part[name] for part in parts]) for name in parts[0] if name != "not_applicable"
    }
    predictions = _select(joined, "prediction/")
    return Evaluation(
        per_sample=per_sample_table(bench.dataset, _select(joined, "score/")),
        predictions=predictions,
        not_applicable=json.loads(str(parts[0]["not_applicable"])),
        renders=sample_renders(bench.task, predictions, bench.dataset),
        meshes=sample_meshes(bench.task, predictions, bench.dataset),
        seconds=round(time.time() - started, 3),
    )


def _select(values: dict[str, np.ndarray], prefix: str) -> dict[str, np.ndarray]:
    return {name.removeprefix(prefix): value for name, value in values.items() if name.startswith(prefix)}

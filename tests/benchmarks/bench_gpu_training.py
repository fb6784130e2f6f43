"""What a training step takes on a GPU, with and without bfloat16 and ``torch.compile``: every stage, in one run.

``python -m tests.benchmarks.bench_gpu_training [--methods im2hands ...] [--preset small] [--task two_hands]
[--layout interhand26m] [--data FOLDER | --size 512] [--steps 40] [--device cuda] [--seconds 300]
[--out reports/published/NAME]``

Every method's stages are first trained for an epoch, so that later ones have what they are built on. Then each stage
takes steps of the generic loop under each setting: on batches that are ready (median step; images and points a second
are of these), and with batches being prepared beside, as in a training (mean step). A setting that would begin after
``--seconds`` is left out. Memory is the allocator's peak. ``--out`` writes the table as NAME.json and NAME.md.
"""

from __future__ import annotations

import argparse
import math
import os
import platform
import statistics
import tempfile
import time
import traceback
from collections.abc import Iterator
from itertools import cycle, islice
from pathlib import Path
from typing import Any

from suite import environment

environment.apply()

import torch  # noqa: E402

from methods.base import Progress  # noqa: E402
from suite.data import open_source  # noqa: E402
from suite.home import Home  # noqa: E402
from suite.loop import PlainSession, StageRun  # noqa: E402
from suite.plan import Cell, Request, make_cells  # noqa: E402
from suite.stage_data import training_data  # noqa: E402
from suite.stage_plan import PlannedStage, planned_stages  # noqa: E402
from suite.stages import StageCache  # noqa: E402
from suite.staging import trained_stages  # noqa: E402
from suite.train import Resources, StageJob  # noqa: E402
from suite.worker import device_name, load_stages, make_method, share_cores, stage_of, upstream_of  # noqa: E402
from tasks.layouts.registry import load_synthesiser  # noqa: E402
from tasks.registry import load_task  # noqa: E402
from tests.benchmarks.publishing import publish, shown  # noqa: E402

METHODS = ("halo", "halo_star", "im2hands", "digit", "intaghand")
SETTINGS = (("float32", False), ("bfloat16", False), ("bfloat16", True), ("float32", True))
"""Precision, and whether it is compiled; what matters most first."""
READY_BATCHES, WARM_UP = 4, 6
EVERY_STAGE = {"im2hands": {"refiner.use": "on"}}
"""Settings with which a method has the stages that it leaves out of itself where keypoints are true."""
COLUMNS = {
    "method": "method",
    "stage": "stage",
    "batch_size": "batch",
    "precision": "precision",
    "compile": "compiled",
    "step_ms": "step, ms",
    "fed_step_ms": "step with preparation, ms",
    "peak_mib": "memory, MiB",
    "images_per_s": "images/s",
    "points_per_s": "points/s",
    "first_step_s": "first step, s",
}
Row = dict[str, Any]


def make_cell(options: argparse.Namespace, home: Home, data: Path, method: str) -> Cell:
    """A cell of the preset whose stages are trained for one epoch."""
    from methods.config import field_keys
    from methods.registry import load_config_model

    keys = [key for key in field_keys(load_config_model(method)) if key.endswith("training.epochs")]
    overrides = {**dict.fromkeys(keys, "1"), **EVERY_STAGE.get(method, {})}
    request = Request(method, options.task, data=data, preset=options.preset, overrides=overrides)
    (cell,) = make_cells(request, open_source(home, options.layout, data))
    return cell


class Bench:
    """One stage with its data and what it is built on."""

    def __init__(self, home: Home, cell: Cell, planned: PlannedStage, resources: Resources) -> None:
        self.cell, self.resources, self.folder = cell, resources, home.root / "bench"
        self.stage = stage_of(_method(cell), planned.name)
        self.upstream = upstream_of(
            self.stage, load_stages(StageCache(home), _method(cell), dict(planned.upstream))
        )
        self.data = training_data(StageJob.of(home, cell, planned, resources), self.stage)

    def row(self, precision: str, compiled: bool, steps: int) -> Row:
        """Times and memory of one setting."""
        settings = self.stage.training(self.cell.config)
        settings = settings.model_copy(update={"precision": precision, "compile": compiled})
        session = PlainSession(self.folder, self.resources.device)
        share_cores(self.resources.threads, session)
        torch.compiler.reset()
        torch.manual_seed(0)
        config, hand = self.cell.config, _method(self.cell).hand
        module = self.stage.build(config, hand, self.upstream)
        augment = load_task(self.cell.task.name).augment
        run = StageRun(self.stage, module, self.data, settings, config, 0, session, augment)
        run.module.train()
        _forget_peak(session.device)
        ready = list(islice(run.batches([0]), READY_BATCHES))
        start = time.perf_counter()
        _timed(run, islice(cycle(ready), 1))
        first_s = time.perf_counter() - start
        _timed(run, islice(cycle(ready), WARM_UP))
        step_s = statistics.median(_timed(run, islice(cycle(ready), steps)))
        fed_s = _fed_step_s(run, steps)
        batch = ready[0]
        points = 0 if getattr(batch, "queries", None) is None else batch.queries.occupied.numel()
        return {
            "method": self.cell.method.name,
            "stage": self.stage.name,
            "parameters": sum(p.numel() for p in module.parameters()),
            "batch_size": len(batch),
            "precision": precision,
            "compile": compiled,
            "step_ms": round(1000 * step_s, 2),
            "fed_step_ms": round(1000 * fed_s, 2),
            "peak_mib": _peak_mib(session.device),
            "images_per_s": round(len(batch) / step_s),
            "points_per_s": round(points / step_s) or None,
            "first_step_s": round(first_s, 1),
        }


def _method(cell: Cell) -> Any:
    return make_method(cell.method.name, cell.config.model_dump_json(), cell.entrant.keypoints)


def _timed(run: StageRun, batches: Iterator[Any]) -> list[float]:
    """Seconds of each step, the device idle before and after it."""
    seconds = []
    for batch in batches:
        start = time.perf_counter()
        run.step(batch, Progress(0, 1, 0, 1))
        _wait(run.session.device)
        seconds.append(time.perf_counter() - start)
    return seconds


def _fed_step_s(run: StageRun, steps: int) -> float:
    """Seconds of a step while batches are prepared beside: of whole epochs, at least so many steps."""
    epochs = -(-steps // run.schedule.steps_per_epoch)
    start, count = time.perf_counter(), 0
    for batch in run.batches(range(epochs)):
        run.step(batch, Progress(0, 1, 0, 1))
        count += 1
    _wait(run.session.device)
    return (time.perf_counter() - start) / count


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _forget_peak(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)


def _peak_mib(device: torch.device) -> int | None:
    return round(torch.cuda.max_memory_allocated(device) / 2**20) if device.type == "cuda" else None


def measure(options: argparse.Namespace, root: Path) -> Iterator[Row]:
    """The rows, all stages under one setting before the next setting."""
    data, home = options.data or root / "data", Home(root / "home")
    if not options.data:
        load_synthesiser(options.layout)(data, size=options.size, seed=0, workers=options.cpus, progress=None)
    resources = Resources(0, options.cpus, 1.0 if options.device == "cuda" else 0.0)
    benches = []
    for method in options.methods:
        cell = make_cell(options, home, data, method)
        trained_stages(home, cell, resources)
        benches += [Bench(home, cell, planned, resources) for planned in planned_stages(cell)]
    begun = time.perf_counter()
    for precision, compiled in SETTINGS:
        for bench in benches:
            if time.perf_counter() - begun < options.seconds:
                yield tried(bench, precision, compiled, options.steps)


def tried(bench: Bench, precision: str, compiled: bool, steps: int) -> Row:
    """A row; one without numbers for a setting that fails, since others may not."""
    try:
        return bench.row(precision, compiled, steps)
    except Exception as error:
        traceback.print_exc()
        failed = f"failed: {type(error).__name__}"
        settings = {
            "method": bench.cell.method.name,
            "stage": bench.stage.name,
            "precision": precision,
            "compile": compiled,
        }
        return {**dict.fromkeys(COLUMNS), **settings, "step_ms": failed}


def write(options: argparse.Namespace, rows: list[Row]) -> None:
    """Both files, in the order of stages."""
    stages = list(dict.fromkeys((row["method"], row["stage"]) for row in rows))
    facts = {
        "what": f"training steps of the {options.preset} presets",
        "device": device_name(torch.device(options.device)),
        "cpus": options.cpus,
        "python": platform.python_version(),
        "command": "python -m tests.benchmarks.bench_gpu_training",
        "options": {
            name: value
            for name, value in vars(options).items()
            if name in ("task", "layout", "steps", "preset") or (name == "size" and not options.data)
        },
    }
    rows = sorted(rows, key=lambda row: stages.index((row["method"], row["stage"])))
    publish(options.out, facts, COLUMNS, rows)


def main() -> None:
    """Print a row as soon as it is there."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--methods", nargs="+", default=METHODS)
    parser.add_argument("--preset", default="small")
    parser.add_argument("--task", default="two_hands")
    parser.add_argument("--layout", default="interhand26m")
    parser.add_argument("--data", type=Path, help="a copy of the layout; synthetic data unless given")
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--cpus", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--seconds", type=float, default=math.inf)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as folder:
        for row in measure(options, Path(folder)):
            print(" ".join(f"{key}={shown(value)}" for key, value in row.items()), flush=True)
            rows.append(row)
            if options.out:
                write(options, rows)


if __name__ == "__main__":
    main()

"""The stages of a cell in order: what is not in the caches is made."""

import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from suite.curves import Point, curve_names, read_curve
from suite.home import Home
from suite.lease import in_turn
from suite.plan import KEYPOINTS, Cell
from suite.progress import CurveWatcher, Progress, say
from suite.shards import SampleStore
from suite.stage_data import frames_of
from suite.stage_plan import DERIVED, PlannedStage, planned_stages
from suite.stages import StageCache
from suite.train import Resources, StageJob, train

Hear = Callable[[list[Point]], None]


@dataclass
class Stages:
    """What is known of the stages of a cell: notes for the record, curves, and the keys they are cached by."""

    notes: list[dict[str, Any]] = field(default_factory=list)
    curves: list[Point] = field(default_factory=list)
    keys: dict[str, str] = field(default_factory=dict)


def trained_stages(
    home: Home,
    cell: Cell,
    resources: Resources,
    hear: Hear = lambda points: None,
    until: str | None = None,
) -> Stages:
    """The stages of the cell's method, all or ``until`` one of them, published in the cache."""
    cache, found = StageCache(home), Stages()
    plan = planned_stages(cell)
    for planned in plan:
        shown = planned.name if len(plan) > 1 else None
        made = _made(home, cell, planned, resources, partial(_hear_named, hear, shown))
        note = cache.note(planned.key)
        if note is None:
            raise RuntimeError(f"stage '{planned.name}' ended without publishing its weights.")
        points = read_curve(cache.curve(planned.key))
        steps = max([0, *(p["step"] for p in points)])
        found.notes.append(
            {
                **note,
                "name": planned.name,
                "cached": made is None,
                "steps": steps,
                **planned.inputs,
                **(made or {}),
            }
        )
        found.curves += curve_names(points, shown)
        found.keys[planned.name] = planned.key
        if planned.name == until:
            break
    return found


def _made(
    home: Home, cell: Cell, planned: PlannedStage, resources: Resources, hear: Hear
) -> dict[str, Any] | None:
    """What the record says of a stage that had to be made; None for one that is there, also by another process."""
    cache, folder = StageCache(home), home.train / planned.key
    if cache.note(planned.key) is not None:
        return None
    with in_turn(folder, lambda who: say(f"{cell.label}: waits for {planned.name}, which {who} makes")):
        there = cache.note(planned.key) is not None
        said = None if there else _make(home, cell, planned, resources, hear)
        shutil.rmtree(folder, ignore_errors=True)
    return said


def _make(home: Home, cell: Cell, planned: PlannedStage, resources: Resources, hear: Hear) -> dict[str, Any]:
    """Choose the samples of a stage, work out what it is trained on, train it; what the record says of that."""
    from suite.worker import make_method, stage_of

    job = StageJob.of(home, cell, planned, resources)
    if KEYPOINTS in planned.inputs and cell.source is not None:
        _predict_keypoints(home, cell.source, planned.inputs[KEYPOINTS], resources)
    frames = frames_of(job, stage_of(make_method(job.method, job.config, job.keypoints), job.stage))
    if any(frames.left_out.values()):
        say(f"{cell.label}: {planned.name} learns from {frames}")
    started = time.time()
    if DERIVED in planned.inputs:
        from suite.derived import derive

        there = SampleStore(home.derived / planned.inputs[DERIVED]).note() is not None
        doing = "taking what was derived" if there else "deriving"
        with Progress(f"{cell.label}: {doing} for {planned.name}", "shards") as show:
            derive(job, resources, show)
    derived_s = round(time.time() - started, 3)
    _train(cell, job, resources, hear)
    return {"derive_s": derived_s} if DERIVED in planned.inputs else {}


def _predict_keypoints(home: Home, source: Cell, key: str, resources: Resources) -> None:
    """The joints that the source predicts over the training and validation set, kept by ``key``."""
    from suite.evaluate import EvaluationJob
    from suite.keypoints import predict_keypoints

    if SampleStore(home.keypoints / key).note() is not None:
        return
    keys = trained_stages(home, source, resources).keys
    with Progress(f"{source.label}: predicting keypoints to train on", "shards") as show:
        predict_keypoints(EvaluationJob.of(home, source, keys, resources), key, resources, show)


def _train(cell: Cell, job: StageJob, resources: Resources, hear: Hear) -> None:
    with Progress(f"{cell.label}: training {job.stage}", "steps") as show:
        curve = CurveWatcher(job.curve, job.plan, hear, show)
        if resources.workers == 0:
            train(job, resources, curve.look)
            return
        with curve:
            train(job, resources)


def _hear_named(hear: Hear, stage: str | None, points: list[Point]) -> None:
    hear(curve_names(points, stage))

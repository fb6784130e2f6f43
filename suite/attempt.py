"""One cell under its lease: trained stages, evaluation, record; a failure is kept."""

import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from suite.curves import Point
from suite.evaluate import Evaluation, EvaluationJob, evaluate
from suite.failures import FAILURE_FILE, Failure, count_death, write_failure
from suite.home import Home, write_json
from suite.lease import Lease, LeaseHeldError
from suite.plan import Cell, Header
from suite.progress import Progress, say
from suite.provenance import environment_versions, git_commit
from suite.staging import trained_stages
from suite.train import Resources
from suite.watch import Watch


class Listener(Protocol):
    """Who is told of a cell while it runs: the MLflow mirror, or nobody."""

    def start(self, header: Mapping[str, Any]) -> None:
        """A cell begins, or continues."""

    def log(self, cell: str, points: Sequence[Point]) -> None:
        """Points of its training curves."""

    def finish(self, record_dir: Path) -> None:
        """Its record is published."""

    def fail(self, cell: str, reason: str) -> None:
        """It failed."""


class Nobody:
    """A listener that does not listen."""

    def start(self, header: Mapping[str, Any]) -> None: ...

    def log(self, cell: str, points: Sequence[Point]) -> None: ...

    def finish(self, record_dir: Path) -> None: ...

    def fail(self, cell: str, reason: str) -> None: ...


class SourceFailedError(RuntimeError):
    """The cell that was to give the keypoints has failed."""


def is_recorded(home: Home, cell: Cell) -> bool:
    """Whether the cell has a record."""
    return (home.records / cell.id / "record.json").exists()


def recorded(home: Home, cell: Cell) -> Header:
    """The header of a cell's record."""
    from reports.record import read_record

    return read_record(home.records / cell.id).header


def attempt(
    home: Home, cell: Cell, resources: Resources, mirror: Listener, source: Header | None = None
) -> Header:
    """Run a cell under its lease; returns its header, of a failed one with the reason. Raises nothing of the cell's.

    ``source`` is the header of the cell whose predictions it is given.
    """
    folder = home.cells / cell.id
    try:
        with Lease(folder) as lease:
            if is_recorded(home, cell):  # by another process, just now
                header = recorded(home, cell)
            elif lease.left_by and (failure := count_death(folder, Watch(home, cell).look().mark)):
                mirror.start(cell.header())
                mirror.fail(cell.id, failure["reason"])
                header = _failed(cell, failure)
            else:
                header = _attempt_leased(home, cell, resources, mirror, source)
    except LeaseHeldError as error:
        say(f"{cell.label}: {error}")
        return {**cell.header(), "state": "running", "reason": str(error)}
    if header["state"] == "done":
        mirror.finish(home.records / cell.id)
        shutil.rmtree(folder, ignore_errors=True)
    return header


def _attempt_leased(
    home: Home, cell: Cell, resources: Resources, mirror: Listener, source: Header | None
) -> Header:
    folder = home.cells / cell.id
    (folder / FAILURE_FILE).unlink(missing_ok=True)
    write_json(folder / "cell.json", cell.header())
    mirror.start(cell.header())
    try:
        _require_done(source)
        return run_cell(home, cell, resources, lambda points: mirror.log(cell.id, points))
    except Exception as error:
        failure = write_failure(folder, error)
        mirror.fail(cell.id, failure["reason"])
        say(f"{cell.label}: failed: {failure['reason']}")
        return _failed(cell, failure)


def _failed(cell: Cell, failure: Failure) -> Header:
    return {**cell.header(), "state": "failed", "reason": failure["reason"], "failure": failure}


def _require_done(source: Header | None) -> None:
    if source and source["state"] != "done":
        raise SourceFailedError(
            f"its source of keypoints, '{source['method']}' (cell {source['cell']}), failed: {source['reason']}"
        )


def run_cell(
    home: Home, cell: Cell, resources: Resources, hear: Callable[[list[Point]], None] = lambda points: None
) -> Header:
    """Train what is not cached, evaluate, write the record; returns its header. Raises what goes wrong."""
    from reports.record import read_record, write_record

    started = time.time()
    stages = trained_stages(home, cell, resources, hear)
    with Progress(f"{cell.label}: evaluating", "shards") as show:
        outcome = evaluate(EvaluationJob.of(home, cell, stages.keys, resources), resources, show)
    write_record(
        home.records,
        header=_header(cell, stages.notes, outcome, resources, started),
        per_sample=outcome.per_sample,
        predictions=outcome.predictions,
        curves=_curve_table(stages.curves),
        renders=outcome.renders,
        files=outcome.meshes,
    )
    return read_record(home.records / cell.id).header


def _header(
    cell: Cell, stages: list[dict[str, Any]], outcome: Evaluation, resources: Resources, started: float
) -> Header:
    finished = time.time()
    return {
        **cell.header(),
        "state": "done",
        "reason": None,
        "not_applicable": outcome.not_applicable,
        "stages": stages,
        "cost": {
            "train_s": round(sum(stage["train_s"] for stage in stages if not stage["cached"]), 3),
            "evaluate_s": outcome.seconds,
            "wall_s": round(finished - started, 3),
            "workers": resources.workers,
            "cpus_per_worker": resources.cpus_per_worker,
            "gpus_per_worker": resources.gpus_per_worker,
        },
        "environment": environment_versions(),
        "git_commit": git_commit(),
        "finished_ms": int(finished * 1000),
    }


def _curve_table(points: list[Point]) -> Any:
    import pandas as pd

    return pd.DataFrame(points, columns=["step", "name", "value", "time_ms"])

"""Running cells: trained stages, evaluation, record, mirror. One failing cell stops no other."""

import functools
import platform
import shutil
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from suite.curves import Point, read_curve
from suite.evaluate import Evaluation, EvaluationJob, evaluate
from suite.home import Home, write_json
from suite.lease import Lease, LeaseHeldError, write_failure
from suite.plan import Cell, stage_key
from suite.progress import CurveWatcher, Progress, say
from suite.stages import StageCache
from suite.train import Resources, StageJob, train

if TYPE_CHECKING:
    from reports.tracking import LiveMirror

Header = dict[str, Any]
RECORDED_PACKAGES = ("torch", "ray", "mlflow", "smplx", "numpy", "numba", "palmares")


def run_cells(
    home: Home, cells: Sequence[Cell], resources: Resources, address: str | None = None
) -> list[Header]:
    """Run every cell that has no record yet; returns the headers of all, failed ones with their reason."""
    from reports.record import read_record
    from reports.tracking import LiveMirror

    done = [cell for cell in cells if (home.records / cell.id / "record.json").exists()]
    missing = [cell for cell in cells if cell not in done]
    headers = {cell.id: read_record(home.records / cell.id).header for cell in done}
    mirror = LiveMirror(home.root)
    try:
        for cell in done:
            say(f"{cell.label}: done before, cell {cell.id}")
            mirror.finish(home.records / cell.id)
        if missing:
            headers |= _run_missing(home, missing, resources, address, mirror)
    finally:
        mirror.close()
    return [headers[cell.id] for cell in cells]


def _run_missing(
    home: Home, cells: list[Cell], resources: Resources, address: str | None, mirror: "LiveMirror"
) -> dict[str, Header]:
    if resources.workers == 0:
        return {cell.id: _run_or_fail(home, cell, resources, mirror) for cell in cells}
    from clusters.local import ray_session

    with ray_session(address) as cluster:
        resources = share(resources, cluster)
        return {cell.id: _run_or_fail(home, cell, resources, mirror) for cell in cells}


def share(resources: Resources, cluster: dict[str, float]) -> Resources:
    """Split the cluster's CPUs among the workers."""
    cpus = int(cluster.get("CPU", 1)) // resources.workers
    return replace(resources, cpus_per_worker=max(1, cpus))


def _run_or_fail(home: Home, cell: Cell, resources: Resources, mirror: "LiveMirror") -> Header:
    folder = home.cells / cell.id
    try:
        with Lease(folder):
            header = _run_leased(home, cell, resources, mirror)
    except LeaseHeldError as error:
        say(f"{cell.label}: {error}")
        return {**cell.header(), "state": "running", "reason": str(error)}
    if header["state"] == "done":
        mirror.finish(home.records / cell.id)
        shutil.rmtree(folder, ignore_errors=True)
    return header


def _run_leased(home: Home, cell: Cell, resources: Resources, mirror: "LiveMirror") -> Header:
    folder = home.cells / cell.id
    (folder / "failure.json").unlink(missing_ok=True)
    write_json(folder / "cell.json", cell.header())
    mirror.start(cell.header())
    try:
        return run_cell(home, cell, resources, mirror.log)
    except Exception as error:
        failure = write_failure(folder, error)
        mirror.fail(failure["reason"])
        say(f"{cell.label}: failed: {failure['reason']}")
        return {**cell.header(), "state": "failed", "reason": failure["reason"]}


def run_cell(
    home: Home, cell: Cell, resources: Resources, hear: Callable[[list[Point]], None] = lambda points: None
) -> Header:
    """Train what is not cached, evaluate, write the record; returns its header. Raises what goes wrong."""
    from reports.record import read_record, write_record

    started = time.time()
    stages, curves = _trained_stages(home, cell, resources, hear)
    keys = {stage["name"]: stage["key"] for stage in stages}
    with Progress(f"{cell.label}: evaluating", "shards") as show:
        outcome = evaluate(EvaluationJob.of(home, cell, keys, resources), resources, show)
    write_record(
        home.records,
        header=_header(cell, stages, outcome, resources, started),
        per_sample=outcome.per_sample,
        predictions=outcome.predictions,
        curves=_curve_table(curves),
        renders=outcome.renders,
        files=outcome.meshes,
    )
    return read_record(home.records / cell.id).header


def _trained_stages(
    home: Home, cell: Cell, resources: Resources, hear: Callable[[list[Point]], None]
) -> tuple[list[dict[str, Any]], list[Point]]:
    """Every stage of the cell's method, published in the cache; what is known of each, and the curves of all."""
    from methods.registry import load_method
    from tasks.hands.hand import load_hand

    cache = StageCache(home)
    stages = load_method(cell.method.name)(cell.config, load_hand()).stages()
    keys: dict[str, str] = {}
    notes, curves = [], []
    for stage in stages:
        shown = stage.name if len(stages) > 1 else None
        key = keys[stage.name] = stage_key(cell, stage, keys)
        cached = cache.note(key) is not None
        if not cached:
            upstream = {name: keys[name] for name in stage.needs}
            job = StageJob.of(home, cell, stage.name, key, upstream, resources)
            _train(home, cell, job, resources, partial(_hear_named, hear, shown))
        note = cache.note(key)
        if note is None:
            raise RuntimeError(f"stage '{stage.name}' ended without publishing its weights.")
        points = read_curve(cache.curve(key))
        notes.append(
            {**note, "name": stage.name, "cached": cached, "steps": max([0, *(p["step"] for p in points)])}
        )
        curves += curve_names(points, shown)
    return notes, curves


def _hear_named(hear: Callable[[list[Point]], None], stage: str | None, points: list[Point]) -> None:
    hear(curve_names(points, stage))


def curve_names(points: list[Point], stage: str | None) -> list[Point]:
    """The points under the names of the record: ``train/<loss>``, ``train/<stage>/<loss>`` where there are several."""
    if stage is None:
        return points
    return [{**p, "name": p["name"].replace("/", f"/{stage}/", 1)} for p in points]


def _train(
    home: Home, cell: Cell, job: StageJob, resources: Resources, hear: Callable[[list[Point]], None]
) -> None:
    with (
        Progress(f"{cell.label}: training {job.stage}", "steps") as show,
        CurveWatcher(job.curve, job.plan, hear, show),
    ):
        train(job, resources)
    shutil.rmtree(job.folder, ignore_errors=True)


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


@functools.cache
def environment_versions() -> dict[str, str]:
    """Versions of what the numbers depend on."""
    versions = {"python": platform.python_version(), "platform": f"{platform.system()} {platform.machine()}"}
    for package in RECORDED_PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            versions[package] = "absent"
    return versions


@functools.cache
def git_commit() -> str | None:
    """The commit of this code, marked when it has been edited since; None outside a checkout."""
    folder = Path(__file__).parent
    try:
        run = functools.partial(subprocess.run, cwd=folder, capture_output=True, text=True, check=True)
        commit = run(["git", "rev-parse", "HEAD"]).stdout.strip()
        edited = run(["git", "status", "--porcelain", "--untracked-files=no"]).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None
    return f"{commit}+edited" if edited else commit

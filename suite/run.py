"""Running cells: trained stages, evaluation, record, mirror. One failing cell stops no other."""

import functools
import platform
import shutil
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from suite.curves import Point
from suite.evaluate import Evaluation, EvaluationJob, evaluate
from suite.home import Home, write_json
from suite.lease import Lease, LeaseHeldError, write_failure
from suite.plan import Cell
from suite.progress import Progress, say
from suite.staging import trained_stages
from suite.train import Resources
from tasks.errors import RequestError

if TYPE_CHECKING:
    from reports.tracking import LiveMirror

Header = dict[str, Any]
RECORDED_PACKAGES = ("torch", "ray", "mlflow", "smplx", "numpy", "numba", "palmares")


class SourceFailedError(RuntimeError):
    """The cell that was to give the keypoints has failed."""


def run_cells(
    home: Home, cells: Sequence[Cell], resources: Resources, address: str | None = None
) -> list[Header]:
    """Run every cell that has no record yet; returns the headers of all, failed ones with their reason.

    A cell that gives its predictions to another one is run before it.
    """
    from reports.tracking import LiveMirror

    mirror = LiveMirror(home.root)
    runner = Runner(home, resources, mirror)
    try:
        if all(runner.is_done(cell) for cell in cells):
            return [runner.header(cell) for cell in cells]
        if resources.workers == 0:
            require_gpu(resources)
            return [runner.header(cell) for cell in cells]
        from clusters.local import may_grow, ray_session

        with ray_session(address) as cluster:
            if not may_grow(address):
                require_room(resources, cluster)
            runner.resources = share(resources, cluster)
            return [runner.header(cell) for cell in cells]
    finally:
        mirror.close()


def require_gpu(resources: Resources) -> None:
    """Raise RequestError where this process is to use a GPU that torch does not find."""
    import torch

    if resources.gpus_per_worker and not torch.cuda.is_available():
        raise RequestError(
            "a GPU was asked for and torch finds none: leave out --gpus-per-worker ('palmares doctor' tells why)."
        )


def require_room(resources: Resources, cluster: dict[str, float]) -> None:
    """Raise RequestError where so many workers can never be placed: Ray would wait for more machines forever."""
    for kind, each in {"CPU": 1.0, "GPU": resources.gpus_per_worker}.items():
        there = cluster.get(kind, 0.0)
        if resources.workers * each > there:
            raise RequestError(
                f"--workers {resources.workers} with {each:g} {kind} each is more than there is here "
                f"({there:g} {kind}): ask for less, or name a cluster with --address."
            )


def share(resources: Resources, cluster: dict[str, float]) -> Resources:
    """Split the cluster's CPUs among the workers."""
    cpus = int(cluster.get("CPU", 1)) // resources.workers
    return replace(resources, cpus_per_worker=max(1, cpus))


class Runner:
    """Runs cells one after the other, each once."""

    def __init__(self, home: Home, resources: Resources, mirror: "LiveMirror") -> None:
        self.home, self.resources, self.mirror = home, resources, mirror
        self._headers: dict[str, Header] = {}

    def is_done(self, cell: Cell) -> bool:
        """Whether the cell has a record."""
        return (self.home.records / cell.id / "record.json").exists()

    def header(self, cell: Cell) -> Header:
        """The cell's header, after running it where it has no record."""
        if cell.id not in self._headers:
            self._headers[cell.id] = self._done(cell) if self.is_done(cell) else self._run(cell)
        return self._headers[cell.id]

    def _done(self, cell: Cell) -> Header:
        from reports.record import read_record

        say(f"{cell.label}: done before, cell {cell.id}")
        self.mirror.finish(self.home.records / cell.id)
        return read_record(self.home.records / cell.id).header

    def _run(self, cell: Cell) -> Header:
        source = self.header(cell.source) if cell.source else None
        if source and source["state"] == "running":
            return {**cell.header(), "state": "planned", "reason": f"waits: {source['reason']}"}
        folder = self.home.cells / cell.id
        try:
            with Lease(folder):
                header = self._run_leased(cell, source)
        except LeaseHeldError as error:
            say(f"{cell.label}: {error}")
            return {**cell.header(), "state": "running", "reason": str(error)}
        if header["state"] == "done":
            self.mirror.finish(self.home.records / cell.id)
            shutil.rmtree(folder, ignore_errors=True)
        return header

    def _run_leased(self, cell: Cell, source: Header | None) -> Header:
        folder = self.home.cells / cell.id
        (folder / "failure.json").unlink(missing_ok=True)
        write_json(folder / "cell.json", cell.header())
        self.mirror.start(cell.header())
        try:
            _require_done(source)
            return run_cell(self.home, cell, self.resources, self.mirror.log)
        except Exception as error:
            failure = write_failure(folder, error)
            self.mirror.fail(failure["reason"])
            say(f"{cell.label}: failed: {failure['reason']}")
            return {**cell.header(), "state": "failed", "reason": failure["reason"]}


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

"""The runs of sweeps: parents of the runs of their cells."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reports.record import HEADER_FILE, read_record, to_json
from reports.tracking.mirror import Mirror
from reports.tracking.values import (
    CELL_TAG,
    DIGEST_TAG,
    KIND_TAG,
    PARENT_TAG,
    STATE_TAG,
    SWEEP_TAG,
    digest_of,
    places,
    shorten,
    start_ms,
    sweep_tags,
)

if TYPE_CHECKING:
    from mlflow.entities import Run

STATUS = {"done": "FINISHED", "failed": "FAILED", "stopped": "KILLED"}


@dataclass(frozen=True)
class MirroredSweep:
    """A sweep's declaration, its tables and figures by file name, and ``done``, ``failed`` or ``stopped``."""

    said: Mapping[str, Any]
    files: Mapping[str, bytes]
    state: str

    @property
    def digest(self) -> str:
        """Of all that its run says."""
        files = {name: digest_of(content) for name, content in self.files.items()}
        return digest_of(to_json([self.said, files, self.state]).encode())


def begin_sweep(mirror: Mirror, declaration: Mapping[str, Any]) -> None:
    """The run of a sweep, created or found again; cells that begin later become its children."""
    run = declare(mirror, declaration)
    mirror.store.say(run, {STATE_TAG: "running"}, "RUNNING")


def declare(mirror: Mirror, declaration: Mapping[str, Any]) -> Run:
    """The run of a sweep with what its declaration says, whatever its state; the mirror knows its cells' places."""
    tags = _identity(declaration)
    name = shorten(str(declaration["name"]))
    run = mirror.store.find_or_create(str(declaration["task"]), tags, name, start_ms({}))
    mirror.store.tag(run, sweep_tags(declaration))
    for cell, place in places(declaration, run.info.run_id).items():
        known = mirror.places.setdefault(cell, [])
        if place not in known:
            known.append(place)
    return run


def end_sweep(mirror: Mirror, sweep: MirroredSweep) -> bool:
    """Make the run of a sweep say what its tables say, with all its cells as children; False when it did."""
    run = declare(mirror, sweep.said)
    changed = _complete(mirror, sweep.said, run)
    if is_new := run.data.tags.get(DIGEST_TAG) != sweep.digest:
        _log_files(mirror, run, sweep.files)
    changed |= mirror.store.say(run, {STATE_TAG: sweep.state}, STATUS[sweep.state])
    if is_new:
        mirror.store.set_tags(run.info.run_id, {DIGEST_TAG: sweep.digest})
    return changed or is_new


def leave_sweep(mirror: Mirror, declaration: Mapping[str, Any]) -> None:
    """Nobody works on a sweep any more that has not come to its end."""
    run = mirror.store.find(str(declaration["task"]), _identity(declaration))
    if run is not None and run.info.status == "RUNNING":
        mirror.store.say(run, {STATE_TAG: "stopped"}, STATUS["stopped"])


def _identity(declaration: Mapping[str, Any]) -> dict[str, str]:
    return {SWEEP_TAG: str(declaration["sweep"]), KIND_TAG: "sweep"}


def _complete(mirror: Mirror, declaration: Mapping[str, Any], parent: Run) -> bool:
    """Mirror the cells of a sweep that are done and not mirrored, and adopt those that ran without a parent."""
    task = str(declaration["task"])
    children = {
        run.data.tags[CELL_TAG]: run for run in mirror.store.search(task, {PARENT_TAG: parent.info.run_id})
    }
    changed = False
    for cell in places(declaration, parent.info.run_id):
        run = children.get(cell)
        folder = mirror.store.home / "records" / cell
        if (folder / HEADER_FILE).exists():
            record = read_record(folder)
            if run is None or not mirror.is_whole(run, record):
                changed |= mirror.mirror(record)
        elif run is None and (run := mirror.store.find(task, {CELL_TAG: cell})):
            changed |= mirror.place(run)
    return changed


def _log_files(mirror: Mirror, run: Run, files: Mapping[str, bytes]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        for name, content in files.items():
            path = Path(folder) / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        mirror.store.client.log_artifacts(run.info.run_id, folder, "ablation")

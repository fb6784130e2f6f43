"""The runs of cells."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reports.record import HEADER_FILE, Record
from reports.tracking.store import Store
from reports.tracking.values import (
    CELL_TAG,
    DIGEST_TAG,
    STATE_TAG,
    cell_tags,
    digest_of,
    flat_identity,
    points_of,
    run_name,
    start_ms,
)

if TYPE_CHECKING:
    from mlflow.entities import Run

NOT_MIRRORED = ("predictions.npz", "per_sample.f64")
"""Too large, and what ``per_sample.parquet`` says as well."""


class Mirror:
    """The runs of the cells of one home folder in its MLflow store. Raises what MLflow raises."""

    def __init__(self, home: Path) -> None:
        self.store = Store(home)
        self.places: dict[str, list[dict[str, str]]] = {}
        """Cell -> the tags that say where it stands, of each sweep that has it; a run has one parent."""

    def find(self, header: Mapping[str, Any]) -> Run | None:
        """The run of a cell, if it has one."""
        return self.store.find(str(header["task"]), {CELL_TAG: str(header["cell"])})

    def begin(self, header: Mapping[str, Any]) -> Run:
        """A cell begins, or continues: its run, created or found again, tagged ``running``."""
        return self._say({**header, "state": "running"}, "RUNNING")[0]

    def fail(self, header: Mapping[str, Any], reason: str) -> bool:
        """A cell has failed; False when its run said so."""
        return self._say({**header, "state": "failed", "reason": reason}, "FAILED")[1]

    def stop(self, header: Mapping[str, Any]) -> bool:
        """Nobody works on a cell, and it has no record; False when its run, if there is one, said nothing else."""
        run = self.find(header)
        if run is None or run.info.status != "RUNNING":
            return False
        return self.store.say(run, {STATE_TAG: "stopped"}, "KILLED")

    def place(self, run: Run) -> bool:
        """Make a cell's run a child of its sweep; False when it was one's, or its cell is in none."""
        return self.store.tag(run, self._place(run))

    def is_whole(self, run: Run, record: Record) -> bool:
        """Whether a run says what the record of its cell says."""
        tags = run.data.tags
        said = tags.get(DIGEST_TAG) == _digest(record) and tags.get(STATE_TAG) == record.header.get("state")
        return said and run.info.status == "FINISHED"

    def mirror(self, record: Record) -> bool:
        """Make the run of a cell say what its record says; False when it already did."""
        found = self.find(record.header)
        if found is not None and self.is_whole(found, record):
            return self.place(found)
        digest, end_ms = _digest(record), record.header.get("finished_ms")
        run_id = self._say(record.header, "RUNNING")[0].info.run_id
        self.store.log_points(run_id, points_of(record), self.store.points_of(run_id))
        tested = {f"test/{name}": entry["value"] for name, entry in sorted(record.metrics.items())}
        numbers = {name: float(value) for name, value in tested.items() if value is not None}
        self.store.log_metrics(run_id, numbers, int(end_ms or 0))
        self._log_files(run_id, record)
        self.store.client.set_terminated(run_id, "FINISHED", end_time=end_ms)
        self.store.set_tags(run_id, {DIGEST_TAG: digest})
        return True

    def _say(self, header: Mapping[str, Any], status: str) -> tuple[Run, bool]:
        """The run of a cell with its tags, parameters and status, and whether anything of it is new."""
        tags = {CELL_TAG: str(header["cell"])}
        run = self.store.find_or_create(str(header["task"]), tags, run_name(header), start_ms(header))
        self.store.log_params(run, flat_identity(header))
        return run, self.store.say(run, cell_tags(header) | self._place(run), status)

    def _place(self, run: Run) -> dict[str, str]:
        """Where a cell's run stands: in the sweep that it is a child of, else in the first one that has the cell."""
        known = self.places.get(run.data.tags.get(CELL_TAG, ""), [{}])
        return next((place for place in known if place.items() <= run.data.tags.items()), known[0])

    def _log_files(self, run_id: str, record: Record) -> None:
        for name in sorted(set(record.header["files"]) | {HEADER_FILE}):
            if name not in NOT_MIRRORED:
                folder = Path(name).parent.as_posix()
                place = None if folder == "." else folder
                self.store.client.log_artifact(run_id, str(record.path / name), place)


def _digest(record: Record) -> str:
    return digest_of((record.path / HEADER_FILE).read_bytes())

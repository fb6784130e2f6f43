"""The MLflow mirror of the records.

Records are the truth; MLflow shows them. One experiment per task, one run per cell, found again by its tag,
so that mirroring twice, or after an interruption, continues the same run and adds nothing that is there.
While cells run ``LiveMirror`` writes from a thread of its own; a server that does not answer is asked again
later, and ``sync`` mirrors every record at any time. Without ``MLFLOW_TRACKING_URI`` the mirror is a
database in the home folder.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import logging
import os
import queue
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reports.record import HEADER_FILE, PLAIN_VARIANTS, Record, flatten, read_record, scan_records, to_json

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

CELL_TAG = "palmares.cell"
SWEEP_TAG = "palmares.sweep"
PARENT_TAG = "mlflow.parentRunId"
SWEEP_STATUS = {"done": "FINISHED", "failed": "FAILED", "stopped": "KILLED"}
DIGEST_TAG = "palmares.record"
"""Digest of the mirrored record.json; set last, so a run that has it is mirrored whole."""
RETRY_S = 30.0
"""How long a server that did not answer is left alone."""
MAX_VALUE = 500
"""Longest parameter or tag value that every MLflow server takes."""
METRICS_PER_BATCH = 1000
PARAMS_PER_BATCH = 100
NOT_MIRRORED = ("predictions.npz", "per_sample.f64")
"""Too large, and what ``per_sample.parquet`` says as well."""
CLIENT_SETTINGS = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "5",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",  # standard output belongs to --json
}
"""Set before the first use of MLflow, unless the user did: short patience, and silence."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Point:
    """One point of a training curve, as in ``curves.parquet``."""

    step: int
    name: str
    value: float
    time_ms: int


@dataclass(frozen=True)
class MirroredSweep:
    """A sweep's declaration, its tables and figures by file name, and ``done``, ``failed`` or ``stopped``."""

    said: Mapping[str, Any]
    files: Mapping[str, bytes]
    state: str


@dataclass(frozen=True)
class SyncOutcome:
    """Cells and sweeps by what ``sync`` did with them; ``failed`` maps a cell to the reason."""

    mirrored: list[str] = field(default_factory=list)
    unchanged: list[str] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)


def tracking_uri(home: Path) -> str:
    """``MLFLOW_TRACKING_URI`` when it is set, else the database in the home folder."""
    return os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{Path(home).resolve()}/mlflow.db"


def sync(home: Path, sweeps: Iterable[MirroredSweep] = ()) -> SyncOutcome:
    """Mirror every record of a home folder, then its sweeps as the parents of their cells.

    Running it twice changes nothing; a cell that fails stops no other.
    """
    outcome = SyncOutcome()
    records, skipped = scan_records(Path(home) / "records")
    outcome.failed.update({folder.path.name: folder.reason for folder in skipped})
    try:
        mirror = Mirror(home)
    except Exception as error:
        outcome.failed.update({record.cell: _reason(error) for record in records})
        return outcome
    for record in records:
        try:
            (outcome.mirrored if mirror.mirror(record) else outcome.unchanged).append(record.cell)
        except Exception as error:
            outcome.failed[record.cell] = _reason(error)
    for sweep in sweeps:
        name = str(sweep.said["sweep"])
        try:
            changed = mirror.end_sweep(sweep.said, sweep.files, sweep.state)
            (outcome.mirrored if changed else outcome.unchanged).append(name)
        except Exception as error:
            outcome.failed[name] = _reason(error)
    return outcome


class LiveMirror:
    """Mirrors cells while they run: every call returns at once and none ever raises.

    A daemon thread does the writing. When the server does not answer it says so once, drops what it is told for a while
    and then tries again; finished cells that it could not mirror are mirrored at the latest when it is closed.
    """

    def __init__(self, home: Path, retry_s: float = RETRY_S) -> None:
        self.home, self.retry_s = Path(home), retry_s
        self._jobs: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._mirror: Mirror | None = None
        self._runs: dict[str, _LiveRun] = {}
        self._owed: dict[Path, None] = {}
        self._down_since: float | None = None
        self._thread = threading.Thread(target=self._work, name="mlflow-mirror", daemon=True)
        self._thread.start()

    @property
    def gave_up(self) -> bool:
        """Whether the server did not answer when it was last asked."""
        return self._down_since is not None

    def begin_sweep(self, declaration: Mapping[str, Any]) -> None:
        """Cells that begin from now on are children of the run of this sweep, and so are those that are done."""
        self._jobs.put(lambda: self._begin_sweep(declaration))

    def end_sweep(self, declaration: Mapping[str, Any], files: Mapping[str, bytes], state: str) -> None:
        """The sweep is over for now: its tables and figures become artifacts of its run."""
        self._jobs.put(lambda: self._end_sweep(declaration, files, state))

    def start(self, header: Mapping[str, Any]) -> None:
        """A cell begins, or continues: its run is created or found again, tagged ``running``."""
        header = {**header, "state": "running"}
        self._jobs.put(lambda: self._start(header))

    def log(self, cell: str, points: Sequence[Point | Mapping[str, Any]]) -> None:
        """Points of a running cell's training curves: ``Point``s or mappings with the same fields."""
        made = [point if isinstance(point, Point) else Point(**point) for point in points]
        self._jobs.put(lambda: self._log(cell, made))

    def finish(self, record_dir: Path) -> None:
        """A cell's record is published: complete its run from it."""
        self._owed[Path(record_dir)] = None
        self._jobs.put(self._pay)

    def fail(self, cell: str, reason: str) -> None:
        """A running cell failed."""
        self._jobs.put(lambda: self._fail(cell, reason))

    def close(self, timeout_s: float = 30.0) -> None:
        """Wait until everything is written, at most ``timeout_s``; ``sync`` mirrors what is left."""
        self._jobs.put(None)
        self._thread.join(timeout_s)
        if self._thread.is_alive():
            log.warning("MLflow is slow to answer; 'palmares sync' mirrors the rest later.")

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            self._try(job)
        if self._owed:
            self._try(self._pay, in_a_while=False)

    def _try(self, job: Callable[[], None], in_a_while: bool = True) -> None:
        down = self._down_since is not None
        if down and in_a_while and time.monotonic() - (self._down_since or 0.0) < self.retry_s:
            return
        try:
            job()
            self._down_since = None
        except Exception as error:
            if not down:
                log.warning("MLflow does not answer (%s); 'palmares sync' mirrors later.", _reason(error))
            self._down_since = time.monotonic()

    def _start(self, header: Mapping[str, Any]) -> None:
        if self._mirror is None:
            self._mirror = Mirror(self.home)
        run_id = self._mirror.begin(header).info.run_id
        self._runs[header["cell"]] = _LiveRun(run_id, self._mirror.points_of(run_id))

    def _begin_sweep(self, declaration: Mapping[str, Any]) -> None:
        if self._mirror is None:
            self._mirror = Mirror(self.home)
        self._mirror.begin_sweep(declaration)

    def _end_sweep(self, declaration: Mapping[str, Any], files: Mapping[str, bytes], state: str) -> None:
        if self._mirror is None:
            self._mirror = Mirror(self.home)
        self._mirror.end_sweep(declaration, files, state)

    def _log(self, cell: str, points: Sequence[Point]) -> None:
        if self._mirror and (run := self._runs.get(cell)):
            self._mirror.log_points(run.id, points, run.seen)

    def _pay(self) -> None:
        """Mirror the finished cells that are not mirrored yet."""
        if self._mirror is None:
            self._mirror = Mirror(self.home)
        for record_dir in list(self._owed):
            self._mirror.mirror(read_record(record_dir))
            self._runs.pop(record_dir.name, None)
            del self._owed[record_dir]

    def _fail(self, cell: str, reason: str) -> None:
        if self._mirror and (run := self._runs.pop(cell, None)):
            self._mirror.set_tags(run.id, {"palmares.state": "failed", "palmares.reason": reason})
            self._mirror.client.set_terminated(run.id, "FAILED")


@dataclass(frozen=True)
class _LiveRun:
    """The MLflow run of a cell under way, and the curve points that it has."""

    id: str
    seen: set[tuple[str, int]]


class Mirror:
    """The runs of one home folder in one MLflow store. Raises what MLflow raises."""

    def __init__(self, home: Path) -> None:
        self.home = Path(home).resolve()
        self.home.mkdir(parents=True, exist_ok=True)
        self.uri = tracking_uri(self.home)
        self._experiments: dict[str, str] = {}
        self._places: dict[str, dict[str, str]] = {}
        """Cell -> the tags that say where it stands in the sweep that was begun."""
        with self._lock():
            self.client = _client(self.uri)
            self.client.search_experiments(max_results=1)

    def begin(self, header: Mapping[str, Any]) -> Run:
        """The run of a cell, created or found again, with its tags, parameters and state."""
        with self._lock():
            run = self._find(header) or self._create(header)
        run_id = run.info.run_id
        self.set_tags(run_id, _tags(header) | self._places.get(str(header["cell"]), {}))
        self._log_params(run, flat_identity(header))
        if run.info.status != "RUNNING":
            self.client.update_run(run_id, status="RUNNING")
        return run

    def begin_sweep(self, declaration: Mapping[str, Any]) -> str:
        """The run of a sweep, created or found again; cells that begin later become its children. Returns its id."""
        with self._lock():
            run = self._find_sweep(declaration) or self._create_sweep(declaration)
        run_id: str = run.info.run_id
        self.set_tags(run_id, _sweep_tags(declaration) | {"palmares.state": "running"})
        if run.info.status != "RUNNING":
            self.client.update_run(run_id, status="RUNNING")
        self._places = _places(declaration, run_id)
        return run_id

    def end_sweep(self, declaration: Mapping[str, Any], files: Mapping[str, bytes], state: str) -> bool:
        """Make the run of a sweep say what its tables say, with all its cells as children; False when it did."""
        digest = hashlib.sha256(
            to_json([declaration, {n: _sha(c) for n, c in files.items()}, state]).encode()
        )
        with self._lock():
            found = self._find_sweep(declaration)
        if found is not None and found.data.tags.get(DIGEST_TAG) == digest.hexdigest()[:16]:
            if found.info.status != SWEEP_STATUS[state]:
                self.client.set_terminated(found.info.run_id, SWEEP_STATUS[state])
            return False
        run_id = self.begin_sweep(declaration)
        self._adopt(str(declaration["task"]))
        with tempfile.TemporaryDirectory() as folder:
            for name, content in files.items():
                path = Path(folder) / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(content)
            self.client.log_artifacts(run_id, folder, "ablation")
        self.set_tags(run_id, {"palmares.state": state})
        self.client.set_terminated(run_id, SWEEP_STATUS[state])
        self.client.set_tag(run_id, DIGEST_TAG, digest.hexdigest()[:16])
        return True

    def _adopt(self, task: str) -> None:
        """Give the runs of cells that were done before their place in the sweep."""
        token, experiment = None, self._experiment(task)
        while True:
            page = self.client.search_runs([experiment], "tags.`palmares.kind` = 'run'", page_token=token)
            for run in page:
                place = self._places.get(run.data.tags.get(CELL_TAG, ""), {})
                if any(run.data.tags.get(key) != value for key, value in place.items()):
                    self.set_tags(run.info.run_id, place)
            if not (token := page.token):
                return

    def _find_sweep(self, declaration: Mapping[str, Any]) -> Run | None:
        experiment = self._experiment(str(declaration["task"]))
        wanted = f"tags.`{SWEEP_TAG}` = '{declaration['sweep']}' and tags.`palmares.kind` = 'sweep'"
        runs = self.client.search_runs([experiment], wanted, max_results=1)
        return runs[0] if runs else None

    def _create_sweep(self, declaration: Mapping[str, Any]) -> Run:
        return self.client.create_run(
            self._experiment(str(declaration["task"])),
            start_time=int(time.time() * 1000),
            tags={SWEEP_TAG: declaration["sweep"], "palmares.kind": "sweep"},
            run_name=shorten(f"sweep {declaration['name']}"),
        )

    def mirror(self, record: Record) -> bool:
        """Make the run of a cell say what its record says; False when it already did."""
        digest = hashlib.sha256((record.path / HEADER_FILE).read_bytes()).hexdigest()[:16]
        with self._lock():
            found = self._find(record.header)
        if found is not None and found.data.tags.get(DIGEST_TAG) == digest:
            return False
        run_id = self.begin(record.header).info.run_id
        self.log_points(run_id, _points(record), self.points_of(run_id))
        self._log_test_metrics(run_id, record)
        for name in sorted(set(record.header["files"]) | {HEADER_FILE}):
            if name not in NOT_MIRRORED:
                folder = Path(name).parent.as_posix()
                self.client.log_artifact(run_id, str(record.path / name), None if folder == "." else folder)
        self.client.set_terminated(run_id, "FINISHED", end_time=record.header.get("finished_ms"))
        self.client.set_tag(run_id, DIGEST_TAG, digest)
        return True

    def log_points(self, run_id: str, points: Sequence[Point], seen: set[tuple[str, int]]) -> None:
        """Append the points whose (name, step) the run does not have yet; ``seen`` is brought up to date."""
        from mlflow.entities import Metric

        new = []
        for point in points:
            key = (_curve_name(point.name), int(point.step))
            if key not in seen:
                seen.add(key)
                new.append(Metric(key[0], float(point.value), int(point.time_ms), key[1]))
        for batch in _batches(new, METRICS_PER_BATCH):
            self.client.log_batch(run_id, metrics=batch)

    def points_of(self, run_id: str) -> set[tuple[str, int]]:
        """(name, step) of every point that a run has."""
        names = self.client.get_run(run_id).data.metrics
        return {(m.key, m.step) for name in names for m in self.client.get_metric_history(run_id, name)}

    def set_tags(self, run_id: str, tags: Mapping[str, str]) -> None:
        """Set tags, long values shortened."""
        from mlflow.entities import RunTag

        self.client.log_batch(run_id, tags=[RunTag(key, shorten(value)) for key, value in tags.items()])

    def _log_test_metrics(self, run_id: str, record: Record) -> None:
        from mlflow.entities import Metric

        time_ms = int(record.header.get("finished_ms") or 0)
        metrics = [
            Metric(f"test/{name}", float(entry["value"]), time_ms, 0)
            for name, entry in sorted(record.metrics.items())
            if entry["value"] is not None
        ]
        self.client.log_batch(run_id, metrics=metrics)

    def _log_params(self, run: Run, params: Mapping[str, str]) -> None:
        from mlflow.entities import Param

        new = [Param(key, value) for key, value in params.items() if key not in run.data.params]
        for batch in _batches(new, PARAMS_PER_BATCH):
            self.client.log_batch(run.info.run_id, params=batch)

    def _find(self, header: Mapping[str, Any]) -> Run | None:
        experiment = self._experiment(str(header["task"]))
        runs = self.client.search_runs([experiment], f"tags.`{CELL_TAG}` = '{header['cell']}'", max_results=1)
        return runs[0] if runs else None

    def _create(self, header: Mapping[str, Any]) -> Run:
        return self.client.create_run(
            self._experiment(str(header["task"])),
            start_time=header.get("started_ms") or header.get("finished_ms") or int(time.time() * 1000),
            tags={CELL_TAG: header["cell"]},
            run_name=_run_name(header),
        )

    def _experiment(self, task: str) -> str:
        if task not in self._experiments:
            name = f"palmares/{task}"
            found = self.client.get_experiment_by_name(name)
            local = (self.home / "artifacts" / task).as_uri() if self.uri.startswith("sqlite:") else None
            made = (
                found.experiment_id if found else self.client.create_experiment(name, artifact_location=local)
            )
            self._experiments[task] = made
        return self._experiments[task]

    @contextmanager
    def _lock(self) -> Iterator[None]:
        """One writer of this home at a time makes databases, experiments and runs."""
        with (self.home / "mlflow.lock").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield


def flat_identity(header: Mapping[str, Any]) -> dict[str, str]:
    """The identity of a cell as MLflow parameters: dotted keys, text values, long ones shortened."""
    return {key: shorten(text) for key, text in flatten(header["identity"])}


def shorten(text: str) -> str:
    """A value no longer than every server takes: the beginning, and a hash of the whole."""
    if len(text) <= MAX_VALUE:
        return text
    digest = hashlib.sha256(text.encode()).hexdigest()[:16]
    return f"{text[: MAX_VALUE - 26]}... sha256:{digest}"[:MAX_VALUE]


def _tags(header: Mapping[str, Any]) -> dict[str, str]:
    names = (
        "cell",
        "kind",
        "method",
        "task",
        "layout",
        "split",
        "synthetic",
        "preset",
        "seed",
        "axis",
        "variant",
    )
    values = {name: header.get(name) for name in (*names, "git_commit", "state", "reason")}
    values["data_fingerprint"] = header["identity"].get("data_fingerprint")
    values["reason"] = values["reason"] or ""
    return {
        f"palmares.{name}": value if isinstance(value, str) else json.dumps(value)
        for name, value in values.items()
        if value is not None
    }


def _sweep_tags(declaration: Mapping[str, Any]) -> dict[str, str]:
    axes = declaration["axes"]
    questions = "\n".join(f"* {axis['name']}: {axis['question']}" for axis in axes)
    names = ("method", "task", "layout", "split", "preset")
    return {
        **{f"palmares.{name}": str(declaration[name]) for name in names},
        "palmares.synthetic": json.dumps(declaration["synthetic"]),
        "palmares.axis": ", ".join(axis["name"] for axis in axes),
        "mlflow.note.content": questions,
    }


def _places(declaration: Mapping[str, Any], run_id: str) -> dict[str, dict[str, str]]:
    """Cell -> its parent, and the axis and value that it stands for; the default stands for none."""
    found: dict[str, dict[str, str]] = {}
    for point in declaration["points"]:
        axis = " x ".join(point["values"]) or "default"
        place = {
            PARENT_TAG: run_id,
            SWEEP_TAG: declaration["sweep"],
            "palmares.axis": axis,
            "palmares.value": ", ".join(point["values"].values()) or "default",
        }
        for cell in point["cells"].values():
            found.setdefault(cell, place)
    return found


def _sha(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _run_name(header: Mapping[str, Any]) -> str:
    parts = (header["method"], header.get("preset"), header.get("variant"), f"seed {header.get('seed')}")
    return " ".join(str(part) for part in parts if part not in PLAIN_VARIANTS)


def _curve_name(name: str) -> str:
    """``train/<loss>``; a name that has its folder already keeps it."""
    return name if "/" in name else f"train/{name}"


def _points(record: Record) -> list[Point]:
    return [
        Point(*row) for row in record.curves[["step", "name", "value", "time_ms"]].itertuples(index=False)
    ]


def _client(uri: str) -> MlflowClient:
    for key, value in CLIENT_SETTINGS.items():
        os.environ.setdefault(key, value)
    from mlflow import MlflowClient

    for noisy in ("alembic", "mlflow.store.db.utils"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    return MlflowClient(tracking_uri=uri)


def _batches(items: list[Any], size: int) -> Iterable[list[Any]]:
    return (items[first : first + size] for first in range(0, len(items), size))


def _reason(error: Exception) -> str:
    text = str(error).strip().splitlines()
    return f"{type(error).__name__}: {text[0][:200] if text else ''}"

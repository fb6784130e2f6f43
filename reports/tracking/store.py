"""One MLflow store, as a home folder uses it: experiments, runs found by their tags, and what is logged to them.

Without ``MLFLOW_TRACKING_URI`` the store is a database in the home folder.
"""

from __future__ import annotations

import fcntl
import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reports.tracking.values import Point, curve_name

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

DATABASE = "mlflow.db"
METRICS_PER_BATCH = 1000
PARAMS_PER_BATCH = 100
CLIENT_SETTINGS = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "5",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",  # standard output belongs to --json
}
"""Set before the first use of MLflow, unless the user did: short patience, and silence."""


def tracking_uri(home: Path) -> str:
    """``MLFLOW_TRACKING_URI`` when it is set, else the database in the home folder."""
    return os.environ.get("MLFLOW_TRACKING_URI") or _embedded(Path(home).resolve())


def _embedded(home: Path) -> str:
    return f"sqlite:///{home}/{DATABASE}"


def make_database(path: Path) -> None:
    """A database with MLflow's tables, unless it is there.

    MLflow takes seconds to make the tables, and cannot go on with those of a process that was killed meanwhile. So they
    are made beside, and renamed when they are whole.
    """
    if path.exists():
        return
    for left in path.parent.glob(f".{path.name}.*"):
        left.unlink()
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    connect(f"sqlite:///{beside}").search_experiments(max_results=1)
    beside.rename(path)


class Store:
    """The store of a home folder. Raises what MLflow raises."""

    def __init__(self, home: Path) -> None:
        self.home = Path(home).resolve()
        self.home.mkdir(parents=True, exist_ok=True)
        self.uri = tracking_uri(self.home)
        self._experiments: dict[str, str] = {}
        with self._lock():
            if self.uri == _embedded(self.home):
                make_database(self.home / DATABASE)
            self.client = connect(self.uri)
            self.client.search_experiments(max_results=1)

    def answers(self) -> bool:
        """Whether the server is there; what it was asked in vain before was then wrong in itself."""
        self._experiments.clear()  # it may have been set up anew
        try:
            self.client.search_experiments(max_results=1)
        except Exception:
            return False
        return True

    def search(self, task: str, tags: Mapping[str, str]) -> Iterator[Run]:
        """The runs of a task's experiment that have these tags."""
        wanted = " and ".join(f"tags.`{key}` = '{value}'" for key, value in tags.items())
        token, experiment = None, self._experiment(task)
        while True:
            page = self.client.search_runs([experiment], wanted, page_token=token)
            yield from page
            if not (token := page.token):
                return

    def find(self, task: str, tags: Mapping[str, str]) -> Run | None:
        """The first run that has these tags. Others like it are deleted.

        MLflow's client sends a request again whose answer it did not get, so a slow server may create a run twice.
        """
        found = sorted(self.search(task, tags), key=lambda run: (run.info.start_time, run.info.run_id))
        for twin in found[1:]:
            self.client.delete_run(twin.info.run_id)
        return found[0] if found else None

    def find_or_create(self, task: str, tags: Mapping[str, str], name: str, start_ms: int) -> Run:
        """The one run that has these tags."""
        with self._lock():
            if found := self.find(task, tags):
                return found
            made = self.client.create_run(
                self._experiment(task), start_time=start_ms, tags=dict(tags), run_name=name
            )
            return self.find(task, tags) or made

    def say(self, run: Run, tags: Mapping[str, str], status: str) -> bool:
        """Give a run tags and a status; False where it had both."""
        tagged = self.tag(run, tags)
        if run.info.status == status:
            return tagged
        if status == "RUNNING":
            self.client.update_run(run.info.run_id, status=status)
        else:
            self.client.set_terminated(run.info.run_id, status)
        return True

    def tag(self, run: Run, tags: Mapping[str, str]) -> bool:
        """Give a run the tags that it does not have; False where it had all. An empty one is as good as none."""
        new = {key: value for key, value in tags.items() if run.data.tags.get(key, "") != value}
        if new:
            self.set_tags(run.info.run_id, new)
        return bool(new)

    def set_tags(self, run_id: str, tags: Mapping[str, str]) -> None:
        """Set tags at once."""
        from mlflow.entities import RunTag

        self.client.log_batch(run_id, tags=[RunTag(key, value) for key, value in tags.items()])

    def log_params(self, run: Run, params: Mapping[str, str]) -> bool:
        """Give a run the parameters that it does not have, MLflow lets none change; False where it had all."""
        from mlflow.entities import Param

        new = [Param(key, value) for key, value in params.items() if key not in run.data.params]
        for batch in _batches(new, PARAMS_PER_BATCH):
            self.client.log_batch(run.info.run_id, params=batch)
        return bool(new)

    def log_metrics(self, run_id: str, values: Mapping[str, float], time_ms: int) -> None:
        """Numbers without a course. The same at the same time are not added twice."""
        from mlflow.entities import Metric

        metrics = [Metric(name, value, time_ms, 0) for name, value in values.items()]
        for batch in _batches(metrics, METRICS_PER_BATCH):
            self.client.log_batch(run_id, metrics=batch)

    def log_points(self, run_id: str, points: Sequence[Point], seen: set[tuple[str, int]]) -> None:
        """Append the points whose (name, step) the run does not have yet; ``seen`` is brought up to date."""
        from mlflow.entities import Metric

        new = {(curve_name(point.name), int(point.step)): point for point in reversed(points)}
        metrics = [
            Metric(name, float(point.value), int(point.time_ms), step)
            for (name, step), point in reversed(new.items())
            if (name, step) not in seen
        ]
        for batch in _batches(metrics, METRICS_PER_BATCH):
            self.client.log_batch(run_id, metrics=batch)
            seen.update((metric.key, metric.step) for metric in batch)

    def points_of(self, run_id: str) -> set[tuple[str, int]]:
        """(name, step) of every point that a run has."""
        names = self.client.get_run(run_id).data.metrics
        return {(m.key, m.step) for name in names for m in self.client.get_metric_history(run_id, name)}

    def _experiment(self, task: str) -> str:
        if task not in self._experiments:
            name = f"palmares/{task}"
            found = self.client.get_experiment_by_name(name)
            local = (self.home / "artifacts" / task).as_uri() if self.uri.startswith("sqlite:") else None
            self._experiments[task] = (
                found.experiment_id if found else self.client.create_experiment(name, artifact_location=local)
            )
        return self._experiments[task]

    @contextmanager
    def _lock(self) -> Iterator[None]:
        """One writer of this home at a time makes databases, experiments and runs."""
        with (self.home / "mlflow.lock").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield


def connect(uri: str) -> MlflowClient:
    """MLflow's client, quiet, and importing MLflow only here."""
    for key, value in CLIENT_SETTINGS.items():
        os.environ.setdefault(key, value)
    from mlflow import MlflowClient

    for noisy in ("alembic", "mlflow.store.db.utils"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    return MlflowClient(tracking_uri=uri)


def _batches(items: Sequence[Any], size: int) -> Iterator[Sequence[Any]]:
    return (items[first : first + size] for first in range(0, len(items), size))

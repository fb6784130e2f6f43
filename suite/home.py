"""The home folder: where records, caches and the state of running cells live.

::

    records/<cell>/        finished cells: the truth
    cells/<cell>/          cells under way or failed: plan, lease, failure, evaluated shards
    train/<stage key>/     checkpoints and curves of stages under way (Ray Train's storage)
    cache/stages/<key>/    trained stages, published whole
    cache/derived/<key>/   what a stage works out of its samples before it trains: an array per field and split
    cache/keypoints/<key>/ joints that a method's trained stages predict over the training and validation set
    cache/synthetic/<id>/  synthetic data made on first use
    sweeps/<id>/           which cells answer which questions of a sweep
    tunings/<id>/          what a tuning searches, and its trials
    mlflow.db, artifacts/  the embedded MLflow mirror
    report/                the last report
"""

import json
import os
import tempfile
from pathlib import Path
from typing import Any

from tasks.errors import RequestError


class Home:
    """Paths below one folder that every node can write."""

    def __init__(self, root: Path) -> None:
        self.root = root.absolute()
        self.records = self.root / "records"
        self.cells = self.root / "cells"
        self.train = self.root / "train"
        self.stages = self.root / "cache" / "stages"
        self.derived = self.root / "cache" / "derived"
        self.keypoints = self.root / "cache" / "keypoints"
        self.synthetic = self.root / "cache" / "synthetic"
        self.sweeps = self.root / "sweeps"
        self.tunings = self.root / "tunings"
        self.report = self.root / "report"

    @classmethod
    def from_environment(cls) -> "Home":
        """``PALMARES_HOME``, or ``./runs``. Raises RequestError for a URI."""
        value = os.environ.get("PALMARES_HOME") or "runs"
        if "://" in value:
            raise RequestError(
                f"PALMARES_HOME is '{value}': expected a folder that every node can write (local or NFS)."
            )
        return cls(Path(value))

    def evaluation_plan(self, cell: str) -> Path:
        """The file that says, while a cell is evaluated, how many shards there are; it stands beside them."""
        return self.cells / cell / "shards" / "plan.json"

    def require_writable(self) -> None:
        """Create the folder and prove that a file can be written. Raises RequestError."""
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=self.root):
                pass
        except OSError as error:
            reason = error.strerror or error
            raise RequestError(
                f"PALMARES_HOME '{self.root}' cannot be written ({reason}): set it to a folder that can."
            ) from None


def write_json(path: Path, value: Any) -> None:
    """Write a JSON file whole: beside first, then renamed over."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    beside.write_text(json.dumps(value, indent=1, sort_keys=True) + "\n")
    beside.replace(path)


def read_json(path: Path) -> Any | None:
    """The value of a JSON file, or None where there is no whole one."""
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError):
        return None

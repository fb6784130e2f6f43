"""Anybody's predictions: a file in the layout's official format becomes a cell of kind ``external``."""

import hashlib
import shutil
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from suite.composition import names_a_method
from suite.data import open_source, require_folder
from suite.home import Home
from suite.identity import digest
from suite.plan import Header, resolve_layout, resolve_protocol, resolve_task
from suite.scoring import sample_meshes, sample_renders, score_all
from tasks.errors import RequestError
from tasks.ragged import Fields, to_arrays

if TYPE_CHECKING:
    from suite.data import DataSource

HASH_ROWS = 1024


@dataclass(frozen=True)
class Submission:
    """What ``palmares evaluate`` was asked for."""

    file: Path
    name: str
    task: str
    layout: str | None = None
    data: Path | None = None
    protocol: str | None = None
    as_is: bool = False
    """Score what the file holds without asking whether it can be meant."""
    sees: Sequence[str] = ()
    """What the method was given at test time beside the image."""
    about: Mapping[str, str] = field(default_factory=dict)
    """What a reader should know of the row: training data, backbone, parameters."""
    replace: bool = False


def check_request(submission: Submission) -> None:
    """Raise RequestError for what can be told before anything is read."""
    task = resolve_task(submission.task)
    layout = resolve_layout(task, submission.layout)
    resolve_protocol(task, layout, submission.protocol)
    require_folder(layout, submission.data)
    if not submission.name.strip():
        raise RequestError("--as is empty: expected the name that the row shall have.")
    if names_a_method(submission.name):
        raise RequestError(f"--as '{submission.name}' is the name of a method of the suite: choose another.")
    if not submission.file.is_file():
        raise RequestError(f"no predictions file at '{submission.file}'.")


def evaluate_file(
    home: Home, submission: Submission, progress: Callable[[int, int], None] = lambda done, total: None
) -> Header:
    """Read, diagnose, score and record a predictions file; returns the cell's header. Raises RequestError.

    Nothing is recorded of a file that is refused. The same predictions under the same name are one cell.
    """
    from reports.record import read_record
    from tasks.layouts.registry import open_layout
    from tasks.registry import load_task
    from tasks.submissions import diagnose, read_submission

    check_request(submission)
    started = time.time()
    task, layout = (
        load_task(submission.task),
        resolve_layout(resolve_task(submission.task), submission.layout),
    )
    source = open_source(home, layout, submission.data)
    dataset = task.test_set(open_layout(layout, source.root))
    with tempfile.TemporaryDirectory(prefix="palmares-") as scratch:
        fields = read_submission(submission.file, layout, dataset, Path(scratch))
        if not submission.as_is:
            diagnose(fields, layout, dataset)
        header = _header(submission, task.spec, layout, source, fields)
        if (home.records / header["cell"] / "record.json").exists():
            return read_record(home.records / header["cell"]).header
        replaced = _namesakes(home, header)
        if replaced and not submission.replace:
            raise RequestError(
                f"--as '{submission.name}' is taken: cell {replaced[0]} holds other predictions under that name; "
                "choose another name, or --replace it."
            )
        recorded = _record(home, header, task, dataset, fields, started, progress)
    for cell in replaced:
        shutil.rmtree(home.records / cell)
    return recorded


def _header(submission: Submission, task: Any, layout: str, source: "DataSource", fields: Fields) -> Header:
    from tasks.hands.in_use import hand_data

    protocol, hand = resolve_protocol(task, layout, submission.protocol), hand_data()
    identity = {
        "method": submission.name,
        "predictions": fingerprint(fields),
        "task": task.name,
        "task_version": task.version,
        "protocol": protocol.label,
        "layout": layout,
        "split": "test",
        "data_fingerprint": source.fingerprint,
        "hand": hand.fingerprint,
        "seed": 0,
    }
    return {
        "cell": digest(identity),
        "kind": "external",
        "identity": identity,
        "method": submission.name,
        "method_title": submission.name,
        "task": task.name,
        "layout": layout,
        "split": "test",
        "axis": None,
        "variant": "default",
        "seed": 0,
        "preset": None,
        "protocol": protocol.header(),
        "synthetic": source.synthetic,
        "hand_name": hand.name,
        "flags": sorted(set(submission.sees)),
        "about": dict(submission.about),
        "checked": not submission.as_is,
    }


def fingerprint(fields: Fields) -> str:
    """16 hex digits of the predictions' values, whatever file they came in."""
    content = hashlib.sha256()
    for name, values in sorted(to_arrays(fields).items()):
        content.update(f"{name} {values.shape} {values.dtype.str}\n".encode())
        for first in range(0, len(values), HASH_ROWS):
            content.update(np.ascontiguousarray(values[first : first + HASH_ROWS]).tobytes())
    return content.hexdigest()[:16]


def _namesakes(home: Home, header: Header) -> list[str]:
    """Cells of other predictions that would stand under the same name in the same table."""
    from reports.record import scan_records

    same = ("task", "task_version", "protocol", "layout", "split", "data_fingerprint")
    return [
        record.cell
        for record in scan_records(home.records)[0]
        if record.header["kind"] == "external"
        and record.header["method"] == header["method"]
        and all(record.header["identity"].get(key) == header["identity"][key] for key in same)
    ]


def _record(
    home: Home,
    header: Header,
    task: Any,
    dataset: Any,
    fields: Fields,
    started: float,
    progress: Callable[[int, int], None],
) -> Header:
    from reports.record import read_record, write_record
    from suite.provenance import environment_versions, git_commit
    from tasks.registry import PROTOCOLS

    protocol = PROTOCOLS[header["protocol"]["name"]]
    per_sample, not_applicable = score_all(task, protocol, fields, dataset, progress)
    try:
        renders = sample_renders(task, fields, dataset)
    except RequestError:  # a copy with annotations alone is enough to score
        renders = {}
    finished = time.time()
    write_record(
        home.records,
        header={
            **header,
            "state": "done",
            "reason": None,
            "not_applicable": not_applicable,
            "stages": [],
            "cost": {"train_s": 0.0, "wall_s": round(finished - started, 3)},
            "environment": environment_versions(),
            "git_commit": git_commit(),
            "finished_ms": int(finished * 1000),
        },
        per_sample=per_sample,
        predictions=fields,
        renders=renders,
        files=sample_meshes(task, fields, dataset),
    )
    return read_record(home.records / header["cell"]).header

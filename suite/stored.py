"""What is done with predictions that a record keeps: another protocol's scores, the official submission file, and
keypoints for another method.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from suite.data import open_source
from suite.home import Home
from suite.identity import digest
from suite.plan import Header, resolve_protocol, resolve_task
from suite.scoring import score_all
from tasks.errors import RequestError, unknown_name

if TYPE_CHECKING:
    import numpy as np

    from reports.record import Record
    from tasks.base import Protocol

DATA_FILES = "*.fingerprint.json"


@dataclass(frozen=True)
class Bench:
    """A task and the test set that a record's predictions belong to."""

    task: Any
    dataset: Any


def find_record(home: Home, name: str) -> "Record":
    """The record of a cell, by its id or the beginning of it. Raises RequestError unless there is exactly one."""
    from reports.record import read_record

    folders = sorted(f.name for f in home.records.glob("*") if (f / "record.json").is_file())
    found = [cell for cell in folders if cell.startswith(name)] if name else []
    if not found:
        raise unknown_name("cell", name, folders)
    if len(found) > 1:
        raise RequestError(
            f"'{name}' is the beginning of {len(found)} cells: {', '.join(found[:4])}; give more of it."
        )
    return read_record(home.records / found[0])


def open_bench(home: Home, record: "Record", data: Path | None) -> Bench:
    """The test set of a record: at ``data``, or the home's own synthetic data.

    Raises RequestError when the data are not there or are not those of the record.
    """
    from tasks.layouts.registry import open_layout
    from tasks.registry import load_task

    header = record.header
    root = data or _own_data(home, header)
    source = open_source(home, header["layout"], root)
    wanted = header["identity"]["data_fingerprint"]
    if source.fingerprint != wanted:
        raise RequestError(
            f"the data at '{root}' are not those of cell {record.cell} (fingerprint {source.fingerprint}, expected "
            f"{wanted}); give the folder that the cell was evaluated on."
        )
    task = load_task(header["task"])
    return Bench(task, task.test_set(open_layout(header["layout"], source.root)))


def _own_data(home: Home, header: Header) -> Path:
    """The cached synthetic data with a record's fingerprint."""
    from suite.home import read_json

    for note in sorted(home.synthetic.glob(DATA_FILES)):
        root = note.with_name(note.name.removesuffix(DATA_FILES[1:]))
        if (read_json(note) or {}).get("fingerprint") == header["identity"][
            "data_fingerprint"
        ] and root.is_dir():
            return root
    raise RequestError(
        f"the data of cell {header['cell']} are not in '{home.synthetic}': give their folder with --data."
    )


def rescore(
    home: Home,
    cells: list[str],
    protocol_name: str,
    data: Path | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> list[Header]:
    """Score the stored predictions of cells by another protocol; a record each, whose id a run would have as well.

    No network runs. A cell that has that record already is not scored again. An input of the cell is not scored: it is
    named as the cell that a run under the other protocol would have been given.
    """
    records = [find_record(home, cell) for cell in cells]
    for record in records:
        resolve_protocol(resolve_task(record.header["task"]), record.header["layout"], protocol_name)
    return [_rescore(home, record, protocol_name, data, progress) for record in records]


def _rescore(
    home: Home, record: "Record", protocol_name: str, data: Path | None, progress: Callable[[int, int], None]
) -> Header:
    from reports.record import read_record, write_record

    header = record.header
    protocol = resolve_protocol(resolve_task(header["task"]), header["layout"], protocol_name)
    identity, inputs = _under(protocol, header)
    cell = digest(identity)
    if (home.records / cell / "record.json").exists():
        return read_record(home.records / cell).header
    bench, predictions = open_bench(home, record, data), record.predictions
    per_sample, not_applicable = score_all(bench.task, protocol, predictions, bench.dataset, progress)
    write_record(
        home.records,
        header={
            **{key: value for key, value in header.items() if key not in ("metrics", "files")},
            "cell": cell,
            "identity": identity,
            "inputs": inputs,
            "protocol": protocol.header(),
            "not_applicable": not_applicable,
            "rescored_from": header.get("rescored_from") or record.cell,
        },
        per_sample=per_sample,
        predictions=predictions,
        curves=record.curves,
        renders={name: path.read_bytes() for name, path in record.renders.items()},
        files={f"meshes/{path.name}": path.read_bytes() for path in record.meshes},
    )
    return read_record(home.records / cell).header


def _under(protocol: "Protocol", header: Header) -> tuple[Header, Header]:
    """A record's identity, and those of its inputs, as a run under another protocol would have them."""
    inputs = {name: {**of, "protocol": protocol.label} for name, of in header.get("inputs", {}).items()}
    identity = {**header["identity"], "protocol": protocol.label}
    if inputs:
        named = identity["inputs"]
        identity["inputs"] = {name: {**named[name], "cell": digest(of)} for name, of in inputs.items()}
    return identity, inputs


def predict(home: Home, cell: str, out: Path, data: Path | None = None) -> Path:
    """Write a record's test predictions in its layout's official submission format. Raises RequestError."""
    from tasks.submissions import write_submission

    record = find_record(home, cell)
    bench = open_bench(home, record, data)
    write_submission(out, record.header["layout"], record.predictions, bench.dataset)
    return out


def keypoints_of(home: Home, cell: str, ids: Sequence[str]) -> "np.ndarray":
    """The joints that a cell has predicted for these test samples, in their order: (n, 2, 21, 3), metres, camera frame.

    Raises RequestError for a record that is damaged or does not hold each sample once.
    """
    import pandas as pd

    from reports.record import read_record
    from tasks.prediction_fields import REQUIRED

    record = read_record(home.records / cell)
    joints_m = record.prediction(REQUIRED)
    rows = record.per_sample.index.get_indexer(pd.Index(ids))
    if len(joints_m) != len(ids) or (rows < 0).any():
        raise RequestError(
            f"the record of cell {cell} does not hold the predictions of the test set: delete the folder "
            f"'{record.path}' to run it again."
        )
    return joints_m[rows]

"""Predicted hands as mesh files, from the predictions that a record keeps."""

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from suite.home import Home
from suite.stored import find_record
from tasks.errors import RequestError, unknown_name

if TYPE_CHECKING:
    from tasks.two_hands.mesh_files import HandMesh

INDEX = "index.csv"
COLUMNS = ("file", "sample", "hand", "kind", "vertices", "faces", "closed")


def write_meshes(home: Home, cell: str, out: Path, file_format: str = "ply", seal: bool = False) -> Path:
    """Write every predicted hand of a cell to the folder ``out`` and a line about each to its index; returns that.

    Raises RequestError for another format, a cell without meshes, and a hand model that is not the cell's.
    """
    from tasks.two_hands.mesh_files import FORMATS

    if file_format not in FORMATS:
        raise unknown_name("format of meshes", file_format, FORMATS)
    return _write(out, file_format, _meshes(home, cell, seal))


def _meshes(home: Home, cell: str, seal: bool) -> "Iterator[HandMesh]":
    from tasks.prediction_fields import SURFACE_VERTS
    from tasks.registry import load_task

    record = find_record(home, cell)
    header, predictions = record.header, record.predictions
    task = load_task(header["task"])
    if not hasattr(task, "meshes"):
        raise RequestError(
            f"cell {record.cell} is of task '{header['task']}': only two_hands has mesh files."
        )
    if not {SURFACE_VERTS, "verts_cam_m"} & set(predictions):
        raise RequestError(f"cell {record.cell} predicts no meshes: its fields are {', '.join(predictions)}.")
    hand = header["identity"]["hand"]
    if SURFACE_VERTS not in predictions and hand != task.hands["right"].fingerprint:
        raise RequestError(
            f"cell {record.cell} was made with another hand model ('{header['hand_name']}', fingerprint {hand}): set "
            "PALMARES_MANO to that one."
        )
    meshes: Iterator[HandMesh] = task.meshes(predictions, record.per_sample.index.tolist(), seal)
    return meshes


def _write(out: Path, file_format: str, meshes: "Iterator[HandMesh]") -> Path:
    index = out / INDEX
    try:
        out.mkdir(parents=True, exist_ok=True)
        with index.open("w", newline="") as stream:
            lines = csv.writer(stream, lineterminator="\n")
            lines.writerow(COLUMNS)
            for mesh in meshes:
                file = out / f"{mesh.name}.{file_format}"
                file.write_bytes(mesh.encoded(file_format))
                counts = (len(mesh.verts_cam_m), len(mesh.faces))
                lines.writerow([file.name, mesh.sample, mesh.side, mesh.kind, *counts, int(mesh.closed)])
    except OSError as error:
        raise RequestError(f"cannot write {error.filename or out}: {error.strerror or error}.") from None
    return index

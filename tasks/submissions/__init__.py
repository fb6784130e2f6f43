"""Anybody's predictions: read without trust, diagnosed, and written, in the official format of each layout.

``read_submission`` gives the fields of the task whatever the file, ``diagnose`` refuses one that is well-formed and
wrong, ``write_submission`` is the way back. Beside the official format every layout takes our own ``.npz``. In a
submission all hands stand in the original camera; in the fields, left hands of a single-hand task are mirrored, as
the task shows them.

``archive`` opens zip files, ``named_arrays`` reads ``.npz``; ``json_points``, ``dexycb`` and ``interhand26m`` are the
formats; ``fields`` and ``diagnosis`` say what a prediction is, and what it cannot be by the ``evidence``.
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO
from zipfile import ZIP_DEFLATED, ZipFile

import numpy as np

from tasks.errors import RequestError
from tasks.prediction_fields import RAGGED_SHAPES, REQUIRED, SHAPES, check_shapes
from tasks.ragged import Fields, to_arrays
from tasks.submissions import dexycb, interhand26m, json_points
from tasks.submissions.archive import is_zip, open_only_member
from tasks.submissions.diagnosis import diagnose, first_not_finite
from tasks.submissions.fields import ScoredSet, Spool, left_hands, mirror_left_hands, task_of
from tasks.submissions.named_arrays import COUNTS, read_arrays, write_arrays

__all__ = ["diagnose", "read_submission", "write_submission"]

JSON_FRAMES = {
    "freihand": json_points.FREIHAND,
    "ho3d_v2": json_points.HO3D,
    "ho3d_v3": json_points.HO3D,
}
ENDINGS = {"json": (".json", ".zip"), "text": (".txt", ".csv"), "arrays": ()}


def read_submission(file: Path, layout: str, dataset: ScoredSet, scratch: Path) -> Fields:
    """Fields of the task, float64, faces int64, in the order of ``dataset.ids``; memory maps in the folder ``scratch``.

    Raises RequestError for anything that is no complete submission of this layout, and then leaves nothing behind.
    """
    file, kind = Path(file), _format_of(layout)
    if not file.is_file():
        raise RequestError(f"no file at {file}: expected {_expected(layout)}.")
    is_npz = file.suffix.lower() == ".npz"
    if kind == "arrays" and not is_npz:
        raise RequestError(f"{file}: expected {_expected(layout)}.")
    try:
        with Spool(Path(scratch)) as spool:
            if is_npz:
                return _read_npz(file, layout, dataset, spool)
            if kind == "json":
                with open_only_member(file) if is_zip(file) else file.open("rb") as stream:
                    return json_points.read_points(stream, file, dataset.ids, JSON_FRAMES[layout], spool)
            fields = dexycb.read_text(file, dexycb.image_ids(dataset), spool)
            mirror_left_hands(fields, dataset)
            return fields
    except OSError as error:
        raise RequestError(f"{error.filename or file}: {error.strerror or error}.") from None


def _read_npz(file: Path, layout: str, dataset: ScoredSet, spool: Spool) -> Fields:
    if layout == "interhand26m" and interhand26m.is_official(file):
        return interhand26m.read_official(file, dataset, spool)
    task = task_of(layout)
    fields = read_arrays(file, SHAPES[task], dataset.ids, spool, (REQUIRED,), ragged=RAGGED_SHAPES[task])
    mirror_left_hands(fields, dataset)
    return fields


def write_submission(file: Path, layout: str, fields: Fields, dataset: ScoredSet) -> None:
    """Write the fields in the layout's format that the file's ending names; the file appears whole or not at all.

    ``.json`` or ``.zip`` for FreiHAND and HO-3D, ``.txt`` for DexYCB, ``.npz`` for our own format; InterHand2.6M's
    ``.npz`` has the official names, and beside them what has none: hand models' vertices and free surfaces.

    Raises RequestError for another ending, for fields that are unknown, missing or of another shape, for a frame
    without finite numbers, and where nothing can be written.
    """
    file, kind = Path(file), _format_of(layout)
    ending = file.suffix.lower()
    if ending not in (*ENDINGS[kind], ".npz"):
        raise RequestError(f"{file}: unknown ending '{ending}': expected {_expected(layout)}.")
    check_shapes(fields, task_of(layout), len(dataset.ids))
    arrays = to_arrays(fields, COUNTS)
    with _whole_file(file) as partial, Spool(partial.with_suffix(".parts"), keep=False) as spool:
        if ending == ".npz" and layout == "interhand26m":
            write_arrays(partial, interhand26m.official_arrays(arrays, dataset, spool), dataset.ids)
        elif ending == ".npz":
            write_arrays(partial, _in_original_camera(arrays, dataset, spool), dataset.ids)
        elif kind == "json":
            _require(file, arrays, ("joints_cam_m", "verts_cam_m"), dataset)
            with _json_stream(partial, zipped=ending == ".zip") as stream:
                json_points.write_points(stream, arrays, JSON_FRAMES[layout])
        else:
            _require(file, arrays, ("joints_cam_m",), dataset)
            joints_m = _in_original_camera({"joints_cam_m": arrays["joints_cam_m"]}, dataset, spool)[
                "joints_cam_m"
            ]
            with partial.open("wb") as stream:
                dexycb.write_text(stream, joints_m, dexycb.image_ids(dataset))


def _require(
    file: Path, fields: Mapping[str, np.ndarray], names: tuple[str, ...], dataset: ScoredSet
) -> None:
    """Official formats hold every frame, with finite numbers."""
    for name in names:
        if name not in fields:
            raise RequestError(
                f"the predictions lack '{name}', which {file.name} needs; name a file ending in .npz."
            )
        row = first_not_finite(fields[name])
        if row is not None:
            raise RequestError(
                f"the predictions of '{dataset.ids[row]}' are not finite, and {file.name} needs every frame; "
                "name a file ending in .npz."
            )


def _in_original_camera(
    fields: Mapping[str, np.ndarray], dataset: ScoredSet, spool: Spool
) -> dict[str, np.ndarray]:
    """The fields themselves, or copies on disk where left hands have to be mirrored back."""
    if not left_hands(dataset).any():
        return dict(fields)
    copies = {name: spool.copy(name, values) for name, values in fields.items()}
    mirror_left_hands(copies, dataset)
    return copies


@contextmanager
def _whole_file(file: Path) -> Iterator[Path]:
    """A path beside the file, moved there at the end, and removed when anything goes wrong."""
    partial = file.with_name(f".{file.name}.partial-{os.getpid()}")
    try:
        yield partial
        os.replace(partial, file)
    except OSError as error:
        raise RequestError(f"cannot write {file}: {error.strerror or error}.") from None
    finally:
        partial.unlink(missing_ok=True)


@contextmanager
def _json_stream(partial: Path, zipped: bool) -> Iterator[IO[bytes]]:
    if not zipped:
        with partial.open("wb") as stream:
            yield stream
        return
    with (
        ZipFile(partial, "w", ZIP_DEFLATED, compresslevel=1) as archive,
        archive.open("pred.json", "w", force_zip64=True) as stream,
    ):
        yield stream


def _format_of(layout: str) -> str:
    task = task_of(layout)
    return "json" if layout in JSON_FRAMES else "text" if task == "single_hand" else "arrays"


def _expected(layout: str) -> str:
    official = {
        "json": "pred.json, alone or zipped",
        "text": "a text file (.txt) of image ids and millimetres",
        "arrays": "an .npz with joint_coord, rel_root_depth and hand_type",
    }
    return f"{official[_format_of(layout)]}, or an .npz of the task's fields"

"""The fields of a prediction by task: the shape of one record of each, and the check that every scorer begins with."""

from typing import NamedTuple

import numpy as np

from tasks.errors import RequestError, unknown_name
from tasks.ragged import Field, Fields, Ragged

N_VERTS = 778
REQUIRED = "joints_cam_m"
SURFACE_VERTS, SURFACE_FACES = "surface_verts_cam_m", "surface_faces"

CHECKED_ROWS = 2**20

Shape = tuple[int | None, ...]
"""The shape of one record; None is any number."""


class Rows(NamedTuple):
    """What a ``Ragged`` field holds of one record."""

    parts: int
    width: int
    """Numbers in a row."""
    whole: bool = False
    """Whether they are whole numbers."""


SHAPES: dict[str, dict[str, Shape]] = {
    "single_hand": {
        "joints_cam_m": (21, 3),
        "verts_cam_m": (None, 3),
        "joints_log_var": (21, 3),
        "verts_log_var": (N_VERTS, 3),
        "vertex_rgb": (N_VERTS, 3),
        "flat_rgb": (3,),
    },
    "two_hands": {
        "joints_cam_m": (2, 21, 3),
        "verts_cam_m": (2, N_VERTS, 3),
        "relative_root_m": (3,),
        "handedness": (2,),
    },
}
"""Task -> field -> shape of one record. ``tasks.registry`` says what the fields mean."""

RAGGED_SHAPES: dict[str, dict[str, Rows]] = {
    "single_hand": {},
    "two_hands": {SURFACE_VERTS: Rows(2, 3), SURFACE_FACES: Rows(2, 3, whole=True)},
}
"""Task -> field that is ``Ragged`` -> its rows."""


def check_shapes(fields: Fields, task: str, count: int) -> None:
    """Raise RequestError unless the joints are there, and every field is known and has ``count`` records.

    Free surfaces have vertices and faces, and each face the vertices of its own mesh.
    """
    shapes, ragged = SHAPES[task], RAGGED_SHAPES[task]
    if REQUIRED not in fields:
        raise RequestError(
            f"the predictions lack the field '{REQUIRED}': expected it, and what else there is."
        )
    for name, values in fields.items():
        if name in ragged:
            _check_ragged(name, values, ragged[name], count)
        elif name in shapes:
            _check_dense(name, values, shapes[name], count)
        else:
            raise unknown_name("prediction field", name, (*shapes, *ragged))
    if {SURFACE_VERTS, SURFACE_FACES} & set(fields):
        _check_faces(fields.get(SURFACE_VERTS), fields.get(SURFACE_FACES))


def _check_dense(name: str, values: Field, one: Shape, count: int) -> None:
    if isinstance(values, Ragged):
        raise RequestError(f"prediction field '{name}' is ragged: expected one array of all records.")
    expected, shape = (count, *one), np.shape(values)
    if len(shape) != len(expected) or any(
        e is not None and e != n for e, n in zip(expected, shape, strict=True)
    ):
        wanted = str(expected).replace("None", "V")
        raise RequestError(f"prediction field '{name}' has shape {shape}: expected {wanted}.")


def _check_ragged(name: str, values: Field, one: Rows, count: int) -> None:
    if not isinstance(values, Ragged):
        raise RequestError(f"prediction field '{name}' is one array: expected rows with counts (Ragged).")
    if values.shape != (count, one.parts):
        raise RequestError(
            f"prediction field '{name}' has shape {values.shape} of counts: expected {(count, one.parts)}."
        )
    if values.values.shape[1:] != (one.width,):
        raise RequestError(
            f"prediction field '{name}' has shape {values.values.shape} of rows: expected (N, {one.width})."
        )
    if one.whole and values.values.dtype.kind not in "iu":
        raise RequestError(f"prediction field '{name}' holds {values.values.dtype}: expected whole numbers.")


def _check_faces(verts: Field | None, faces: Field | None) -> None:
    if not isinstance(verts, Ragged) or not isinstance(faces, Ragged):
        raise RequestError(
            f"the predictions have one of '{SURFACE_VERTS}' and '{SURFACE_FACES}': expected both or neither."
        )
    sizes = verts.counts.ravel()
    for start in range(0, len(faces.values), CHECKED_ROWS):
        block = faces.values[start : start + CHECKED_ROWS]
        n_verts = sizes[faces.part_of(np.arange(start, start + len(block)))][:, None]
        bad = ((block < 0) | (block >= n_verts)).any(axis=1)
        if bad.any():
            row = int(np.argmax(bad))
            raise RequestError(
                f"face {start + row} of '{SURFACE_FACES}' is {block[row].tolist()} in a mesh of "
                f"{int(n_verts[row, 0])} vertices: expected numbers from 0 on, within its own mesh."
            )

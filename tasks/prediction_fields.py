"""The fields of a prediction by task: the shape of one record of each, and the check that every scorer begins with."""

import numpy as np

from tasks.errors import RequestError, unknown_name
from tasks.ragged import Field, Fields, Ragged

N_VERTS = 778
REQUIRED = "joints_cam_m"
SURFACE_VERTS, SURFACE_FACES = "surface_verts_cam_m", "surface_faces"

Shape = tuple[int | None, ...]
"""The shape of one record; None is any number."""

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

RAGGED_SHAPES: dict[str, dict[str, tuple[int, int]]] = {
    "single_hand": {},
    "two_hands": {SURFACE_VERTS: (2, 3), SURFACE_FACES: (2, 3)},
}
"""Task -> field that is ``Ragged`` -> parts of one record, and width of a row."""


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


def _check_ragged(name: str, values: Field, one: tuple[int, int], count: int) -> None:
    if not isinstance(values, Ragged):
        raise RequestError(f"prediction field '{name}' is one array: expected rows with counts (Ragged).")
    parts, width = one
    if values.shape != (count, parts):
        raise RequestError(
            f"prediction field '{name}' has shape {values.shape} of counts: expected {(count, parts)}."
        )
    if values.values.shape[1:] != (width,):
        raise RequestError(
            f"prediction field '{name}' has shape {values.values.shape} of rows: expected (N, {width})."
        )


def _check_faces(verts: Field | None, faces: Field | None) -> None:
    if not isinstance(verts, Ragged) or not isinstance(faces, Ragged):
        raise RequestError(
            f"the predictions have one of '{SURFACE_VERTS}' and '{SURFACE_FACES}': expected both or neither."
        )
    if faces.values.dtype.kind not in "iu":
        raise RequestError(f"'{SURFACE_FACES}' holds {faces.values.dtype}: expected whole numbers.")
    n_verts = np.repeat(verts.counts.ravel(), faces.counts.ravel())[:, None]
    bad = ((faces.values < 0) | (faces.values >= n_verts)).any(axis=1)
    if bad.any():
        row = int(np.argmax(bad))
        raise RequestError(
            f"face {row} of '{SURFACE_FACES}' is {faces.values[row].tolist()} in a mesh of {int(n_verts[row, 0])} "
            "vertices: expected numbers from 0 on, within its own mesh."
        )

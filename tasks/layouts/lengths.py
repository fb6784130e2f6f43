"""Checks that the lengths of hands are those of hands, in metres."""

from collections.abc import Iterator

import numpy as np

from tasks.layouts.base import Problem
from tasks.layouts.table import Table

PALM_LENGTH_M = (0.04, 0.2)
"""Wrist to middle base: 75 to 115 mm in adults, with room for children and giants."""
MESH_RADIUS_M = (0.03, 0.25)
"""Largest distance of a vertex to the mean vertex, from a fist to a stretched hand."""
_UNITS = {1e3: "millimetres", 1e2: "centimetres", 1e-3: "kilometres"}


def check_palms(joints: Table) -> Iterator[Problem]:
    """Joints (n, 21, 3) in order B whose wrist to middle base is no palm's length."""
    palm = np.linalg.norm(joints.rows[:, 9] - joints.rows[:, 0], axis=-1)
    yield from check_length(joints, palm, PALM_LENGTH_M, "wrist to middle base is")


def check_meshes(verts: Table) -> Iterator[Problem]:
    """Meshes (n, V, 3) that are no hand's size."""
    radius = np.linalg.norm(verts.rows - verts.rows.mean(axis=1, keepdims=True), axis=-1).max(axis=1)
    yield from check_length(verts, radius, MESH_RADIUS_M, "the mesh has a radius of")


def check_length(
    table: Table, length: np.ndarray, bounds: tuple[float, float], what: str
) -> Iterator[Problem]:
    """Records whose ``length`` (n,) lies outside the bounds, with the unit that would explain it."""
    bad = ~((length >= bounds[0]) & (length <= bounds[1]))
    yield from table.drop(bad, lambda i: f"{what} {length[i]:.4g}, {_unit_text(length[i], bounds)}")


def _unit_text(length: float, bounds: tuple[float, float]) -> str:
    for factor, unit in _UNITS.items():
        if bounds[0] <= length / factor <= bounds[1]:
            return f"as in {unit}: metres expected"
    return f"{bounds[0]:g} to {bounds[1]:g} metres expected"

"""The texture atlas: one strip for the palm, unrolled around the hand, and one for each digit.

Rings and rows are a grid already, so texture coordinates are columns and rows. Seams run along the palmar side of
the digits and the ulnar edge of the palm; a vertex on a seam has two texture coordinates.
"""

import numpy as np

from tasks.hands.open_hand.topology import Layout, hand_layout
from tasks.hands.skeleton import FINGERS

PALM = "palm"
_SEAM_COLUMN = {PALM: 0.0, "thumb": 7 / 12, "index": 0.6, "middle": 0.6, "ring": 0.6, "pinky": 0.6}
_N_ROWS = 8


def texture_atlas(faces: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(T, 2) texture coordinates in [0, 1] and their (F, 3) indices, parallel to ``faces`` (construction order)."""
    charts = _charts(hand_layout())
    numbers: dict[tuple[int, str, float], int] = {}
    coordinates: list[tuple[float, float]] = []
    indices = np.zeros_like(faces)
    for f, corners in enumerate(faces.tolist()):
        chart = _chart_of(corners, charts)
        columns = _unwrapped([charts[chart][i][0] for i in corners], _SEAM_COLUMN[chart])
        for k, (i, column) in enumerate(zip(corners, columns, strict=True)):
            key = (i, chart, round(column, 5))
            if key not in numbers:
                numbers[key] = len(coordinates)
                coordinates.append(_place(chart, column, charts[chart][i][1]))
            indices[f, k] = numbers[key]
    return np.array(coordinates), indices


Grid = dict[int, tuple[float | None, float]]
"""Vertex -> column in [0, 1) (None at an apex) and row."""


def _charts(layout: Layout) -> dict[str, Grid]:
    """The place of each vertex in each chart that it belongs to."""
    rows: list[list[int | None]] = [*layout.rows]
    rows += [[*row] for row in layout.wrist_rows]
    palm: Grid = {
        i: (column / len(ids), float(row))
        for row, ids in enumerate(rows)
        for column, i in enumerate(ids)
        if i is not None
    }
    for name, web in zip(("pinky", "ring", "middle"), layout.webs, strict=True):
        palm[web] = (palm[layout.roots[name][3]][0], -0.6)
    charts = {PALM: palm}
    for name in FINGERS:
        rings = [layout.roots[name], *layout.rings[name]]
        charts[name] = {
            i: (k / len(ids), float(row)) for row, ids in enumerate(rings) for k, i in enumerate(ids)
        }
        charts[name][layout.apex[name]] = (None, float(len(rings)))
    return charts


def _chart_of(corners: list[int], charts: dict[str, Grid]) -> str:
    """The palm if all corners belong to it, else the digit whose tube the triangle is part of."""
    return next(name for name, grid in charts.items() if all(i in grid for i in corners))


def _unwrapped(columns: list[float | None], seam: float) -> list[float]:
    """Columns counted from the seam, without a jump inside the triangle; an apex sits between its neighbours."""
    known = [(c - seam) % 1.0 for c in columns if c is not None]
    if max(known) - min(known) > 0.5:
        known = [c + 1.0 if c < 0.5 else c for c in known]
    rest = iter(known)
    return [sum(known) / len(known) if c is None else next(rest) for c in columns]


def _place(chart: str, column: float, row: float) -> tuple[float, float]:
    """Column and row of a chart in the unit square, with a margin between the strips."""
    if chart == PALM:
        return 0.01 + 0.98 * column, 0.01 + 0.40 * (_N_ROWS - row) / 9.0
    strip = FINGERS.index(chart)
    height = len(hand_layout().rings[chart]) + 1
    return 0.2 * strip + 0.008 + 0.184 * column, 0.46 + 0.53 * row / height

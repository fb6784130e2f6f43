"""Inside or outside a closed mesh, by the faces that the line through a point along z crosses; float64, on the CPU.

The official evaluation (autonomousvision/occupancy_networks: im2mesh/utils/libmesh) tests so, in float64. Libraries do
not: Embree traces in float32, and libigl's winding numbers call inside what parity calls outside, where a mesh runs
through itself. An edge belongs to exactly one of its two faces here, so no line slips through between them.

Compiled by numba, one thread. For a hand's points Embree, through trimesh, takes three to ten times as long, libigl's
fast winding numbers four to twenty. Tensors on another device are copied to the CPU and the answer is copied back, so
that the rule stands here once.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from numba import njit
from torch import Tensor

MOST_CELLS = 1024
"""Per axis of the grid that faces are sorted into."""


class Crossings(NamedTuple):
    """Where lines along z cross faces: K crossings, line after line, those of one line in no order."""

    line: Tensor
    """(K,) int64, which line."""
    z: Tensor
    """(K,) float64."""
    sign: Tensor
    """(K,) int64: 1 where the face looks towards +z, so that the line leaves there, and -1 where it enters."""


def crossings(lines_xy: Tensor, verts: Tensor, faces: Tensor) -> Crossings:
    """Every crossing of the lines (N, 2) along z with a mesh (V, 3), (F, 3).

    A mesh with a vertex in use that is not finite is crossed nowhere, here and below.
    """
    found = _list(_array(lines_xy), *_sorted_faces(verts, faces))
    return Crossings(*(torch.from_numpy(values).to(lines_xy.device) for values in found))


def contains(points: Tensor, verts: Tensor, faces: Tensor) -> Tensor:
    """(N,) bool: points (N, 3) that have an odd number of faces above and an odd number below, as the official test.

    Where a mesh runs through itself the parity is even: such points are outside.
    """
    above, below, _ = _count(_array(points), *_sorted_faces(verts, faces))
    return torch.from_numpy((above % 2 == 1) & (below % 2 == 1)).to(points.device)


def winding_number(points: Tensor, verts: Tensor, faces: Tensor) -> Tensor:
    """(N,) int64: how many times a closed mesh with outward winding surrounds each point (N, 3)."""
    return torch.from_numpy(_count(_array(points), *_sorted_faces(verts, faces))[2]).to(points.device)


def _array(values: Tensor) -> np.ndarray:
    return np.ascontiguousarray(values.detach().cpu().numpy(), np.float64)


class _Grid(NamedTuple):
    """A square grid in x and y: its corners, and how many cells per unit; ``side`` cells per axis."""

    low_x: float
    low_y: float
    high_x: float
    high_y: float
    per_x: float
    per_y: float
    side: int


def _sorted_faces(verts: Tensor, faces: Tensor) -> tuple[np.ndarray, _Grid, np.ndarray, np.ndarray]:
    """Triangles (F, 3, 3), a grid, and the faces by the cells that their boxes touch: where each cell begins, which."""
    triangles = _array(verts)[faces.detach().cpu().numpy()]
    box = _box(triangles)
    if not np.abs(box).max() < 1e150:  # beyond that, areas are no numbers
        triangles = triangles[:0]
    grid = _grid(box, len(triangles))
    return triangles, grid, *_fill(triangles, grid)


@njit(nogil=True, cache=True)
def _box(triangles: np.ndarray) -> np.ndarray:
    """Lowest and highest corner (2, 3), NaN where any coordinate is."""
    box = np.array([[np.inf] * 3, [-np.inf] * 3])
    for corner in triangles.reshape(-1, 3):
        for axis in range(3):
            if np.isnan(corner[axis]):
                return np.full((2, 3), np.nan)
            box[0, axis], box[1, axis] = min(box[0, axis], corner[axis]), max(box[1, axis], corner[axis])
    return box


def _grid(box: np.ndarray, n_faces: int) -> _Grid:
    if not n_faces:
        return _Grid(0.0, 0.0, -1.0, -1.0, 1.0, 1.0, 1)
    side = min(max(int(1.5 * n_faces**0.5), 1), MOST_CELLS)
    (low_x, low_y), (high_x, high_y) = box[:, :2].tolist()
    per_x, per_y = (side / max(high - low, 1e-300) for low, high in ((low_x, high_x), (low_y, high_y)))
    return _Grid(low_x, low_y, high_x, high_y, per_x, per_y, side)


@njit(nogil=True, cache=True)
def _cell(value: float, low: float, per_unit: float, side: int) -> int:
    return min(int((value - low) * per_unit), side - 1)


@njit(nogil=True, cache=True)
def _fill(triangles: np.ndarray, grid: _Grid) -> tuple[np.ndarray, np.ndarray]:
    """A counting sort: the first round counts, the second places."""
    side = grid.side
    starts = np.zeros(side * side + 2, np.int64)
    spans = np.empty((len(triangles), 4), np.int64)
    for f in range(len(triangles)):
        x, y = triangles[f, :, 0], triangles[f, :, 1]
        spans[f, 0] = _cell(min(x[0], x[1], x[2]), grid.low_x, grid.per_x, side)
        spans[f, 1] = _cell(max(x[0], x[1], x[2]), grid.low_x, grid.per_x, side)
        spans[f, 2] = _cell(min(y[0], y[1], y[2]), grid.low_y, grid.per_y, side)
        spans[f, 3] = _cell(max(y[0], y[1], y[2]), grid.low_y, grid.per_y, side)
        for column in range(spans[f, 0], spans[f, 1] + 1):
            for row in range(spans[f, 2], spans[f, 3] + 1):
                starts[column * side + row + 2] += 1
    starts = np.cumsum(starts)
    order = np.empty(starts[-1], np.int64)
    for f in range(len(triangles)):
        for column in range(spans[f, 0], spans[f, 1] + 1):
            for row in range(spans[f, 2], spans[f, 3] + 1):
                order[starts[column * side + row + 1]] = f
                starts[column * side + row + 1] += 1
    return starts, order


@njit(nogil=True, cache=True)
def _candidates(x: float, y: float, grid: _Grid, starts: np.ndarray) -> tuple[int, int]:
    """Where the faces that a line may cross begin and end."""
    if not (grid.low_x <= x <= grid.high_x and grid.low_y <= y <= grid.high_y):
        return 0, 0
    cell = _cell(x, grid.low_x, grid.per_x, grid.side) * grid.side + _cell(
        y, grid.low_y, grid.per_y, grid.side
    )
    return starts[cell], starts[cell + 1]


@njit(nogil=True, cache=True)
def _left(area: float, ax: float, ay: float, bx: float, by: float) -> bool:
    """Whether the origin is left of a -> b, ``area`` being twice the signed one of origin, a, b.

    From b -> a the answer is the opposite, also where the origin lies on the line: each edge is one face's.
    """
    if area != 0:
        return area > 0
    return bx < ax if ay == by else by < ay


@njit(nogil=True, cache=True)
def _cross(triangle: np.ndarray, x: float, y: float) -> tuple[int, float]:
    """The sign of the crossing with a line, 0 for none, and its height."""
    ax, ay = triangle[0, 0] - x, triangle[0, 1] - y
    bx, by = triangle[1, 0] - x, triangle[1, 1] - y
    cx, cy = triangle[2, 0] - x, triangle[2, 1] - y
    area_a, area_b, area_c = bx * cy - by * cx, cx * ay - cy * ax, ax * by - ay * bx
    area = area_a + area_b + area_c
    left = _left(area_c, ax, ay, bx, by)
    if area == 0 or left != _left(area_a, bx, by, cx, cy) or left != _left(area_b, cx, cy, ax, ay):
        return 0, 0.0
    weighted = area_a * triangle[0, 2] + area_b * triangle[1, 2] + area_c * triangle[2, 2]
    return 1 if area > 0 else -1, weighted / area


@njit(nogil=True, cache=True)
def _count(
    points: np.ndarray, triangles: np.ndarray, grid: _Grid, starts: np.ndarray, order: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Per point (N, 3): the crossings at or above it, those below it, and the sum of the signs above."""
    above, below = np.zeros(len(points), np.int64), np.zeros(len(points), np.int64)
    winding = np.zeros(len(points), np.int64)
    for p in range(len(points)):
        begin, end = _candidates(points[p, 0], points[p, 1], grid, starts)
        for k in range(begin, end):
            sign, z = _cross(triangles[order[k]], points[p, 0], points[p, 1])
            if sign == 0:
                continue
            if z >= points[p, 2]:
                above[p] += 1
                winding[p] += sign
            else:
                below[p] += 1
    return above, below, winding


@njit(nogil=True, cache=True)
def _list(
    lines: np.ndarray, triangles: np.ndarray, grid: _Grid, starts: np.ndarray, order: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Line, height and sign of every crossing of lines (N, 2)."""
    line, height, signs = [0 for _ in range(0)], [0.0 for _ in range(0)], [0 for _ in range(0)]
    for p in range(len(lines)):
        begin, end = _candidates(lines[p, 0], lines[p, 1], grid, starts)
        for k in range(begin, end):
            sign, z = _cross(triangles[order[k]], lines[p, 0], lines[p, 1])
            if sign != 0:
                line.append(p)
                height.append(z)
                signs.append(sign)
    return np.array(line, np.int64), np.array(height, np.float64), np.array(signs, np.int64)

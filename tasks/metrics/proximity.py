"""Which points of two clouds lie within given distances of the other cloud: exact, and fast for many small clouds.

Only distances below the largest limit matter, so both clouds are sorted into columns as wide as that limit, and each
point looks into the nine columns about its own. Compiled by numba: for hands, neighbour trees take ten times as long.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numba import njit

MOST_COLUMNS = 128
"""Per axis; the columns of a cloud that spreads farther are wider."""
_SLACK = 1 + 1e-9
"""Columns are wider than the reach by more than rounding, so that a neighbour is never two columns away."""

_Columns = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]
"""Where each column's points begin, their numbers in the cloud, and x, y, z, column after column."""


def within(first: np.ndarray, second: np.ndarray, limits: Sequence[float]) -> tuple[np.ndarray, np.ndarray]:
    """Whether each point of (B, N, 3) is closer (``<``) than a limit to (B, M, 3): (B, N, T) bool, and the reverse.

    Both float64 and finite. Distances are those of a plain loop, bit by bit.
    """
    nearest = np.full(first.shape[:2], np.inf), np.full(second.shape[:2], np.inf)
    if first.shape[1] and second.shape[1]:
        _nearest_squares(np.ascontiguousarray(first), np.ascontiguousarray(second), max(limits), *nearest)
    near, reverse = (np.sqrt(found)[..., None] < np.asarray(limits) for found in nearest)
    return near, reverse


@njit(nogil=True, cache=True)
def _nearest_squares(
    first: np.ndarray, second: np.ndarray, reach: float, to_second: np.ndarray, to_first: np.ndarray
) -> None:
    """Lower ``to_second`` (B, N) and ``to_first`` (B, M) to the squared distances that are below ``reach`` squared.

    What is farther may stay infinite.
    """
    for b in range(len(first)):
        _pair(first[b], second[b], reach, to_second[b], to_first[b])


@njit(nogil=True, cache=True)
def _pair(
    first: np.ndarray, second: np.ndarray, reach: float, to_second: np.ndarray, to_first: np.ndarray
) -> None:
    low_x, low_y = second[:, 0].min(), second[:, 1].min()
    spread_x, spread_y = second[:, 0].max() - low_x, second[:, 1].max() - low_y
    per_m = 1 / max(reach * _SLACK, spread_x / MOST_COLUMNS, spread_y / MOST_COLUMNS)
    size = int(spread_x * per_m) + 1, int(spread_y * per_m) + 1
    one = _sorted(first, low_x, low_y, per_m, size)
    other = _sorted(second, low_x, low_y, per_m, size)
    _search(one, other, size, to_first)
    _search(other, one, size, to_second)


@njit(nogil=True, cache=True)
def _sorted(cloud: np.ndarray, low_x: float, low_y: float, per_m: float, size: tuple[int, int]) -> _Columns:
    """The cloud column by column (a counting sort); points beyond the border have no neighbour and are left out."""
    column = np.empty(len(cloud), np.int64)
    starts = np.zeros((size[0] + 2) * (size[1] + 2) + 2, np.int64)
    for k in range(len(cloud)):
        x, y = np.floor((cloud[k, 0] - low_x) * per_m), np.floor((cloud[k, 1] - low_y) * per_m)
        inside = -1 <= x <= size[0] and -1 <= y <= size[1]
        column[k] = _at(int(x), int(y), size) if inside else -1
        starts[column[k] + 2] += inside
    starts = np.cumsum(starts)
    order = np.empty(starts[-1], np.int64)
    for k in range(len(cloud)):
        if column[k] >= 0:
            order[starts[column[k] + 1]] = k
            starts[column[k] + 1] += 1
    return starts, order, cloud[order, 0], cloud[order, 1], cloud[order, 2]


@njit(nogil=True, cache=True)
def _at(c_x: int, c_y: int, size: tuple[int, int]) -> int:
    """The number of a column; a border of one column lies around those of the grid."""
    return (c_x + 1) * (size[1] + 2) + c_y + 1


@njit(nogil=True, cache=True)
def _search(one: _Columns, other: _Columns, size: tuple[int, int], nearest: np.ndarray) -> None:
    """Lower ``nearest`` of the other cloud to the squared distances to the one, in all columns next to each other."""
    starts, _, from_x, from_y, from_z = one
    other_starts, order, x, y, z = other
    found = np.full(len(order), np.inf)
    for c_x in range(-1, size[0] + 1):
        for c_y in range(-1, size[1] + 1):
            begin, end = starts[_at(c_x, c_y, size)], starts[_at(c_x, c_y, size) + 1]
            if begin == end:
                continue
            for near_x in range(max(c_x - 1, -1), min(c_x + 2, size[0] + 1)):
                run = slice(
                    other_starts[_at(near_x, max(c_y - 1, -1), size)],
                    other_starts[_at(near_x, min(c_y + 1, size[1]), size) + 1],
                )
                _lower(
                    from_x[begin:end],
                    from_y[begin:end],
                    from_z[begin:end],
                    x[run],
                    y[run],
                    z[run],
                    found[run],
                )
    nearest[order] = found


@njit(nogil=True, cache=True)
def _lower(
    from_x: np.ndarray, from_y: np.ndarray, from_z: np.ndarray,
    x: np.ndarray, y: np.ndarray, z: np.ndarray, found: np.ndarray,
) -> None:  # fmt: skip
    """Lower ``found`` (M,) to the squared distances from the first points (N,) to the second ones (M,).

    Element by element the compiler takes eight points at once; a running minimum of one point it does not.
    """
    for i in range(len(from_x)):
        for k in range(len(x)):
            d_x, d_y, d_z = from_x[i] - x[k], from_y[i] - y[k], from_z[i] - z[k]
            found[k] = min(found[k], d_x * d_x + d_y * d_y + d_z * d_z)

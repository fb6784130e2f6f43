"""Meshes of occupancy fields: marching cubes on a fine grid that is evaluated only where the surface runs.

Multi-resolution iso-surface extraction (Mescheder et al. 2019, section 3.3) with the defaults of Im2Hands: 32 cells per
axis, halved three times, so 257 samples. A coarse grid is evaluated whole. Cells whose corners lie on both sides of the
threshold are halved, and the surface is then followed: wherever two known corners of a cell lie on different sides, its
other corners are evaluated too, until no such cell is left. So every sheet that was met is complete, and the mesh is
that of the dense grid except for sheets that were never met.

**What is never met.** A coarse cell sees its corners only. What lies between them, a part or a hole thinner than a cell
(13.75 mm in the hands' cube of 0.44 m), is found only where a refined cell touches it. Cells that hold one of the
``seeds`` (joints, points along bones) are therefore halved at every level, whatever their corners say: a part is found
where it holds one of the finest samples about a seed.

The mesh is closed, but four faces may meet at an edge, and beside samples that lie exactly at the threshold
scikit-image's marching cubes may leave a hole as large as a cell.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from numba import njit
from skimage.measure import marching_cubes
from torch import Tensor

from tasks.errors import RequestError

Occupancy = Callable[[Tensor], Tensor]
"""Points (N, 3) float32 to N probabilities."""
POINTS_AT_ONCE = 1 << 16
"""Handed to the field in one call: bounds its memory."""
BEYOND_CUBE, BEYOND_BOX = -1e6, 0.0
"""What the field is taken to be there: the first closes the surface at the cube's sides, as the official extraction."""
_MARGIN = 4
"""Cells around those that are halved, in case the surface leads out of them."""
_CHILD_SAMPLES = np.stack(np.meshgrid(*[np.arange(3)] * 3, indexing="ij"), axis=-1).reshape(-1, 3)


class Surface(NamedTuple):
    """A closed mesh on the CPU, in the cube's unit."""

    verts: Tensor
    """(V, 3) float32."""
    faces: Tensor
    """(F, 3) int64, winding outwards."""
    evaluations: int
    """How many values of the field were computed for it."""


@torch.no_grad()
def extract_surface(
    occupancy: Occupancy,
    half_side: float,
    resolution: int = 32,
    refinements: int = 3,
    threshold: float = 0.5,
    within: tuple[Tensor, Tensor] | None = None,
    seeds: Tensor | None = None,
    device: torch.device | str = "cpu",
) -> Surface:
    """The surface where the field crosses ``threshold``, inside the cube of this half side about the origin.

    The ``resolution * 2**refinements + 1`` samples of an axis are at ``half_side * (2 i / (n - 1) - 1)``; between them
    the field is taken as linear. ``within`` are the lowest and highest corner (3,) of a box outside of which the field
    is taken as empty and never evaluated; ``seeds`` (K, 3) are described above, those outside the cube are left out.
    The field gets points on ``device``, at most ``POINTS_AT_ONCE`` of them.

    A field without surface gives no vertices. Raises RequestError for a threshold or resolution that makes no sense,
    ValueError for a field that returns another shape or values that are not finite.
    """
    if not 0 < threshold < 1 or resolution < 1 or refinements < 0 or not 0 < half_side < np.inf:
        raise RequestError(
            f"cannot extract a surface at {threshold} from {resolution} cells halved {refinements} times in a cube of "
            f"half side {half_side}: expected a threshold between 0 and 1 and positive numbers."
        )
    field = _Field(occupancy, half_side, resolution << refinements, within, device)
    level = np.float64(threshold)
    window = field.window(1 << refinements, np.full(3, -1), np.full(3, resolution + 1))
    field.fill(window, np.ones(window.values.shape, bool))
    while window.stride > 1:
        active = _mixed(window, level) | _around(seeds, field, window)
        if not active.any():
            break
        window = _followed(field, _halved(field, window, active), level)
    return _mesh(field, window, level)


class _Window(NamedTuple):
    """A block of samples at every ``stride``-th place of the finest grid."""

    stride: int
    low: np.ndarray
    """(3,) the first sample, counted in strides; the cube begins at 0."""
    values: np.ndarray
    """float32, NaN where unknown."""


class _Field:
    """An occupancy on its finest grid, and all that is known of it."""

    def __init__(
        self,
        occupancy: Occupancy,
        half_side: float,
        last: int,
        within: tuple[Tensor, Tensor] | None,
        device: torch.device | str,
    ) -> None:
        self.occupancy, self.half_side, self.last, self.device = occupancy, half_side, last, device
        self.axis = (half_side * (2 * np.arange(last + 1) / last - 1)).astype(np.float32)
        box = [(-np.inf, np.inf)] * 3
        if within is not None:
            box = list(zip(*(corner.tolist() for corner in within), strict=True))
        self.in_box = [(self.axis >= low) & (self.axis <= high) for low, high in box]
        self.evaluations = 0
        self._index = [np.empty((0, 3), np.int64)]
        self._values = [np.empty(0, np.float32)]

    def window(self, stride: int, low: np.ndarray, high: np.ndarray) -> _Window:
        """What is known of the samples ``low`` to ``high``, both included, and at most one beyond the cube's sides."""
        low, high = np.maximum(low, -1), np.minimum(high, self.last // stride + 1)
        values = np.full(high - low + 1, np.nan, np.float32)
        at = [np.arange(a, b + 1) * stride for a, b in zip(low, high, strict=True)]
        in_box = _all([kept[i.clip(0, self.last)] for kept, i in zip(self.in_box, at, strict=True)])
        values[~in_box] = BEYOND_BOX
        values[~_all([(i >= 0) & (i <= self.last) for i in at])] = BEYOND_CUBE
        index, known = np.concatenate(self._index), np.concatenate(self._values)
        place = index // stride - low
        here = ((index % stride == 0) & (place >= 0) & (place <= high - low)).all(axis=1)
        values[tuple(place[here].T)] = known[here]
        return _Window(stride, low, values)

    def fill(self, window: _Window, wanted: np.ndarray) -> None:
        """Evaluate the wanted samples of a window that are not known yet."""
        places = np.argwhere(wanted & np.isnan(window.values))
        index = (places + window.low) * window.stride
        parts = [self._evaluate(index[k : k + POINTS_AT_ONCE]) for k in range(0, len(index), POINTS_AT_ONCE)]
        values = np.concatenate([np.empty(0, np.float32), *parts])
        window.values[tuple(places.T)] = values
        self._index.append(index)
        self._values.append(values)

    def _evaluate(self, index: np.ndarray) -> np.ndarray:
        values = self.occupancy(torch.from_numpy(self.axis[index]).to(self.device))
        self.evaluations += len(index)
        if values.shape != (len(index),) or not values.isfinite().all():
            raise ValueError(
                f"the occupancy field returned {tuple(values.shape)} values for {len(index)} points, "
                f"{int((~values.isfinite()).sum())} of them not finite: expected one finite number per point."
            )
        return values.float().cpu().numpy()


def _all(flags: list[np.ndarray]) -> np.ndarray:
    """Flags along three axes -> where in the block all three hold."""
    x, y, z = np.meshgrid(*flags, indexing="ij", sparse=True)
    return x & y & z


def _touch(flags: np.ndarray) -> np.ndarray:
    """Cells any of whose eight corners is flagged: one fewer along each axis."""
    flags = flags[:-1] | flags[1:]
    flags = flags[:, :-1] | flags[:, 1:]
    return flags[:, :, :-1] | flags[:, :, 1:]


def _mixed(window: _Window, level: np.float64) -> np.ndarray:
    """Cells with known corners on both sides; the threshold itself is outside, as marching cubes takes it."""
    return _touch(window.values > level) & _touch(window.values <= level)


def _around(seeds: Tensor | None, field: _Field, window: _Window) -> np.ndarray:
    """The cells of a window that hold a seed."""
    cells = np.zeros(np.array(window.values.shape) - 1, bool)
    if seeds is None:
        return cells
    points = seeds.detach().cpu().double().numpy()
    points = points[(np.abs(points) <= field.half_side).all(axis=1)]
    place = (
        np.floor((points / field.half_side + 1) * (field.last / 2 / window.stride)).astype(int) - window.low
    )
    place = place[((place >= 0) & (place < cells.shape)).all(axis=1)]
    cells[tuple(place.T)] = True
    return cells


def _halved(field: _Field, window: _Window, active: np.ndarray) -> _Window:
    """The window at half the stride about the active cells, with all samples of their halves."""
    cells = 2 * (np.argwhere(active) + window.low)
    finer = field.window(window.stride // 2, cells.min(axis=0) - _MARGIN, cells.max(axis=0) + 2 + _MARGIN)
    places = (cells[:, None] + _CHILD_SAMPLES).reshape(-1, 3) - finer.low
    places = places[((places >= 0) & (places < finer.values.shape)).all(axis=1)]
    wanted = np.zeros(finer.values.shape, bool)
    wanted[tuple(places.T)] = True
    field.fill(finer, wanted)
    return finer


def _followed(field: _Field, window: _Window, level: np.float64) -> _Window:
    """The window, grown where needed, in which every cell that is known to hold surface is known whole."""
    while True:
        mixed = _mixed(window, level)
        low, high = _grown(window, mixed, field.last)
        if (high - low + 1 != window.values.shape).any():
            window = field.window(window.stride, low, high)
            continue
        ragged = mixed & _touch(np.isnan(window.values))
        if not ragged.any():
            return window
        field.fill(window, _touch(np.pad(ragged, 1)))


def _grown(window: _Window, mixed: np.ndarray, last: int) -> tuple[np.ndarray, np.ndarray]:
    """First and last sample (3,) of a window with room beyond its outermost cells where those are mixed."""
    low, high = window.low.copy(), window.low + window.values.shape - 1
    for axis in range(3):
        first, final = np.take(mixed, 0, axis).any(), np.take(mixed, -1, axis).any()
        low[axis] = max(-1, low[axis] - 2 * _MARGIN * first)
        high[axis] = min(last // window.stride + 1, high[axis] + 2 * _MARGIN * final)
    return low, high


def _mesh(field: _Field, window: _Window, level: np.float64) -> Surface:
    """Marching cubes in the tight box of the cells that hold surface."""
    cells = np.argwhere(_mixed(window, level))
    if window.stride > 1 or not len(cells):
        return Surface(torch.empty(0, 3), torch.empty(0, 3, dtype=torch.int64), field.evaluations)
    low, high = cells.min(axis=0), cells.max(axis=0) + 2
    values = window.values[tuple(slice(a, b) for a, b in zip(low, high, strict=True))].copy()
    # No cell about an unknown sample holds surface, so it lies on the side of its neighbours.
    _spread(values)
    _spread(values[::-1, ::-1, ::-1])
    verts, faces, _, _ = marching_cubes(values, float(level), gradient_direction="ascent")
    verts = field.half_side * (2 * (verts + (window.low + low).astype(np.float64)) / field.last - 1)
    return Surface(
        torch.from_numpy(verts.astype(np.float32)),
        torch.from_numpy(faces.astype(np.int64)),
        field.evaluations,
    )


@njit(nogil=True, cache=True)
def _spread(values: np.ndarray) -> None:
    """Give unknown samples the value of a known one before them."""
    n_x, n_y, n_z = values.shape
    for i in range(n_x):
        for j in range(n_y):
            for k in range(n_z):
                if not np.isnan(values[i, j, k]):
                    continue
                if k and not np.isnan(values[i, j, k - 1]):
                    values[i, j, k] = values[i, j, k - 1]
                elif j and not np.isnan(values[i, j - 1, k]):
                    values[i, j, k] = values[i, j - 1, k]
                elif i:
                    values[i, j, k] = values[i - 1, j, k]

"""Inside or outside a closed mesh, by the faces that the line through a point along z crosses; in torch, any device.

The official evaluation (autonomousvision/occupancy_networks: im2mesh/utils/libmesh) tests so, in float64. Libraries do
not: Embree traces in float32, and libigl's winding numbers call inside what parity calls outside, where a mesh runs
through itself. An edge belongs to exactly one of its two faces here, so no line slips through between them.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

_CANDIDATES = 1 << 21
"""Pairs of line and face that are looked at together: bounds the memory."""


class Crossings(NamedTuple):
    """Where lines along z cross faces, K crossings in no order."""

    line: Tensor
    """(K,) int64, which line."""
    z: Tensor
    """(K,) float64."""
    sign: Tensor
    """(K,) int64: 1 where the face looks towards +z, so that the line leaves there, and -1 where it enters."""


def crossings(lines_xy: Tensor, verts: Tensor, faces: Tensor) -> Crossings:
    """Every crossing of the lines (N, 2) along z with a mesh (V, 3), (F, 3)."""
    lines_xy, triangles = lines_xy.double(), verts.double()[faces]
    bins = _Bins(triangles[..., :2])
    near, first, count = bins.of(lines_xy)
    parts = [
        _test(near[part], lines_xy, triangles, bins.faces, first[part], count[part]) for part in _parts(count)
    ]
    return Crossings(*(torch.cat(values) for values in zip(*parts, strict=True)))


def contains(points: Tensor, verts: Tensor, faces: Tensor) -> Tensor:
    """(N,) bool: points (N, 3) that have an odd number of faces above and an odd number below, as the official test.

    Where a mesh runs through itself the parity is even: such points are outside.
    """
    above, found = _above(points, verts, faces)
    n_above, n_below = (torch.bincount(found.line[side], minlength=len(points)) for side in (above, ~above))
    return (n_above % 2 == 1) & (n_below % 2 == 1)


def winding_number(points: Tensor, verts: Tensor, faces: Tensor) -> Tensor:
    """(N,) int64: how many times a closed mesh with outward winding surrounds each point (N, 3)."""
    above, found = _above(points, verts, faces)
    total = torch.zeros(len(points), dtype=torch.int64, device=points.device)
    return total.index_add_(0, found.line[above], found.sign[above])


def _above(points: Tensor, verts: Tensor, faces: Tensor) -> tuple[Tensor, Crossings]:
    found = crossings(points[:, :2], verts, faces)
    return found.z >= points[:, 2].double()[found.line], found


class _Bins:
    """Faces by the cells of a square grid in x and y that their boxes touch."""

    def __init__(self, triangles_xy: Tensor) -> None:
        n_faces, device = len(triangles_xy), triangles_xy.device
        self.side = min(max(int(2 * n_faces**0.5), 1), 1024)
        corners = triangles_xy.reshape(-1, 2)
        self.low = corners.amin(0) if n_faces else corners.new_zeros(2)
        self.high = corners.amax(0) if n_faces else corners.new_full((2,), -1.0)
        self.cell = ((self.high - self.low) / self.side).clamp(min=1e-300)
        start, end = self._cell(triangles_xy.amin(1)), self._cell(triangles_xy.amax(1))
        span = end - start + 1
        count = span.prod(dim=1)
        face = torch.arange(n_faces, device=device).repeat_interleave(count)
        within = torch.arange(len(face), device=device) - (count.cumsum(0) - count)[face]
        column = start[face, 0] + within // span[face, 1]
        row = start[face, 1] + within % span[face, 1]
        cell, order = (column * self.side + row).sort(stable=True)
        self.faces = face[order]
        self.start = torch.searchsorted(cell, torch.arange(self.side**2 + 1, device=device))

    def of(self, lines_xy: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The lines that may cross a face; for each, its first place in ``faces`` and how many follow."""
        near = torch.nonzero(((lines_xy >= self.low) & (lines_xy <= self.high)).all(dim=1)).flatten()
        column, row = self._cell(lines_xy[near]).unbind(dim=1)
        cell = column * self.side + row
        count = self.start[cell + 1] - self.start[cell]
        some = count > 0
        return near[some], self.start[cell][some], count[some]

    def _cell(self, xy: Tensor) -> Tensor:
        return ((xy - self.low) / self.cell).long().clamp(0, self.side - 1)


def _parts(count: Tensor) -> list[slice]:
    """Runs of lines with about ``_CANDIDATES`` candidates each."""
    part = (count.cumsum(0) - count) // _CANDIDATES
    borders = torch.searchsorted(part, torch.unique(part), right=True).tolist()
    starts = [0, *borders]
    return [slice(a, b) for a, b in zip(starts[:-1], borders, strict=True)] or [slice(0, 0)]


def _test(
    line: Tensor, lines_xy: Tensor, triangles: Tensor, faces: Tensor, first: Tensor, count: Tensor
) -> Crossings:
    """The crossings among the candidates of some lines."""
    line, first, end = (values.repeat_interleave(count) for values in (line, first, count.cumsum(0) - count))
    face = faces[first + torch.arange(len(line), device=line.device) - end]
    corners, xy = triangles[face], lines_xy[line]
    (ax, ay), (bx, by), (cx, cy) = ((corners[:, k, :2] - xy).unbind(dim=1) for k in range(3))
    area_c, left_c = _side(ax, ay, bx, by)
    area_a, left_a = _side(bx, by, cx, cy)
    area_b, left_b = _side(cx, cy, ax, ay)
    area = area_a + area_b + area_c
    hit = (left_a == left_b) & (left_b == left_c) & (area != 0)
    weighted = area_a * corners[:, 0, 2] + area_b * corners[:, 1, 2] + area_c * corners[:, 2, 2]
    return Crossings(line[hit], weighted[hit] / area[hit], area[hit].sign().long())


def _side(ax: Tensor, ay: Tensor, bx: Tensor, by: Tensor) -> tuple[Tensor, Tensor]:
    """Twice the signed area of origin, a, b, and whether the origin is left of a -> b.

    From b -> a the answer is the opposite, also where the origin lies on the line: each edge is one face's.
    """
    area = ax * by - ay * bx
    on_line = torch.where(ay == by, bx < ax, by < ay)
    return area, torch.where(area == 0, on_line, area > 0)

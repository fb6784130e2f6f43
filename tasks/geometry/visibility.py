"""Visibility: which face does each pixel see? Scan conversion and depth test in plain PyTorch, on any device.

No loop runs over faces, rows or pixels. A face is cut at the height of its middle vertex into two trapezoids, each
trapezoid is expanded to the pixel rows it meets, each row to the pixels whose centres it covers (fragments), and the
nearest face of a pixel is the maximum of packed integers ``bits of inverse depth << 32 | face + 1``: positive floats
are ordered like their bits. Nothing here carries gradients; ``rasteriser`` adds them for the pixels that see something.

Watertight: an edge always runs downwards from its upper end, so the two faces that share it compute the same crossing,
bit by bit, and both include it. The winner of a pixel is a function of the input alone: the nearest face, and of
equally near ones the last.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor

FARTHEST_PX = 1e6
"""Vertices projected farther out than this are beyond what float32 can place."""
_IMAGES_AT_ONCE = 16
"""On the CPU; more would not fit the cache."""
FRAGMENTS_AT_ONCE = 1 << 24
"""Bounds the memory of hopeless input, in which every face covers the whole image."""
TINY = 1e-20


class _Edge(NamedTuple):
    """Edges from their upper ends: where they start, and how much x and inverse depth grow per pixel downwards."""

    y: Tensor
    x: Tensor
    inverse: Tensor
    x_per_row: Tensor
    inverse_per_row: Tensor

    def at(self, y: Tensor, index: Tensor) -> tuple[Tensor, Tensor]:
        """x and inverse depth of the edges ``index`` at the heights ``y``."""
        below = y - self.y.index_select(0, index)
        x = self.x_per_row.index_select(0, index).mul_(below).add_(self.x.index_select(0, index))
        inverse = self.inverse_per_row.index_select(0, index).mul_(below)
        return x, inverse.add_(self.inverse.index_select(0, index))


class _Trapezoids(NamedTuple):
    """Halves of faces: first row and number of rows, their two edges, first line of their image, face + 1."""

    first: Tensor
    n_rows: Tensor
    long: _Edge
    short: _Edge
    line: Tensor
    label: Tensor


class _Rows(NamedTuple):
    """Runs of pixels: the first one's flat index, how many, inverse depth there and its growth, face + 1."""

    start: Tensor
    n_pixels: Tensor
    inverse: Tensor
    inverse_per_pixel: Tensor
    label: Tensor


@torch.no_grad()
def visible_faces(
    verts_px: Tensor, depth_m: Tensor, faces: Tensor, size: tuple[int, int], near_m: float, cull: bool = False
) -> Tensor:
    """The face that each pixel centre sees, ``(B, H, W)`` int64, -1 for none.

    ``verts_px`` ``(B, V, 2)`` and ``depth_m`` ``(B, V)`` are the projected vertices, ``size`` is (H, W). Left out are
    faces without area, faces with a vertex nearer than ``near_m``, not finite or farther out than ``FARTHEST_PX`` and,
    with ``cull``, faces that turn their back on the camera.
    """
    batch = depth_m.shape[0]
    at_once = max(1, batch) if depth_m.is_cuda else _IMAGES_AT_ONCE
    images = [
        _nearest_faces(verts_px[i : i + at_once], depth_m[i : i + at_once], faces, size, near_m, cull)
        for i in range(0, batch, at_once)
    ]
    return torch.cat(images) if images else faces.new_empty((0, *size))


def screen_area(x: Sequence[Tensor], y: Sequence[Tensor]) -> Tensor:
    """Twice the signed area of triangles on the screen; negative where the face looks at the camera (y points down)."""
    return (x[1] - x[0]) * (y[2] - y[0]) - (x[2] - x[0]) * (y[1] - y[0])


def _nearest_faces(
    verts_px: Tensor, depth_m: Tensor, faces: Tensor, size: tuple[int, int], near_m: float, cull: bool
) -> Tensor:
    batch, n_verts = depth_m.shape
    height, width = size
    image = torch.arange(batch, device=faces.device)
    corners = [(column + n_verts * image[:, None]).flatten() for column in faces.unbind(1)]
    line = (image.int() * height).repeat_interleave(len(faces)).repeat(2)
    label = torch.arange(1, len(faces) + 1, device=faces.device, dtype=torch.int32).repeat(2 * batch)
    halves = _trapezoids(_screen(verts_px, depth_m, near_m), corners, (line, label), height, cull)
    nearest = torch.zeros(batch * height * width, dtype=torch.int64, device=faces.device)
    for part in parts(halves.n_rows, FRAGMENTS_AT_ONCE // width):
        _splat(_rows(halves, part, width), nearest)
    return nearest.bitwise_and_(0xFFFFFFFF).sub_(1).view(batch, height, width)


def _screen(verts_px: Tensor, depth_m: Tensor, near_m: float) -> tuple[Tensor, Tensor, Tensor]:
    """Flat float32 x, y and inverse depth; vertices that disqualify their faces get inverse depth 0."""
    x, y = verts_px.reshape(-1, 2).float().t().contiguous()
    depth = depth_m.reshape(-1).float()
    good = (depth > near_m) & (x.abs() < FARTHEST_PX) & (y.abs() < FARTHEST_PX) & depth.isfinite()
    zero = x.new_zeros(())
    return x.where(good, zero), y.where(good, zero), depth.reciprocal().where(good, zero)


def _trapezoids(
    screen: tuple[Tensor, Tensor, Tensor],
    corners: list[Tensor],
    owners: tuple[Tensor, Tensor],
    height: int,
    cull: bool,
) -> _Trapezoids:
    """The upper halves of all faces of all images, then their lower halves; ``owners`` are ``line`` and ``label``.

    A half owns the rows from its upper vertex on, so a row through the middle vertex belongs to the lower half; there
    the short edge starts exactly at that vertex.
    """
    x, y = screen[:2]
    ordered = _sorted_by_height(y, corners)
    xs, ys, zs = ([value.index_select(0, corner) for corner in ordered] for value in screen)
    kept = (torch.minimum(torch.minimum(zs[0], zs[1]), zs[2]) > 0) & (screen_area(xs, ys) != 0)
    if cull:
        kept &= screen_area([x[c] for c in corners], [y[c] for c in corners]) < 0
    top, middle = ((value - 0.5).ceil_().clamp_(0, height).int() for value in ys[:2])
    end = (ys[2] - 0.5).floor_().add_(1).clamp_(0, height).int()
    n_rows = torch.cat([middle - top, end - middle]).mul_(kept.repeat(2))
    long = _edge(xs, ys, zs, 0, 2)
    short = _stack(_edge(xs, ys, zs, 0, 1), _edge(xs, ys, zs, 1, 2))
    return _Trapezoids(torch.cat([top, middle]), n_rows, _stack(long, long), short, *owners)


def _sorted_by_height(y: Tensor, corners: list[Tensor]) -> tuple[Tensor, Tensor, Tensor]:
    """The corners of each face from top to bottom, as vertex numbers; equal heights by vertex number.

    Heights are compared by their bits, which reverses the order among vertices above the image: nothing is drawn
    between those.
    """
    key = (y.view(torch.int32).long() << 32) | torch.arange(len(y), device=y.device)
    a, b, c = (key.index_select(0, corner) for corner in corners)
    low, high = torch.minimum(a, b), torch.maximum(a, b)
    middle = torch.maximum(low, torch.minimum(high, c))
    top, bottom = torch.minimum(low, c), torch.maximum(high, c)
    return tuple(value.bitwise_and_(0xFFFFFFFF) for value in (top, middle, bottom))  # type: ignore[return-value]


def _edge(xs: list[Tensor], ys: list[Tensor], zs: list[Tensor], upper: int, lower: int) -> _Edge:
    per_row = (ys[lower] - ys[upper]).clamp_(min=TINY).reciprocal_()
    x_per_row = (xs[lower] - xs[upper]).mul_(per_row)
    return _Edge(ys[upper], xs[upper], zs[upper], x_per_row, (zs[lower] - zs[upper]).mul_(per_row))


def _stack(upper: _Edge, lower: _Edge) -> _Edge:
    return _Edge(*(torch.cat(pair) for pair in zip(upper, lower, strict=True)))


def parts(count: Tensor, at_most: int) -> Iterator[slice]:
    """Slices of consecutive entries whose counts add up to at most ``at_most``, or single entries."""
    total = int(count.sum())
    if total <= at_most:
        yield slice(None)
        return
    group = (count.cumsum(0) - 1).div_(at_most, rounding_mode="floor")
    edges = [0, *torch.nonzero(group.diff())[:, 0].add_(1).tolist(), len(count)]
    for a, b in pairwise(edges):
        yield slice(a, b)


def expand(count: Tensor) -> tuple[Tensor, Tensor]:
    """For counts (3, 0, 2): the owners 0 0 0 2 2 and the places 0 1 2 0 1 within each owner, as int32."""
    owner = torch.repeat_interleave(count)
    before = count.cumsum(0, dtype=torch.int32).sub_(count)
    place = torch.arange(len(owner), device=count.device, dtype=torch.int32)
    return owner, place.sub_(before.index_select(0, owner))


def _rows(halves: _Trapezoids, part: slice, width: int) -> _Rows:
    """The pixel runs of the trapezoids in ``part``: pixel centres from one edge to the other, both included."""
    owner, row = expand(halves.n_rows[part])
    owner += part.start or 0
    row += halves.first.index_select(0, owner)
    y = row + 0.5
    x_long, inverse_long = halves.long.at(y, owner)
    x_short, inverse_short = halves.short.at(y, owner)
    left = torch.minimum(x_long, x_short).sub_(0.5).ceil_().clamp_(min=0)
    right = torch.maximum(x_long, x_short).sub_(0.5).floor_().add_(1).clamp_(max=width)
    span = x_short.sub_(x_long)
    slope = inverse_short.sub_(inverse_long).mul_(span).div_(span.square().clamp_(min=TINY))
    inverse = (left + 0.5).sub_(x_long).mul_(slope).add_(inverse_long)
    start = row.add_(halves.line.index_select(0, owner)).mul_(width).add_(left.int())
    n_pixels = right.sub_(left).clamp_(min=0).int()
    return _Rows(start, n_pixels, inverse, slope, halves.label.index_select(0, owner))


def _splat(rows: _Rows, nearest: Tensor) -> None:
    """Raise the flat image ``nearest`` to the keys of the fragments of ``rows``."""
    owner, place = expand(rows.n_pixels)
    inverse = (
        rows.inverse_per_pixel.index_select(0, owner).mul_(place).add_(rows.inverse.index_select(0, owner))
    )
    key = inverse.view(torch.int32).long().bitwise_left_shift_(32)
    key.bitwise_or_(rows.label.index_select(0, owner))
    pixel = place.add_(rows.start.index_select(0, owner)).long()
    nearest.scatter_reduce_(0, pixel, key, "amax")

"""The soft silhouette: an image of the mask that is differentiable in where the outline runs.

Near the outline, opacity is a sigmoid of the signed distance, in pixels, to the nearest outline edge. Outline edges
are those where the mesh turns from facing the camera to facing away, or ends, and where the mask ends too; edges in
front of other parts of the mesh are no outline. The distance is differentiable, which edge is nearest is not (as in
the silhouette terms of classical model fitting; the product over all faces of SoftRas, Liu et al. 2019, gives much the
same image for twenty times the work).
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from tasks.geometry.cameras import crop_intrinsics, project
from tasks.geometry.mesh import edge_faces
from tasks.geometry.rasteriser import NEAR_M, drawable
from tasks.geometry.visibility import (
    FARTHEST_PX,
    FRAGMENTS_AT_ONCE,
    TINY,
    expand,
    parts,
    screen_area,
    visible_faces,
)

_STEP_PX = 1.0
"""How far behind an edge the mask is looked up to tell whether it ends there."""
_FOLD_PX = 0.3
"""How far inside the outline an edge may seem to lie, by its curvature, and still belong to it."""


class _Segments(NamedTuple):
    """Line segments on the screen, their images, and flat vertex indices of their ends; all ``(N,)`` or ``(N, 2)``."""

    start: Tensor
    end: Tensor
    image: Tensor
    vertices: Tensor


def soft_silhouette(
    verts_cam_m: Tensor,
    faces: Tensor,
    intrinsics_px: Tensor,
    size: int | tuple[int, int],
    sigma_px: float = 0.7,
    radius_px: float = 3.0,
    near_m: float = NEAR_M,
) -> Tensor:
    """Opacity ``(B, H, W)`` in [0, 1] of vertices ``(B, V, 3)`` and faces ``(F, 3)``, differentiable.

    ``sigma_px`` is the softness; farther than ``radius_px`` from the outline the image is the hard mask, without
    gradient. Arguments as for ``rasterise``. Raises RequestError when an edge of the mesh has more than two faces.
    """
    height, width = (size, size) if isinstance(size, int) else size
    verts_cam_m, faces = drawable(verts_cam_m, near_m), faces.to(verts_cam_m.device)
    margin = int(radius_px + _STEP_PX) + 1
    verts_px = project(verts_cam_m, crop_intrinsics(intrinsics_px, -margin, -margin))
    depth_m, padded = verts_cam_m[..., 2], (height + 2 * margin, width + 2 * margin)
    with torch.no_grad():
        mask = visible_faces(verts_px, depth_m, faces, padded, near_m) >= 0
        segments = _contours(verts_px, depth_m, faces, near_m)
        nearest = _nearest_outline(segments, mask, radius_px)
    alpha = _opacity(verts_px, segments, nearest, mask, sigma_px)
    return alpha[:, margin : margin + height, margin : margin + width]


@lru_cache(maxsize=32)
def _topology(faces: bytes) -> tuple[np.ndarray, np.ndarray]:
    return edge_faces(np.frombuffer(faces, dtype=np.int64).reshape(-1, 3))


def _contours(verts_px: Tensor, depth_m: Tensor, faces: Tensor, near_m: float) -> _Segments:
    """The edges between a face that looks at the camera and none, or one that looks away."""
    edges, owners = (
        torch.as_tensor(array, device=faces.device)
        for array in _topology(faces.cpu().long().numpy().tobytes())
    )
    x, y = verts_px.unbind(-1)
    good = (depth_m > near_m) & (verts_px.abs() < FARTHEST_PX).all(-1)
    drawn = good[:, faces].all(-1)
    side = screen_area(x[:, faces].unbind(-1), y[:, faces].unbind(-1)).sign() * drawn
    side = torch.cat([side, torch.zeros_like(side[:, :1])], dim=1)
    image, edge = (side[:, owners[:, 0]] != side[:, owners[:, 1]]).nonzero(as_tuple=True)
    vertices = edges[edge] + (image * depth_m.shape[1])[:, None]
    flat = torch.stack([x.flatten(), y.flatten()], dim=1)
    return _Segments(flat[vertices[:, 0]], flat[vertices[:, 1]], image, vertices)


def _nearest_outline(segments: _Segments, mask: Tensor, radius_px: float) -> Tensor:
    """For each pixel the nearest outline segment within the radius, ``(B, H, W)`` int64, -1 for none.

    From the background, whatever is nearest is the outline. From inside, folds of the surface may be nearer: what
    counts there must lie on the outline as the background behind it sees it.
    """
    outside = _nearest(segments, ~mask, radius_px, None)
    seen_from_outside = _feet(segments, outside)
    return torch.where(mask, _nearest(segments, mask, radius_px, seen_from_outside), outside)


def _nearest(segments: _Segments, domain: Tensor, radius_px: float, outline: Tensor | None) -> Tensor:
    """For each pixel of ``domain`` the nearest segment, -1 for none; where given, only those on the ``outline``."""
    batch, height, width = domain.shape
    first, count = _row_range(segments, height, radius_px)
    far = torch.iinfo(torch.int64).max
    nearest = torch.full((domain.numel(),), far, dtype=torch.int64, device=domain.device)
    for part in parts(count, FRAGMENTS_AT_ONCE // width):
        segment, row = expand(count[part])
        segment += part.start or 0
        row += first.index_select(0, segment)
        segment, row, column = _pixels_near(segments, segment, row, width, radius_px)
        pixel = (segments.image.index_select(0, segment) * height + row) * width + column
        kept = domain.flatten().index_select(0, pixel).nonzero()[:, 0]
        segment, pixel, row, column = (value.index_select(0, kept) for value in (segment, pixel, row, column))
        point = torch.stack([column, row], dim=1).to(segments.start.dtype) + 0.5
        ends = segments.start.index_select(0, segment), segments.end.index_select(0, segment)
        foot, squared = _foot(point, *ends)
        near = (squared <= radius_px**2).nonzero()[:, 0]
        if outline is not None:
            image = segments.image.index_select(0, segment[near])
            near = near[_on_outline(outline, domain, image, point[near], foot[near])]
        segment, pixel, squared = (value.index_select(0, near) for value in (segment, pixel, squared))
        key = squared.float().view(torch.int32).long().bitwise_left_shift_(32).bitwise_or_(segment)
        nearest.scatter_reduce_(0, pixel, key, "amin")
    nearest = torch.where(nearest == far, -1, nearest.bitwise_and(0xFFFFFFFF))
    return nearest.view(batch, height, width)


def _feet(segments: _Segments, nearest: Tensor) -> Tensor:
    """``(B, H, W, 2)``: the point of its nearest segment that each pixel sees; its own centre where there is none."""
    _, height, width = nearest.shape
    row, column = torch.arange(height, device=nearest.device), torch.arange(width, device=nearest.device)
    centre = torch.stack(torch.meshgrid(column, row, indexing="xy"), dim=-1).to(segments.start.dtype) + 0.5
    feet = centre.repeat(len(nearest), 1, 1, 1)
    image, row, column = (nearest >= 0).nonzero(as_tuple=True)
    segment = nearest[image, row, column]
    feet[image, row, column], _ = _foot(centre[row, column], segments.start[segment], segments.end[segment])
    return feet


def _on_outline(outline: Tensor, mask: Tensor, image: Tensor, point: Tensor, foot: Tensor) -> Tensor:
    """Whether the mask ends a step behind the foot point, and the pixel there sees the outline where the foot is."""
    _, height, width = mask.shape
    behind = foot + _STEP_PX * _unit(foot - point)
    column, row = behind.floor().long().unbind(1)
    column, row = column.clamp_(0, width - 1), row.clamp_(0, height - 1)
    place = (image * height + row) * width + column
    seen = outline.view(-1, 2).index_select(0, place)
    inwards = _unit(seen - torch.stack([column, row], dim=1) - 0.5)
    ends = ~mask.flatten().index_select(0, place)
    return ends & (_dot(foot - seen, inwards) <= _FOLD_PX)


def _row_range(segments: _Segments, height: int, radius_px: float) -> tuple[Tensor, Tensor]:
    """First row and number of rows, int32, whose pixel centres can be within the radius of each segment."""
    start, end = segments.start[:, 1], segments.end[:, 1]
    first = (torch.minimum(start, end) - radius_px - 0.5).ceil().clamp(0, height).int()
    past = ((torch.maximum(start, end) + radius_px - 0.5).floor() + 1).clamp(0, height).int()
    return first, past - first


def _pixels_near(
    segments: _Segments, segment: Tensor, row: Tensor, width: int, radius_px: float
) -> tuple[Tensor, Tensor, Tensor]:
    """Segment, row and column of the pixels in the given rows that can be within the radius of the segments."""
    start = segments.start.index_select(0, segment)
    step = segments.end.index_select(0, segment) - start
    rise = torch.where(step[:, 1].abs() < TINY, TINY, step[:, 1])
    offset = row + 0.5 - start[:, 1]
    x = [start[:, 0] + step[:, 0] * ((offset + r) / rise).clamp(0, 1) for r in (-radius_px, radius_px)]
    left = (torch.minimum(*x) - radius_px - 0.5).ceil().clamp(0, width).int()
    past = ((torch.maximum(*x) + radius_px - 0.5).floor() + 1).clamp(0, width).int()
    owner, place = expand((past - left).clamp_(min=0))
    return segment.index_select(0, owner), row.index_select(0, owner), left.index_select(0, owner) + place


def _opacity(verts_px: Tensor, segments: _Segments, nearest: Tensor, mask: Tensor, sigma_px: float) -> Tensor:
    """The mask, softened by the differentiable distance to the nearest segment of each pixel."""
    image, row, column = (nearest >= 0).nonzero(as_tuple=True)
    start, end = segments.vertices[nearest[image, row, column]].unbind(1)
    flat = verts_px.reshape(-1, 2)
    point = torch.stack([column, row], dim=1).to(flat.dtype) + 0.5
    _, squared = _foot(point, flat.index_select(0, start), flat.index_select(0, end))
    sign = torch.where(mask[image, row, column], 1.0, -1.0)
    soft = torch.sigmoid(sign * (squared + 1e-8).sqrt() / sigma_px)
    return mask.to(flat.dtype).index_put((image, row, column), soft)


def _foot(point: Tensor, start: Tensor, end: Tensor) -> tuple[Tensor, Tensor]:
    """The nearest points ``(N, 2)`` of segments to points, and the squared distances ``(N,)``."""
    step = end - start
    along = _dot(point - start, step) / _dot(step, step).clamp(min=TINY)
    foot = start + along.clamp(0, 1)[:, None] * step
    return foot, _dot(foot - point, foot - point)


def _unit(vectors: Tensor) -> Tensor:
    return vectors / _dot(vectors, vectors).sqrt().clamp(min=TINY)[:, None]


def _dot(a: Tensor, b: Tensor) -> Tensor:
    """By hand: torch's own sums over an axis of length two are several times slower."""
    return a[:, 0] * b[:, 0] + a[:, 1] * b[:, 1]

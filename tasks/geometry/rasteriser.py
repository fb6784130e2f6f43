"""The rasteriser: what a camera sees of a batch of meshes that share their faces, differentiable and fast on a CPU.

Two steps: ``visibility`` finds the face of each pixel (no gradient), then this file recomputes perspective-correct
barycentrics and depth for the pixels that see something, with gradients to vertices and intrinsics. Whatever is
interpolated through the barycentrics is differentiable as well. Gradients flow through pixels, not through
silhouettes; ``silhouette.soft_silhouette`` adds those.

Vertices are in metres in the OpenCV camera frame. Pixel (0, 0) covers [0, 1) x [0, 1) and is sampled at its centre.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from tasks.errors import unknown_name
from tasks.geometry.cameras import project
from tasks.geometry.visibility import screen_area, visible_faces

Backend = Literal["auto", "torch", "pytorch3d"]
BACKENDS: tuple[Backend, ...] = ("auto", "torch", "pytorch3d")
NEAR_M = 0.01
"""Faces with any vertex nearer than this, or behind the camera, are not drawn."""


@dataclass(frozen=True)
class Fragments:
    """What each pixel sees. Pixels that see nothing have face -1, barycentrics 0 and depth infinity."""

    face_index: Tensor
    """(B, H, W) int64, -1 for none."""
    barycentrics: Tensor
    """(B, H, W, 3), perspective-correct, at least 0, sum 1."""
    depth_m: Tensor
    """(B, H, W), along the optical axis."""

    @property
    def mask(self) -> Tensor:
        """(B, H, W) bool: the pixel sees a face."""
        return self.face_index >= 0


def rasterise(
    verts_cam_m: Tensor,
    faces: Tensor,
    intrinsics_px: Tensor,
    size: int | tuple[int, int],
    backend: Backend = "auto",
    near_m: float = NEAR_M,
    cull_backfaces: bool = False,
) -> Fragments:
    """What is seen of vertices ``(B, V, 3)`` with shared faces ``(F, 3)`` int64.

    ``intrinsics_px`` is ``(B, 3, 3)`` or ``(3, 3)``; ``size`` is the image's side or (H, W). ``cull_backfaces`` leaves
    out faces whose outward side (counter-clockwise corners) looks away: right for closed meshes, and faster.
    Barycentrics and depth have the dtype of the vertices; which face is seen is decided in float32. Backends: ``torch``
    is this one; ``pytorch3d`` uses PyTorch3D and agrees with it but where rounding decides; ``auto`` is ``torch``,
    by far the faster one on a CPU. Forward results are deterministic; gradients on a GPU are sums by atomic addition,
    so their last bits are not.

    Raises RequestError for an unknown backend, and when ``pytorch3d`` is chosen and not installed.
    """
    if backend not in BACKENDS:
        raise unknown_name("rasteriser backend", backend, BACKENDS)
    height_width = (size, size) if isinstance(size, int) else (int(size[0]), int(size[1]))
    faces = faces.to(verts_cam_m.device)
    verts_cam_m = drawable(verts_cam_m, near_m)
    if backend == "pytorch3d":
        from tasks.geometry.pytorch3d_backend import rasterise_pytorch3d

        return rasterise_pytorch3d(verts_cam_m, faces, intrinsics_px, height_width, near_m, cull_backfaces)
    verts_px, depth_m = project(verts_cam_m, intrinsics_px), verts_cam_m[..., 2]
    face_index = visible_faces(verts_px, depth_m, faces, height_width, near_m, cull_backfaces)
    return _fragments(verts_px, depth_m, faces, face_index)


def drawable(verts_cam_m: Tensor, near_m: float) -> Tensor:
    """Vertices ``(B, V, 3)``; those that cannot be projected become (0, 0, -1), which is not drawn and has no gradient.

    Otherwise a single vertex at depth zero or NaN would turn the gradients of the whole network into NaN.
    """
    good = verts_cam_m.isfinite().all(-1) & (verts_cam_m[..., 2] > near_m)
    return torch.where(good[..., None], verts_cam_m, verts_cam_m.new_tensor([0.0, 0.0, -1.0]))


def interpolate(fragments: Fragments, faces: Tensor, attributes: Tensor) -> Tensor:
    """Attributes at the pixels, ``(B, H, W, C)``, 0 where no face is seen; differentiable in both.

    ``attributes`` are per vertex, ``(B, V, C)`` or ``(V, C)``, or per corner of each face, ``(B, F, 3, C)`` or
    ``(F, 3, C)`` (texture coordinates with seams). With F = B the last form is ambiguous and read as per vertex: pass
    ``(1, F, 3, C)``.
    """
    batch, height, width = fragments.face_index.shape
    pixel = _seen(fragments.face_index)
    face = fragments.face_index.flatten().index_select(0, pixel)
    image = _places(pixel, height, width)[0].long()
    corners = _corner_rows(attributes, faces.to(pixel.device), face, image, batch)
    weights = fragments.barycentrics.reshape(-1, 3).index_select(0, pixel).unbind(1)
    values = corners[0] * weights[0][:, None]
    for rows, weight in zip(corners[1:], weights[1:], strict=True):
        values = values + rows * weight[:, None]
    out = values.new_zeros((batch * height * width, values.shape[-1]))
    return out.index_copy(0, pixel, values).view(batch, height, width, -1)


def visible_vertices(fragments: Fragments, faces: Tensor, n_verts: int) -> Tensor:
    """``(B, n_verts)`` bool: the vertex belongs to a face that some pixel sees (AMVUR's occlusion rule)."""
    batch = fragments.face_index.shape[0]
    faces = faces.to(fragments.face_index.device)
    seen = torch.zeros((batch, len(faces) + 1), dtype=torch.bool, device=faces.device)
    seen.scatter_(1, fragments.face_index.flatten(1) + 1, True)
    image, face = seen[:, 1:].nonzero(as_tuple=True)
    visible = torch.zeros((batch, n_verts), dtype=torch.bool, device=faces.device)
    visible[image[:, None], faces[face]] = True
    return visible


def _seen(face_index: Tensor) -> Tensor:
    """Flat indices of the pixels that see a face."""
    return (face_index.flatten() >= 0).nonzero()[:, 0]


def _fragments(verts_px: Tensor, depth_m: Tensor, faces: Tensor, face_index: Tensor) -> Fragments:
    """Barycentrics and depth of the visible pixels, with gradients."""
    _, height, width = face_index.shape
    pixel = _seen(face_index)
    face = face_index.flatten().index_select(0, pixel)
    image, row, column = _places(pixel, height, width)
    first_vertex = image.mul_(depth_m.shape[1]).long()
    corners = [corner.index_select(0, face).add_(first_vertex) for corner in faces.unbind(1)]
    u, v = verts_px.reshape(-1, 2).t().contiguous()
    column, row = column.add_(0.5).to(u.dtype), row.add_(0.5).to(u.dtype)
    x = [u.index_select(0, corner) - column for corner in corners]
    y = [v.index_select(0, corner) - row for corner in corners]
    z = [depth_m.reshape(-1).index_select(0, corner) for corner in corners]
    weights, depth = _perspective_weights(x, y, z)
    places = torch.cat([3 * pixel + k for k in range(3)])
    barycentrics = depth.new_zeros(3 * face_index.numel()).scatter_(0, places, torch.cat(weights))
    depths = depth.new_full((face_index.numel(),), torch.inf).scatter_(0, pixel, depth)
    return Fragments(face_index, barycentrics.view(*face_index.shape, 3), depths.view(face_index.shape))


def _places(pixel: Tensor, height: int, width: int) -> tuple[Tensor, Tensor, Tensor]:
    """Image, row and column of flat pixel indices, as float64: exact, and far faster than integer division."""
    position = pixel.double()
    line = (position / width).floor_()
    image = (line / height).floor_()
    return image, line - height * image, position.sub_(width * line)


def _perspective_weights(
    x: list[Tensor], y: list[Tensor], z: list[Tensor]
) -> tuple[tuple[Tensor, Tensor, Tensor], Tensor]:
    """Barycentrics on the face in space, and depth, of pixels that lie at the origin of the screen; all ``(N,)``.

    Weights on the screen are ratios of areas; divided by depth and normalised they are weights in space (Blinn 1992).
    Slivers can put a pixel outside by rounding: negative weights become 0.
    """
    area = screen_area(x, y)
    first = (x[1] * y[2] - x[2] * y[1]) / area
    second = (x[2] * y[0] - x[0] * y[2]) / area
    on_screen = [w.clamp(min=0) for w in (first, second, 1 - first - second)]
    a, b, c = (w / corner_depth for w, corner_depth in zip(on_screen, z, strict=True))
    depth = 1 / (a + b + c)
    total = on_screen[0] + on_screen[1] + on_screen[2]
    return (a * depth, b * depth, c * depth), total * depth


def _corner_rows(attributes: Tensor, faces: Tensor, face: Tensor, image: Tensor, batch: int) -> list[Tensor]:
    """The attributes ``(N, C)`` of the three corners of each fragment."""
    n_faces = len(faces)
    per_corner = attributes.dim() == 4 or (
        attributes.dim() == 3 and attributes.shape[:2] == (n_faces, 3) and n_faces != batch
    )
    if per_corner:
        shared = attributes.dim() == 3 or attributes.shape[0] == 1
        first = 3 * (face if shared else face + image * n_faces)
        rows = [first, first + 1, first + 2]
    else:
        shared = attributes.dim() == 2 or attributes.shape[0] == 1
        offset = 0 if shared else image * attributes.shape[-2]
        rows = [column.index_select(0, face) + offset for column in faces.unbind(1)]
    table = attributes.reshape(-1, attributes.shape[-1])
    return [table.index_select(0, row) for row in rows]

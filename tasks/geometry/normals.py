"""Unit normals of faces and vertices, differentiable. Counter-clockwise corners: closed meshes have outward normals."""

from __future__ import annotations

import torch
from torch import Tensor

from tasks.geometry.rasteriser import Fragments, interpolate


def face_normals(verts: Tensor, faces: Tensor) -> Tensor:
    """Unit normals ``(B, F, 3)`` of vertices ``(B, V, 3)`` and faces ``(F, 3)``; 0 for faces without area."""
    return _unit(_area_vectors(verts, faces))


def vertex_normals(verts: Tensor, faces: Tensor) -> Tensor:
    """Unit normals ``(B, V, 3)``: the mean of the faces around each vertex, weighted by area; 0 where there is none."""
    area_vectors = _area_vectors(verts, faces)
    total = torch.zeros_like(verts)
    for corner in faces.unbind(1):
        total = total.index_add(1, corner, area_vectors)
    return _unit(total)


def pixel_normals(fragments: Fragments, verts_cam_m: Tensor, faces: Tensor) -> Tensor:
    """The normal image ``(B, H, W, 3)`` in the camera frame: smooth unit normals, 0 where nothing is seen."""
    smooth = interpolate(fragments, faces, vertex_normals(verts_cam_m, faces))
    return _unit(smooth)


def _area_vectors(verts: Tensor, faces: Tensor) -> Tensor:
    a, b, c = (verts.index_select(1, corner) for corner in faces.unbind(1))
    return torch.linalg.cross(b - a, c - a)


def _unit(vectors: Tensor) -> Tensor:
    """Vectors of length 1, or 0 with gradient 0 where the length is nearly so (areas are in square metres: small)."""
    length = torch.linalg.vector_norm(vectors, dim=-1, keepdim=True)
    long_enough = length > 1e-18
    return torch.where(long_enough, vectors / torch.where(long_enough, length, 1.0), 0.0)

"""Occlusion-aware rasterisation of a coloured mesh (sheet 2.6): vertices that no pixel sees lose their colour."""

import torch
from torch import Tensor
from torch.nn import functional as F

from tasks.geometry.normals import vertex_normals
from tasks.geometry.rasteriser import Fragments, interpolate, visible_vertices

AMBIENT, DIFFUSE = 0.5, 0.5
LIGHT_CAM_M = (0.0, 0.0, -2.0)


def visible(fragments: Fragments, faces: Tensor, n_verts: int, rule: str) -> Tensor:
    """(B, V) bool: the vertex belongs to a face that some pixel sees.

    ``released`` drops the smallest face number seen in the batch, taking it for the background's -1; that loses a face
    only where no pixel is background. ``ignored`` keeps every vertex.
    """
    face_index = fragments.face_index
    if rule == "ignored":
        return face_index.new_ones((len(face_index), n_verts), dtype=torch.bool)
    if rule == "released":
        lowest = face_index.min()
        face_index = torch.where(face_index == lowest, -1, face_index)
    return visible_vertices(Fragments(face_index, fragments.barycentrics, fragments.depth_m), faces, n_verts)


def render(fragments: Fragments, faces: Tensor, vertex_rgb: Tensor) -> Tensor:
    """(B, 3, H, W), 0 where no face is seen."""
    return interpolate(fragments, faces, vertex_rgb).permute(0, 3, 1, 2)


def phong(verts_cam_m: Tensor, faces: Tensor, vertex_rgb: Tensor) -> Tensor:
    """Colours (B, V, 3) under white ambient light and one point light, without specular reflection."""
    normals = vertex_normals(verts_cam_m, faces)
    to_light = F.normalize(verts_cam_m.new_tensor(LIGHT_CAM_M) - verts_cam_m, dim=-1)
    facing = (normals * to_light).sum(-1, keepdim=True).clamp_min(0)
    return vertex_rgb * (AMBIENT + DIFFUSE * facing)

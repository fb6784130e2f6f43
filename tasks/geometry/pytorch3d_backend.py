"""The rasteriser's other backend: PyTorch3D. This file is the only one that imports it, and only when it is called.

PyTorch3D's screen: x points left, y points up, the image centre is 0 and the shorter side runs from -1 to 1; depth
stays in metres. See its notes "Cameras" and "Renderer", and the docstring of ``rasterize_meshes``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from tasks.errors import RequestError
from tasks.geometry.cameras import project

if TYPE_CHECKING:
    from tasks.geometry.rasteriser import Fragments


def rasterise_pytorch3d(
    verts_cam_m: Tensor,
    faces: Tensor,
    intrinsics_px: Tensor,
    size: tuple[int, int],
    near_m: float,
    cull: bool,
) -> Fragments:
    """``rasteriser.rasterise`` by PyTorch3D. Raises RequestError where it is not installed."""
    from tasks.geometry.rasteriser import Fragments

    meshes, rasterize_meshes = _import_pytorch3d()
    batch, n_faces = verts_cam_m.shape[0], faces.shape[0]
    screen = screen_verts(verts_cam_m, intrinsics_px, size)
    drawn = drawn_faces(screen, faces, near_m)
    pix_to_face, depth_m, barycentrics, _ = rasterize_meshes(
        meshes(verts=list(screen), faces=list(drawn)),
        image_size=size,
        blur_radius=0.0,
        faces_per_pixel=1,
        perspective_correct=True,
        cull_backfaces=cull,
    )
    face_index = pix_to_face[..., 0]
    seen = face_index >= 0
    first_face = n_faces * torch.arange(batch, device=faces.device)[:, None, None]
    return Fragments(
        torch.where(seen, face_index - first_face, -1),
        torch.where(seen[..., None], barycentrics[..., 0, :], 0.0),
        torch.where(seen, depth_m[..., 0], torch.inf),
    )


def screen_verts(verts_cam_m: Tensor, intrinsics_px: Tensor, size: tuple[int, int]) -> Tensor:
    """``(B, V, 3)`` vertices in PyTorch3D's screen space, depth in metres; right for what lies before the camera."""
    height, width = size
    u, v = project(verts_cam_m, intrinsics_px).unbind(-1)
    half = min(height, width) / 2
    return torch.stack([(width / 2 - u) / half, (height / 2 - v) / half, verts_cam_m[..., 2]], dim=-1)


def drawn_faces(screen: Tensor, faces: Tensor, near_m: float) -> Tensor:
    """``(B, F, 3)`` faces; those with a vertex nearer than ``near_m`` become points, so that numbering stays."""
    visible = (screen[..., 2] > near_m)[:, faces].all(-1)
    return faces.where(visible[..., None], faces[..., :1])


def _import_pytorch3d() -> tuple[Any, Any]:
    try:
        from pytorch3d.renderer.mesh.rasterize_meshes import rasterize_meshes
        from pytorch3d.structures import Meshes
    except ImportError as error:
        raise RequestError(
            f"rasteriser backend 'pytorch3d' needs PyTorch3D ({error}): install it or choose backend 'torch'."
        ) from None
    return Meshes, rasterize_meshes

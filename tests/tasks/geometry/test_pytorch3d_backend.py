"""The PyTorch3D adapter: its conventions against a stand-in written from PyTorch3D's documentation, and the real one.

The stand-in computes each pixel by itself, from the documented screen: +x left, +y up, the shorter side from -1 to 1,
pixel (0, 0) at the upper left, faces numbered through the batch, misses -1, perspective-correct barycentrics.
"""

import importlib.util
import sys
from types import ModuleType

import numpy as np
import pytest
import torch

from tasks.errors import RequestError
from tasks.geometry.rasteriser import rasterise

INSTALLED = importlib.util.find_spec("pytorch3d") is not None
SIZES = [(24, 24), (20, 31), (33, 18)]


class StandInMeshes:
    def __init__(self, verts, faces):
        self.verts, self.faces = verts, faces


def stand_in_rasterize_meshes(
    meshes, image_size, blur_radius, faces_per_pixel, perspective_correct, cull_backfaces
):
    assert (blur_radius, faces_per_pixel, perspective_correct) == (0.0, 1, True)
    height, width = image_size
    batch, shorter = len(meshes.verts), min(image_size)
    pix_to_face = torch.full((batch, height, width, 1), -1)
    zbuf = torch.full((batch, height, width, 1), -1.0)
    bary = torch.full((batch, height, width, 1, 3), -1.0)
    for b, (verts, faces) in enumerate(zip(meshes.verts, meshes.faces, strict=True)):
        a, p, q = (verts[faces[:, i]].double().numpy() for i in range(3))
        z = np.stack([a[:, 2], p[:, 2], q[:, 2]], 1)
        a, p, q = a[:, :2], p[:, :2], q[:, :2]
        area = cross(p - a, q - a)
        # Documented: front faces are anti-clockwise as seen, and +x points left.
        drawn = (area < 0) if cull_backfaces else (area != 0)
        for row in range(height):
            for column in range(width):
                point = np.array([width - 2 * column - 1, height - 2 * row - 1]) / shorter
                with np.errstate(divide="ignore", invalid="ignore"):
                    w = np.stack(
                        [
                            cross(p - point, q - point),
                            cross(q - point, a - point),
                            cross(a - point, p - point),
                        ],
                        1,
                    )
                    w = w / area[:, None] / z
                    depth = 1 / w.sum(1)
                inside = drawn & (w >= 0).all(1) & (depth > 0)
                if inside.any():
                    face = np.where(inside, depth, np.inf).argmin()
                    pix_to_face[b, row, column] = int(face) + sum(len(f) for f in meshes.faces[:b])
                    zbuf[b, row, column] = depth[face]
                    bary[b, row, column, 0] = torch.tensor(w[face] * depth[face])
    return pix_to_face, zbuf, bary, torch.zeros_like(zbuf)


def cross(a, b):
    return a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0]


@pytest.fixture
def stand_in(monkeypatch):
    module = ModuleType("pytorch3d.renderer.mesh.rasterize_meshes")
    module.rasterize_meshes = stand_in_rasterize_meshes
    structures = ModuleType("pytorch3d.structures")
    structures.Meshes = StandInMeshes
    for name in ("pytorch3d", "pytorch3d.renderer", "pytorch3d.renderer.mesh"):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setitem(sys.modules, structures.__name__, structures)


def assert_backends_agree(verts, faces, k, size, **options):
    ours = rasterise(verts, faces, k, size, backend="torch", **options)
    theirs = rasterise(verts, faces, k, size, backend="pytorch3d", **options)
    same = ours.face_index == theirs.face_index
    assert ours.mask.float().mean() > 0.05
    assert same.float().mean() > 0.995
    torch.testing.assert_close(theirs.depth_m[same], ours.depth_m[same], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(theirs.barycentrics[same], ours.barycentrics[same], atol=2e-3, rtol=0)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("cull", [False, True])
def test_the_adapter_speaks_pytorch3ds_documented_conventions(stand_in, bumpy, size, cull):
    verts, faces = bumpy
    faces = torch.where(torch.arange(len(faces))[:, None] % 3 == 0, faces, faces.flip(1))
    k = torch.tensor([[48.0, 0.3, 12.4], [0, 44.0, 11.2], [0, 0, 1]])
    assert_backends_agree(verts, faces, k, size, cull_backfaces=cull)


def test_faces_before_the_near_plane_keep_their_numbers_and_are_not_drawn(stand_in, bumpy):
    verts, faces = bumpy
    verts = verts.clone()
    verts[0, :40, 2] = -0.1
    verts[1, 7] = float("nan")
    k = torch.tensor([[48.0, 0, 12.4], [0, 48.0, 11.2], [0, 0, 1]])
    assert_backends_agree(verts, faces, k, (24, 24))


@pytest.mark.skipif(INSTALLED, reason="PyTorch3D is installed")
def test_choosing_pytorch3d_without_having_it_says_what_to_do(bumpy, intrinsics_px):
    verts, faces = bumpy
    with pytest.raises(RequestError, match=r"needs PyTorch3D .* choose backend 'torch'"):
        rasterise(verts, faces, intrinsics_px, 16, backend="pytorch3d")


@pytest.mark.skipif(not INSTALLED, reason="PyTorch3D is not installed")
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("cull", [False, True])
def test_both_backends_see_the_same(bumpy, size, cull):
    verts, faces = bumpy
    faces = torch.where(torch.arange(len(faces))[:, None] % 3 == 0, faces, faces.flip(1))
    k = torch.tensor([[48.0, 0.3, 12.4], [0, 44.0, 11.2], [0, 0, 1]])
    assert_backends_agree(verts, faces, k, size, cull_backfaces=cull)


@pytest.mark.skipif(not INSTALLED, reason="PyTorch3D is not installed")
def test_both_backends_have_the_same_gradients(bumpy):
    verts, faces = bumpy
    k = torch.tensor([[48.0, 0, 12.4], [0, 44.0, 11.2], [0, 0, 1]])
    gradients = []
    for backend in ("torch", "pytorch3d"):
        leaf = verts.clone().requires_grad_()
        fragments = rasterise(leaf, faces, k, 24, backend=backend)
        torch.where(fragments.mask, fragments.depth_m, 0).sum().backward()
        gradients.append(leaf.grad)
    torch.testing.assert_close(*gradients, atol=0.05, rtol=0.05)


def test_the_adapter_is_imported_only_when_it_is_asked_for():
    assert not any(name.startswith("pytorch3d") for name in sys.modules) or INSTALLED

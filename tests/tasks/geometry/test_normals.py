"""Normals of spheres and of degenerate faces, and their image."""

import numpy as np
import torch
import trimesh

from tasks.geometry.normals import face_normals, pixel_normals, vertex_normals
from tasks.geometry.rasteriser import rasterise

MESH = trimesh.creation.icosphere(subdivisions=4, radius=0.1)
FACES = torch.tensor(np.asarray(MESH.faces))
VERTS = torch.tensor(np.asarray(MESH.vertices))[None]


def test_normals_of_a_sphere_point_outwards():
    torch.testing.assert_close(vertex_normals(VERTS, FACES), VERTS / 0.1, atol=0.02, rtol=0)
    centres = VERTS[:, FACES].mean(2)
    outwards = centres / centres.norm(dim=-1, keepdim=True)
    torch.testing.assert_close(face_normals(VERTS, FACES), outwards, atol=0.01, rtol=0)


def test_normals_agree_with_trimesh_on_an_irregular_mesh():
    rng = np.random.default_rng(0)
    bumpy = trimesh.Trimesh(
        MESH.vertices * rng.uniform(0.8, 1.2, (len(MESH.vertices), 1)), MESH.faces, process=False
    )
    verts = torch.tensor(np.asarray(bumpy.vertices))[None]
    torch.testing.assert_close(face_normals(verts, FACES)[0], torch.tensor(np.asarray(bumpy.face_normals)))
    weights = bumpy.area_faces[:, None] * bumpy.face_normals
    expected = np.zeros_like(bumpy.vertices)
    np.add.at(expected, bumpy.faces.ravel(), weights.repeat(3, axis=0))
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    torch.testing.assert_close(vertex_normals(verts, FACES)[0], torch.tensor(expected))


def test_faces_without_area_and_lonely_vertices_have_normal_zero_and_finite_gradients():
    verts = torch.tensor([[[0.0, 0, 1], [1, 0, 1], [2, 0, 1], [5, 5, 5]]]).requires_grad_()
    faces = torch.tensor([[0, 1, 2]])
    assert (face_normals(verts, faces) == 0).all()
    normals = vertex_normals(verts, faces)
    assert (normals == 0).all()
    normals.sum().backward()
    assert verts.grad.isfinite().all()


def test_normals_of_tiny_meshes_are_still_of_unit_length():
    normals = vertex_normals(VERTS.float() * 1e-6, FACES)
    torch.testing.assert_close(normals.norm(dim=-1), torch.ones(1, VERTS.shape[1]))


def test_gradients_equal_finite_differences():
    small = trimesh.creation.icosphere(subdivisions=0)
    verts = torch.tensor(np.asarray(small.vertices))[None].requires_grad_()
    assert torch.autograd.gradcheck(
        lambda v: vertex_normals(v, torch.tensor(np.asarray(small.faces))), (verts,)
    )


def test_the_normal_image_of_a_sphere_faces_the_camera():
    verts = (VERTS + torch.tensor([0, 0, 0.5])).float()
    k = torch.tensor([[100.0, 0, 20], [0, 100, 20], [0, 0, 1]])
    fragments = rasterise(verts, FACES, k, 40)
    image = pixel_normals(fragments, verts, FACES)[0]
    mask = fragments.mask[0]
    torch.testing.assert_close(image[mask].norm(dim=-1), torch.ones(int(mask.sum())))
    assert (image[~mask] == 0).all()
    row, column = mask.nonzero(as_tuple=True)
    rays = torch.stack([(column - 19.5) / 100, (row - 19.5) / 100, torch.ones(len(row))], 1)
    points = rays * fragments.depth_m[0][mask][:, None]
    torch.testing.assert_close(image[mask], (points - torch.tensor([0, 0, 0.5])) / 0.1, atol=0.03, rtol=0)

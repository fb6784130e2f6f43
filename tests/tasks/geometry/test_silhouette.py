"""The soft silhouette against a circle's closed form, finite differences, and by what it is for: fitting."""

import math

import numpy as np
import pytest
import torch
import trimesh

from tasks.errors import RequestError
from tasks.geometry.rasteriser import rasterise
from tasks.geometry.silhouette import soft_silhouette


def disc(radius_px, n=400):
    """A fan of triangles that projects to a circle about (0, 0) of the unit camera at depth 1."""
    angle = torch.arange(n, dtype=torch.float64) * (2 * math.pi / n)
    rim = torch.stack([radius_px * angle.cos(), radius_px * angle.sin(), torch.ones(n)], 1)
    faces = torch.tensor([[n, i, (i + 1) % n] for i in range(n)])
    return torch.cat([rim, torch.tensor([[0.0, 0, 1]])])[None], faces


def camera(x, y):
    return torch.tensor([[1.0, 0, x], [0, 1, y], [0, 0, 1]], dtype=torch.float64)


def distance_to(x, y, size):
    row, column = torch.meshgrid(torch.arange(size) + 0.5, torch.arange(size) + 0.5, indexing="ij")
    return torch.hypot(column - x, row - y)


def sphere(subdivisions=3):
    mesh = trimesh.creation.icosphere(subdivisions=subdivisions, radius=0.1)
    verts = torch.tensor(np.asarray(mesh.vertices), dtype=torch.float32) + torch.tensor([0.0, 0, 0.5])
    return verts[None], torch.tensor(np.asarray(mesh.faces))


def test_opacity_is_a_sigmoid_of_the_distance_to_the_circle():
    verts, faces = disc(10.0)
    alpha = soft_silhouette(verts, faces, camera(16.2, 15.7), 32, sigma_px=0.8, radius_px=3)[0]
    signed = 10.0 - distance_to(16.2, 15.7, 32)
    near = signed.abs() < 2.9
    torch.testing.assert_close(
        alpha[near], torch.sigmoid(signed[near] / 0.8), atol=2e-3, rtol=0, check_dtype=False
    )
    far = signed.abs() > 3.1
    assert torch.equal(alpha[far] > 0.5, signed[far] > 0)
    assert ((alpha[far] == 0) | (alpha[far] == 1)).all()


def test_a_sphere_has_the_outline_of_its_cone():
    verts, faces = sphere(subdivisions=5)
    focal, size = 100.0, 56
    k = torch.tensor([[focal, 0, 28.3], [0, focal, 27.9], [0, 0, 1]])
    alpha = soft_silhouette(verts, faces, k, size)[0]
    signed = focal * 0.1 / math.sqrt(0.5**2 - 0.1**2) - distance_to(28.3, 27.9, size)
    near = signed.abs() < 2.5
    torch.testing.assert_close(alpha[near], torch.sigmoid(signed[near] / 0.7), atol=0.03, rtol=0)


def test_thresholding_at_one_half_gives_the_hard_mask(bumpy, intrinsics_px):
    verts, faces = bumpy
    alpha = soft_silhouette(verts, faces, intrinsics_px, (40, 48))
    mask = rasterise(verts, faces, intrinsics_px, (40, 48)).mask
    assert ((alpha > 0.5) == mask).all()
    assert (alpha[mask] == 1).float().mean() > 0.5, "folds inside the mask stay opaque"


def test_the_gradient_by_shift_and_growth_equals_finite_differences():
    verts, faces = disc(9.0)
    weights = torch.rand(28, 28, dtype=torch.float64, generator=torch.Generator().manual_seed(1))

    def weighted(change):
        moved = verts * torch.stack([1 + change[2], 1 + change[2], torch.ones(())])
        moved = moved + torch.cat([change[:2], torch.zeros(1)])
        return (soft_silhouette(moved, faces, camera(13.31, 14.12), 28) * weights).sum()

    change = torch.zeros(3, dtype=torch.float64, requires_grad=True)
    weighted(change).backward()
    step = 1e-5
    for axis in range(3):
        delta = torch.zeros(3, dtype=torch.float64)
        delta[axis] = step
        slope = (weighted(delta) - weighted(-delta)) / (2 * step)
        assert change.grad[axis].item() == pytest.approx(slope.item(), rel=0.02, abs=0.02)


def test_the_image_border_is_no_outline():
    verts, faces = disc(30.0)
    alpha = soft_silhouette(verts, faces, camera(0.0, 8.0), 16)[0]
    assert (alpha == 1).all(), "the image lies inside the disc and touches its middle"
    inside = soft_silhouette(verts, faces, camera(-29.0, 8.0), 16)[0]
    signed = 30.0 - distance_to(-29.0, 8.0, 16)
    near = signed.abs() < 2.5
    torch.testing.assert_close(
        inside[near], torch.sigmoid(signed[near] / 0.7), atol=5e-3, rtol=0, check_dtype=False
    )


def test_an_outline_just_outside_the_image_softens_its_border():
    verts, faces = disc(30.0)
    alpha = soft_silhouette(verts, faces, camera(-13.0, 8.0), 16)[0]
    expected = torch.sigmoid((30.0 - distance_to(-13.0, 8.0, 16)) / 0.7)
    torch.testing.assert_close(alpha[:, 14:], expected[:, 14:], atol=5e-3, rtol=0, check_dtype=False)
    assert alpha[8, 15] < 0.95


def test_a_fold_just_inside_the_outline_does_not_count():
    far_verts, far_faces = disc(10.0)
    near_verts, near_faces = disc(9.4)
    verts = torch.cat([far_verts, near_verts * 0.9], 1)
    faces = torch.cat([far_faces, near_faces + far_verts.shape[1]])
    alpha = soft_silhouette(verts, faces, camera(16.2, 15.7), 32)[0]
    only_far = soft_silhouette(far_verts, far_faces, camera(16.2, 15.7), 32)[0]
    torch.testing.assert_close(alpha, only_far)


def test_faces_that_are_not_drawn_leave_an_outline():
    verts, faces = disc(10.0, n=12)
    verts = verts + torch.tensor([4.0, 3.0, 0.0])
    broken = verts.clone()
    broken[0, 4] = float("nan")
    whole = soft_silhouette(broken, faces, camera(12.2, 12.7), 32)
    rest = soft_silhouette(verts, faces[(faces != 4).all(1)], camera(12.2, 12.7), 32)
    torch.testing.assert_close(whole, rest)


def test_a_part_in_front_of_the_mesh_leaves_no_outline_inside():
    near_verts, near_faces = disc(4.0, n=40)
    far_verts, far_faces = disc(12.0, n=40)
    verts = torch.cat([near_verts, far_verts * 2], 1)
    faces = torch.cat([near_faces, far_faces + near_verts.shape[1]])
    alpha = soft_silhouette(verts, faces, camera(16.0, 16.0), 32)[0]
    assert (alpha[distance_to(16.0, 16.0, 32) < 8] == 1).all()


def fit_shift(render, shift_px, steps):
    """Adam from zero to the shift at which ``render`` gives the target; returns the remaining error in pixels."""
    target = render(torch.tensor(shift_px)).detach()
    guess = torch.zeros(2, requires_grad=True)
    optimiser = torch.optim.Adam([guess], lr=0.5)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    for _ in range(steps):
        optimiser.zero_grad()
        ((render(guess) - target) ** 2).sum().backward()
        optimiser.step()
        schedule.step()
    return (guess.detach() - torch.tensor(shift_px)).norm().item()


def test_fitting_a_shift_converges_to_a_fifth_of_a_pixel(bumpy, intrinsics_px):
    verts, faces = bumpy

    def render(shift_px):
        shift_m = torch.cat([shift_px * 0.6 / 68, torch.zeros(1)])
        return soft_silhouette(verts[:1] + shift_m, faces, intrinsics_px, (40, 48))

    assert fit_shift(render, (4.0, -3.0), steps=60) < 0.2


def test_nothing_in_view_is_transparent_and_differentiable():
    verts, faces = sphere(1)
    verts = (verts * torch.tensor([1, 1, -1.0])).requires_grad_()
    alpha = soft_silhouette(verts, faces, torch.eye(3), 8)
    assert (alpha == 0).all()
    alpha.sum().backward()
    assert (verts.grad == 0).all()


def test_vertices_that_are_not_finite_do_no_harm():
    verts, faces = sphere(1)
    verts[0, 3] = float("nan")
    verts.requires_grad_()
    k = torch.tensor([[80.0, 0, 16], [0, 80, 16], [0, 0, 1]])
    alpha = soft_silhouette(verts, faces, k, 32)
    assert alpha.isfinite().all()
    assert alpha.max() == 1
    alpha.sum().backward()
    assert verts.grad.isfinite().all()


def test_a_batch_equals_its_singles(bumpy, intrinsics_px):
    verts, faces = bumpy
    batch = soft_silhouette(verts, faces, intrinsics_px, (40, 48))
    for i in range(3):
        single = soft_silhouette(verts[i : i + 1], faces, intrinsics_px, (40, 48))
        torch.testing.assert_close(single[0], batch[i], atol=1e-6, rtol=0)


def test_memory_is_bounded_for_hopeless_input(monkeypatch, bumpy, intrinsics_px):
    verts, faces = bumpy
    whole = soft_silhouette(verts, faces, intrinsics_px, (40, 48))
    monkeypatch.setattr("tasks.geometry.silhouette.FRAGMENTS_AT_ONCE", 500)
    torch.testing.assert_close(
        soft_silhouette(verts, faces, intrinsics_px, (40, 48)), whole, atol=1e-6, rtol=0
    )


def test_a_mesh_whose_edges_have_three_faces_is_refused():
    with pytest.raises(RequestError, match="3 faces"):
        soft_silhouette(torch.rand(1, 5, 3), torch.tensor([[0, 1, 2], [0, 1, 3], [1, 0, 4]]), torch.eye(3), 8)

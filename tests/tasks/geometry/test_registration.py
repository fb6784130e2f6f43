import numpy as np
import pytest
import torch
import trimesh
from scipy.spatial.distance import pdist
from scipy.spatial.transform import Rotation

from tasks.geometry.registration import Settings, chamfer, register, rotation_of

QUICK = Settings(starts=4, points=250, outer_steps=4, inner_steps=40)


def wedge():
    """A shape of 10 to 20 cm without symmetry."""
    shape = trimesh.creation.box((0.06, 0.1, 0.17)).subdivide().subdivide()
    verts = np.array(shape.vertices)
    verts[:, 0] += 0.3 * verts[:, 2]
    verts[verts[:, 2] > 0.05] *= [0.5, 0.8, 1.0]
    return verts, np.array(shape.faces)


def moved(verts, scale=1.0):
    turn = Rotation.from_rotvec([0.4, -0.7, 0.3]).as_matrix()
    return scale * verts @ turn.T + [0.1, -0.2, 0.5]


@pytest.mark.parametrize(("with_scale", "scale"), [(False, 1.0), (True, 0.8)])
def test_a_moved_object_is_brought_back(with_scale, scale):
    verts, faces = wedge()
    found = register((moved(verts, scale), faces), (verts, faces), with_scale, QUICK)
    # 250 points of each surface leave a few millimetres; a wrong turn would cost some 50.
    assert np.linalg.norm(found(moved(verts, scale)) - verts, axis=1).mean() < 0.006
    assert found.scale == pytest.approx(1 / scale, rel=0.02)
    np.testing.assert_allclose(found.rotation @ found.rotation.T, np.eye(3), atol=1e-9)
    assert np.linalg.det(found.rotation) == pytest.approx(1)


def test_a_rigid_registration_does_not_scale():
    verts, faces = wedge()
    hurried = Settings(starts=2, points=100, outer_steps=1, inner_steps=15)
    found = register((moved(verts, 0.7), faces), (verts, faces), False, hurried)
    assert found.scale == 1
    before, after = (pdist(points) for points in (moved(verts, 0.7), found(moved(verts, 0.7))))
    np.testing.assert_allclose(after, before, rtol=1e-9)


def test_equal_seeds_give_equal_results():
    verts, faces = wedge()
    few = Settings(starts=2, points=100, outer_steps=1, inner_steps=10)
    first, again = (register((moved(verts), faces), (verts, faces), False, few) for _ in range(2))
    np.testing.assert_array_equal(first.translation, again.translation)
    np.testing.assert_array_equal(first.rotation, again.rotation)


@pytest.mark.parametrize("empty_is", ["source", "target"])
def test_an_empty_mesh_has_no_registration(empty_is):
    empty = (np.zeros((0, 3)), np.zeros((0, 3), int))
    pair = (empty, wedge()) if empty_is == "source" else (wedge(), empty)
    found = register(*pair, False, QUICK)
    assert np.isnan(found.rotation).all()
    assert np.isnan([found.scale, found.chamfer, *found.translation]).all()


def test_chamfer_is_the_sum_of_mean_squares_with_its_gradient():
    rng = np.random.default_rng(0)
    first, second = rng.normal(size=(2, 12, 3)), rng.normal(size=(2, 9, 3))
    expected = []
    for p, q in zip(first, second, strict=True):
        squared = ((p[:, None] - q[None]) ** 2).sum(-1)
        expected.append(squared.min(1).mean() + squared.min(0).mean())
    leaf = torch.from_numpy(first).requires_grad_()
    np.testing.assert_allclose(chamfer(leaf, torch.from_numpy(second)).detach().numpy(), expected, rtol=1e-12)
    assert torch.autograd.gradcheck(lambda x: chamfer(x, torch.from_numpy(second)), leaf)


def test_six_numbers_give_the_rotation_whose_rows_they_are():
    turns = Rotation.random(5, random_state=0).as_matrix()
    six = torch.from_numpy(turns[:, :2].reshape(5, 6) * 3.0)
    np.testing.assert_allclose(rotation_of(six).numpy(), turns, atol=1e-12)

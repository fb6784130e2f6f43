import numpy as np
import pytest
import torch
import trimesh

from tasks.geometry import tree
from tasks.geometry.inside import contains
from tasks.geometry.queries import labelled_points, mixed_points, near_points, uniform_points
from tasks.geometry.surface import seal
from tasks.hands.hand import load_hand

HALF_SIDE, SIGMA = 0.55, 0.01


@pytest.fixture(scope="module")
def hands():
    """Three posed hands, sealed, in units of 0.4 m: vertices (3, 779, 3) float32 and the faces."""
    hand = load_hand()
    pose = 0.15 * torch.randn(3, 48, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        verts, _ = hand(pose, torch.zeros(3, 10))
    closed, faces = seal(
        ((verts - verts.mean(1, keepdim=True)) / 0.4).numpy(), hand.data.faces, hand.data.wrist_loop
    )
    return torch.from_numpy(closed), torch.from_numpy(faces)


def rng(seed=0):
    return np.random.default_rng(seed)


def test_points_are_seeded_and_lie_where_they_should():
    box = uniform_points(100_000, 0.55, [3, 1])
    assert torch.equal(box, uniform_points(100_000, 0.55, [3, 1]))
    assert not torch.equal(box, uniform_points(100_000, 0.55, [3, 2]))
    np.testing.assert_allclose(box.mean(0).numpy(), 0, atol=0.005)
    assert 0.5499 < box.abs().max() <= 0.55
    noise = near_points(np.ones((100_000, 3)), 0.01, 0) - 1
    np.testing.assert_allclose(noise.std(0).numpy(), 0.01, rtol=0.02)


def test_the_first_share_is_uniform_and_the_rest_lies_near_the_surface(hands):
    verts, faces = hands
    points = mixed_points(verts, faces, 4001, HALF_SIDE, SIGMA, 0.25, rng())
    assert points.shape == (3, 4001, 3)
    assert points.dtype == verts.dtype
    uniform, near = points[:, :1000], points[:, 1000:]
    np.testing.assert_allclose(uniform.std((0, 1)).numpy(), 1.1 / np.sqrt(12), rtol=0.05)
    assert 0.5 < uniform.abs().max() <= HALF_SIDE
    for own, mesh in zip(near, verts, strict=True):
        gap, _ = tree.nearest(tree.build(own.numpy()), tree.build(mesh.numpy()[faces]))
        assert 0.6 * SIGMA < gap.mean() < SIGMA, "the mean of one normal coordinate is 0.8 sigma"
        assert gap.max() < 6 * SIGMA


def test_hands_of_a_batch_get_points_of_their_own_and_equal_generators_equal_ones(hands):
    verts, faces = hands
    same = verts[:1].expand(2, -1, -1)
    first, again = (mixed_points(same, faces, 100, HALF_SIDE, SIGMA, 0.5, rng(3)) for _ in range(2))
    assert torch.equal(first, again)
    assert not torch.isclose(first[0], first[1]).any()
    assert torch.equal(first[0], mixed_points(verts[0], faces, 100, HALF_SIDE, SIGMA, 0.5, rng(3)))


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_a_mixture_of_one_kind_is_that_kind(hands, share):
    verts, faces = hands
    points = mixed_points(verts[0], faces, 500, HALF_SIDE, SIGMA, share, rng())
    low, high = verts[0].amin(0) - 6 * SIGMA, verts[0].amax(0) + 6 * SIGMA
    assert ((points > low) & (points < high)).all() == (share == 0)


def test_labels_are_those_of_the_points_as_they_are_returned(hands):
    verts, faces = hands
    found = labelled_points(verts, faces, 3000, HALF_SIDE, SIGMA, 0.5, rng(1))
    assert torch.equal(found.points, mixed_points(verts, faces, 3000, HALF_SIDE, SIGMA, 0.5, rng(1)))
    for points, inside, mesh in zip(*found, verts, strict=True):
        closed = trimesh.Trimesh(mesh.numpy(), faces.numpy(), process=False)
        assert inside.double().mean().item() == pytest.approx(0.25, abs=0.05)
        assert inside[:1500].double().mean() * 1.1**3 == pytest.approx(closed.volume, abs=0.01)
        assert (inside == contains(points, mesh, faces)).double().mean() > 0.995, "they differ at folds alone"


def test_folds_of_a_mesh_over_itself_are_inside():
    two = trimesh.util.concatenate(
        [trimesh.creation.box((0.4, 0.2, 0.2)).apply_translation([x, 0, 0]) for x in (0, 0.2)]
    )
    verts, faces = torch.from_numpy(np.array(two.vertices)), torch.from_numpy(np.array(two.faces))
    points, inside = labelled_points(verts, faces, 2000, 0.3, SIGMA, 1.0, rng())
    x, y, z = points.T
    assert torch.equal(inside, (x > -0.2) & (x < 0.4) & (y.abs() < 0.1) & (z.abs() < 0.1))


def test_a_mesh_without_area_has_no_points_near_it():
    verts, faces = torch.zeros(2, 3, 3), torch.tensor([[0, 1, 2]])
    points, inside = labelled_points(verts, faces, 10, HALF_SIDE, SIGMA, 0.5, rng())
    assert points[:, :5].isfinite().all()
    assert points[:, 5:].isnan().all()
    assert not inside.any()


def test_no_meshes_give_no_points(hands):
    points, inside = labelled_points(torch.zeros(0, 4, 3), hands[1], 10, HALF_SIDE, SIGMA, 0.5, rng())
    assert points.shape == (0, 10, 3)
    assert inside.shape == (0, 10)

import numpy as np
import pytest
import torch
import trimesh
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.geometry.surface import nearest, nearest_both_ways, sample_surface, seal
from tasks.hands.hand import load_hand

BOX = trimesh.creation.box((0.1, 0.2, 0.3))


def test_equal_seeds_give_equal_points_and_others_do_not():
    first, again, other = (
        sample_surface(BOX.vertices, BOX.faces, 500, seed) for seed in ([1, 2], [1, 2], [1, 3])
    )
    np.testing.assert_array_equal(first.points, again.points)
    assert not np.array_equal(first.points, other.points)


@pytest.mark.parametrize("shape", [BOX, trimesh.creation.icosphere(3, 0.1)], ids=["box", "sphere"])
def test_points_are_those_that_trimesh_draws(shape):
    points, face = trimesh.sample.sample_surface(shape, 3000, seed=[4, 5])
    cloud = sample_surface(shape.vertices, shape.faces, 3000, [4, 5])
    np.testing.assert_allclose(cloud.points, points, atol=1e-15)
    np.testing.assert_allclose(cloud.normals, shape.face_normals[face], atol=1e-12)


def test_a_generator_goes_on_where_it_stands():
    rng = np.random.default_rng([1, 2])
    first, second = (sample_surface(BOX.vertices, BOX.faces, 50, rng).points for _ in range(2))
    np.testing.assert_array_equal(first, sample_surface(BOX.vertices, BOX.faces, 50, [1, 2]).points)
    assert not np.array_equal(first, second)


def test_points_lie_on_the_surface_and_normals_look_out_of_it():
    cloud = sample_surface(BOX.vertices, BOX.faces, 2000, 0)
    relative = cloud.points / [0.05, 0.1, 0.15]
    np.testing.assert_allclose(np.abs(relative).max(axis=1), 1)
    side = np.abs(relative).argmax(axis=1)
    expected = np.zeros((2000, 3))
    expected[np.arange(2000), side] = np.sign(relative[np.arange(2000), side])
    np.testing.assert_allclose(cloud.normals, expected, atol=1e-12)


def test_sampling_is_uniform_by_area_not_by_face():
    fine = BOX.subdivide(face_index=np.flatnonzero(BOX.face_normals[:, 0] > 0.5))
    sides = np.array([0.06, 0.03, 0.02])  # areas of the three pairs of sides: 0.2 x 0.3, 0.1 x 0.3, 0.1 x 0.2
    cloud = sample_surface(fine.vertices, fine.faces, 60_000, 0)
    shares = np.abs(cloud.normals).mean(axis=0)
    np.testing.assert_allclose(shares, sides / sides.sum(), atol=0.01)


def test_faces_without_area_are_never_hit():
    faces = np.vstack([BOX.faces, [[0, 0, 1], [2, 2, 2]]])
    assert np.isfinite(sample_surface(BOX.vertices, faces, 1000, 0).normals).all()


@pytest.mark.parametrize(
    ("verts", "faces"),
    [
        (np.zeros((0, 3)), np.zeros((0, 3), int)),
        (np.zeros((3, 3)), np.array([[0, 1, 2]])),
        (np.where(np.arange(24).reshape(8, 3) == 5, np.nan, BOX.vertices), BOX.faces),
    ],
    ids=["empty", "without area", "not finite"],
)
def test_a_mesh_without_a_surface_gives_nan(verts, faces):
    cloud = sample_surface(verts, faces, 7, 0)
    assert cloud.points.shape == cloud.normals.shape == (7, 3)
    assert np.isnan(cloud.points).all()
    assert np.isnan(cloud.normals).all()


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 10_000), st.integers(1, 30), st.integers(1, 30))
def test_nearest_is_the_least_distance_in_double_precision(seed, n, m):
    rng = np.random.default_rng(seed)
    source, target = rng.normal(0.6, 0.03, (n, 3)), rng.normal(0.6, 0.03, (m, 3))
    apart = np.sqrt(((source[:, None] - target[None]) ** 2).sum(-1))
    found = nearest(source, target)
    np.testing.assert_allclose(found.distance, apart.min(axis=1), rtol=1e-12)
    np.testing.assert_array_equal(found.place, apart.argmin(axis=1))


def test_both_ways_are_each_way_alone():
    rng = np.random.default_rng(6)
    first, second = rng.normal(size=(700, 3)), rng.normal(size=(900, 3))
    for found, alone in zip(
        nearest_both_ways(first, second), (nearest(first, second), nearest(second, first)), strict=True
    ):
        np.testing.assert_array_equal(found.distance, alone.distance)
        np.testing.assert_array_equal(found.place, alone.place)


@pytest.mark.parametrize("target", [np.zeros((0, 3)), np.full((2, 3), np.nan), np.full((2, 3), 1e200)])
def test_nothing_is_near_an_empty_or_broken_cloud(target):
    found = nearest(np.zeros((4, 3)), target)
    assert np.isnan(found.distance).all()
    assert (found.place == -1).all()
    assert np.isnan(nearest(np.full((4, 3), np.inf), np.zeros((2, 3))).distance).all()


@pytest.mark.parametrize("side", ["right", "left"])
def test_a_sealed_hand_is_watertight_and_winds_outwards(side):
    hand = load_hand(side)
    with torch.no_grad():
        verts, _ = hand(0.2 * torch.ones(1, 48), torch.zeros(1, 10))
    closed, faces = seal(verts.numpy(), hand.data.faces, hand.data.wrist_loop)
    mesh = trimesh.Trimesh(closed[0], faces, process=False)
    assert closed.shape == (1, hand.n_verts + 1, 3)
    assert mesh.is_watertight
    assert mesh.is_winding_consistent
    assert 250e-6 < mesh.volume < 500e-6

"""Distances that are known by construction, and the least of many one by one."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.geometry import tree


def distance(points, things):
    return tree.nearest(tree.build(points), tree.build(things))


def unit(vector):
    return vector / np.linalg.norm(vector, axis=-1, keepdims=True)


@pytest.fixture(params=[1e-6, 1e-3, 1.0, 1e4], ids=lambda size: f"size {size:g}")
def triangles(request):
    return request.param * np.random.default_rng(0).normal(size=(300, 3, 3))


def each_to_its_own(points, triangles):
    return np.array([distance(p[None], t[None])[0][0] for p, t in zip(points, triangles, strict=True)])


def test_above_a_triangle_it_is_the_height(triangles):
    rng = np.random.default_rng(1)
    foot = np.einsum("nk,nkd->nd", rng.dirichlet(np.ones(3), len(triangles)), triangles)
    normal = unit(np.cross(triangles[:, 1] - triangles[:, 0], triangles[:, 2] - triangles[:, 0]))
    height = np.abs(triangles).max() * rng.uniform(-2, 2, len(triangles))
    np.testing.assert_allclose(
        each_to_its_own(foot + height[:, None] * normal, triangles), np.abs(height), rtol=1e-6
    )


def test_beside_a_side_it_is_the_distance_to_the_side(triangles):
    rng = np.random.default_rng(2)
    a, b, c = triangles.transpose(1, 0, 2)
    normal = unit(np.cross(b - a, c - a))
    away = unit(np.cross(b - a, normal))
    share, out, up = rng.random(len(a)), *np.abs(triangles).max() * rng.uniform(0, 2, (2, len(a)))
    points = a + share[:, None] * (b - a) + out[:, None] * away + up[:, None] * normal
    np.testing.assert_allclose(each_to_its_own(points, triangles), np.hypot(out, up), rtol=1e-9)


def test_behind_a_corner_it_is_the_distance_to_the_corner(triangles):
    rng = np.random.default_rng(3)
    a, b, c = triangles.transpose(1, 0, 2)
    step = np.abs(triangles).max() * rng.normal(size=(200, len(a), 3))
    behind = ((step * (b - a)).sum(-1) < 0) & ((step * (c - a)).sum(-1) < 0)
    step = np.array([step[np.argmax(behind[:, i]), i] for i in range(len(a))])[behind.any(axis=0)]
    points, kept = a[behind.any(axis=0)] + step, triangles[behind.any(axis=0)]
    assert len(kept) > 250
    np.testing.assert_allclose(each_to_its_own(points, kept), np.linalg.norm(step, axis=1), rtol=1e-9)


@pytest.mark.parametrize("size", [1e-6, 1.0])
def test_a_triangle_without_area_is_its_longest_side_and_one_without_size_a_point(size):
    line = size * np.array([[[0.0, 0, 0], [1, 0, 0], [0.25, 0, 0]], [[2, 0, 0], [2, 0, 0], [2, 0, 0]]])
    points = size * np.array([[0.5, 3, 4], [2, 0, 7], [-3, 4, 0]])
    found, place = distance(points, line)
    np.testing.assert_allclose(found, size * np.array([5, 7, 5]), rtol=1e-12)
    assert place.tolist() == [0, 1, 0]


@settings(max_examples=40)
@given(st.integers(0, 10_000), st.integers(1, 200), st.integers(1, 200), st.sampled_from([0.0, 0.1, 30.0]))
def test_the_nearest_of_many_is_the_least_one_by_one(seed, n_points, n_things, apart):
    rng = np.random.default_rng(seed)
    points = rng.normal(size=(n_points, 3)) + np.array([apart, 0, 0])
    for things in (
        rng.normal(size=(n_things, 3)),
        rng.normal(size=(n_things, 1, 3)) + 0.2 * rng.normal(size=(n_things, 3, 3)),
    ):
        one_by_one = np.array([distance(points, thing[None])[0] for thing in things])
        found, place = distance(points, things)
        np.testing.assert_array_equal(found, one_by_one.min(axis=0))
        np.testing.assert_array_equal(place, one_by_one.argmin(axis=0))


@settings(max_examples=20)
@given(st.integers(0, 10_000), st.integers(1, 500), st.integers(1, 3))
def test_things_that_coincide_are_no_trouble(seed, count, spread):
    """Lattice points, most of them several times, as the halves of a median meet them at worst."""
    rng = np.random.default_rng(seed)
    things = rng.integers(0, spread + 1, (count, 3)).astype(float)
    points = rng.integers(-1, spread + 2, (100, 3)).astype(float)
    found, place = distance(points, things)
    apart = np.linalg.norm(points[:, None] - things, axis=2)
    np.testing.assert_allclose(found, apart.min(axis=1), rtol=1e-12)
    np.testing.assert_allclose(apart[np.arange(100), place], found, rtol=1e-12)


def test_points_in_a_row_and_one_far_away_do_not_unbalance_it():
    things = np.zeros((5000, 3))
    things[:, 0] = np.sort(np.random.default_rng(4).lognormal(0, 8, 5000))
    found, place = distance(things[::7] + np.array([0, 1e-9, 0]), things)
    np.testing.assert_allclose(found, 1e-9, rtol=1e-6)
    np.testing.assert_array_equal(place, np.arange(0, 5000, 7))

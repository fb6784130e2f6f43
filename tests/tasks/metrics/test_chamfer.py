import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from tasks.geometry.surface import Cloud
from tasks.metrics import chamfer


def loops(first, second):
    """Distance of each point of the first cloud to the nearest of the second, and which that is."""
    rows = []
    for p in first:
        squared = [float(((p - q) ** 2).sum()) for q in second]
        rows.append((np.sqrt(min(squared)), int(np.argmin(squared))))
    return rows


def unit_normals(rng, n):
    normals = rng.normal(size=(n, 3))
    return normals / np.linalg.norm(normals, axis=1, keepdims=True)


def random_surfaces(seed=0, n=40, m=55):
    rng = np.random.default_rng(seed)
    return tuple(Cloud(rng.normal(0, 0.05, (size, 3)), unit_normals(rng, size)) for size in (n, m))


def test_every_form_is_its_formula_point_by_point():
    predicted, true = random_surfaces()
    accuracy, completeness = loops(predicted.points, true.points), loops(true.points, predicted.points)
    acc, compl = (np.array([d for d, _ in way]) for way in (accuracy, completeness))
    values = chamfer.distances(predicted, true)
    assert values["l1"] == pytest.approx((np.mean(acc) + np.mean(compl)) / 2, rel=1e-12)
    assert values["l2"] == pytest.approx((np.mean(acc**2) + np.mean(compl**2)) / 2, rel=1e-12)
    assert values["sum"] == pytest.approx(np.mean(acc**2) + np.mean(compl**2), rel=1e-12)


def test_normal_consistency_is_the_mean_absolute_cosine_both_ways():
    predicted, true = random_surfaces(1)
    forth = [
        abs(predicted.normals[i] @ true.normals[j])
        for i, (_, j) in enumerate(loops(predicted.points, true.points))
    ]
    back = [
        abs(true.normals[i] @ predicted.normals[j])
        for i, (_, j) in enumerate(loops(true.points, predicted.points))
    ]
    expected = (np.mean(forth) + np.mean(back)) / 2
    assert chamfer.distances(predicted, true)["normals"] == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("shift", [0.001, 0.03, 0.049])
def test_a_grid_against_itself_shifted_has_the_closed_forms(shift):
    axis = np.arange(6) * 0.1
    grid = np.stack(np.meshgrid(axis, axis, axis), -1).reshape(-1, 3)
    found = chamfer.gaps(grid + np.array([shift, 0, 0]), grid)
    assert chamfer.cd_l1(found) == pytest.approx(shift)
    assert chamfer.cd_l2(found) == pytest.approx(shift**2)
    assert chamfer.cd_sum(found) == pytest.approx(2 * shift**2)


def test_ihois_sentinel_for_an_empty_mesh_has_its_published_value():
    """The official script puts the empty mesh at (10000, 10000, 10000); ours says NaN instead."""
    object_m = np.random.default_rng(2).uniform(-0.1, 0.1, (100, 3))
    far = np.full((100, 3), 10_000.0)
    assert chamfer.cd_sum(chamfer.gaps(far, object_m)) == pytest.approx(6e8, rel=1e-4)
    assert np.isnan(chamfer.cd_sum(chamfer.gaps(np.full((100, 3), np.nan), object_m)))


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 10_000), st.floats(0.2, 5))
def test_distances_are_symmetric_follow_the_scale_and_ignore_where_both_clouds_are(seed, scale):
    predicted, true = random_surfaces(seed, 20, 30)
    values = chamfer.distances(predicted, true)
    turn = Rotation.random(random_state=seed).as_matrix()
    moved = [
        Cloud(scale * c.points @ turn.T + [0.3, -0.2, 0.7], c.normals @ turn.T) for c in (predicted, true)
    ]
    after = chamfer.distances(*moved)
    for name, power in (("l1", 1), ("l2", 2), ("sum", 2), ("normals", 0)):
        assert chamfer.distances(true, predicted)[name] == pytest.approx(values[name], rel=1e-12)
        assert after[name] == pytest.approx(scale**power * values[name], rel=1e-9)


def test_a_far_outlier_moves_the_squared_forms_more():
    cloud = np.random.default_rng(3).normal(0, 0.01, (50, 3))
    outlier = np.vstack([cloud, [[1.0, 0, 0]]])
    found = chamfer.gaps(outlier, cloud)
    assert 0 < chamfer.cd_l1(found) < 0.02
    assert chamfer.cd_l2(found) > chamfer.cd_l1(found) ** 2 * 10


def test_normals_matter_and_their_sign_does_not():
    predicted, _ = random_surfaces(4)
    flipped = Cloud(predicted.points, -predicted.normals)
    turned = Cloud(predicted.points, np.roll(predicted.normals, 1, axis=1))
    assert chamfer.distances(flipped, predicted)["normals"] == pytest.approx(1)
    assert chamfer.distances(turned, predicted)["normals"] < 0.9


@pytest.mark.parametrize("points", [np.zeros((0, 3)), np.full((4, 3), np.nan)])
def test_an_empty_surface_is_undefined_in_every_form(points):
    empty, (some, _) = Cloud(points, points), random_surfaces(5)
    for pair in ((empty, some), (some, empty)):
        assert np.isnan(list(chamfer.distances(*pair).values())).all()

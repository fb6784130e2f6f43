import numpy as np
import pytest
import torch
import trimesh
from scipy.spatial.transform import Rotation

from tasks.metrics.penetration import distance_to_surface, penetration, shared_volume


def mesh(shape):
    return torch.from_numpy(np.array(shape.vertices)), torch.from_numpy(np.array(shape.faces))


def box(size, at=(0, 0, 0)):
    shape = trimesh.creation.box(size)
    shape.apply_translation(at)
    return mesh(shape)


def sphere(radius, x=0.0):
    shape = trimesh.creation.icosphere(4, radius)
    shape.apply_translation([x, 0, 0])
    return mesh(shape)


def test_two_boxes_share_the_box_between_them():
    # 20 x 30 x 40 mm, whose faces lie between the lines of 1 mm
    first, second = box((0.05, 0.05, 0.05)), box((0.05, 0.05, 0.05), (0.03, 0.02, 0.01))
    assert penetration(first, second).volume_cm3 == pytest.approx(2 * 3 * 4, rel=1e-6)


def test_two_spheres_share_a_lens():
    r, big, d = 0.03, 0.04, 0.05
    lens = np.pi * (big + r - d) ** 2 * (d * d + 2 * d * (r + big) - 3 * (r - big) ** 2) / (12 * d)
    found = penetration(sphere(r), sphere(big, d))
    assert found.volume_cm3 == pytest.approx(1e6 * lens, rel=0.01)
    assert found.depth_mm == pytest.approx(1000 * (r + big - d), rel=0.01)


def test_a_mesh_inside_another_is_shared_whole():
    found = penetration(sphere(0.02, 0.01), sphere(0.05))
    assert found.volume_cm3 == pytest.approx(trimesh.creation.icosphere(4, 0.02).volume * 1e6, rel=0.01)
    assert found.depth_mm == pytest.approx(40, abs=5)


def test_volume_is_symmetric_and_does_not_depend_on_the_axes():
    first, second = box((0.05, 0.03, 0.02)), sphere(0.02, 0.02)
    volume = penetration(first, second).volume_cm3
    assert penetration(second, first).volume_cm3 == pytest.approx(volume, rel=1e-9)
    for seed in range(3):
        turn = torch.from_numpy(Rotation.random(random_state=seed).as_matrix())
        turned = [(verts @ turn.T + 0.4, faces) for verts, faces in (first, second)]
        assert penetration(*turned).volume_cm3 == pytest.approx(volume, rel=0.01)


def test_a_fold_of_a_mesh_over_itself_counts_once():
    two = trimesh.util.concatenate(
        [trimesh.creation.box((0.04, 0.02, 0.02)).apply_translation([x, 0, 0]) for x in (0, 0.02)]
    )
    around = box((0.2, 0.2, 0.2))
    assert 1e6 * shared_volume(mesh(two), around, 0.001) == pytest.approx(6 * 2 * 2, rel=1e-6)


def test_meshes_that_do_not_touch_share_nothing():
    assert penetration(sphere(0.02), sphere(0.02, 0.3)) == (0, 0)
    # their boxes overlap, they do not
    assert penetration(
        sphere(0.02), mesh(trimesh.creation.icosphere(4, 0.02).apply_translation([0.03] * 3))
    ) == (0, 0)


def test_meshes_of_any_size_are_measured_with_few_lines():
    first, second = box((300, 300, 300)), box((300, 300, 300), (100, 100, 100))
    assert 1e-6 * penetration(first, second).volume_cm3 == pytest.approx(200**3, rel=0.02)
    thin = box((1e4, 1e-3, 1e-3)), box((1e4, 1e-3, 1e-3))
    assert shared_volume(*thin, 1e-4) == pytest.approx(1e4 * 1e-6, rel=0.02)


def test_a_missing_mesh_is_undefined():
    lost = (torch.full((8, 3), torch.nan), box((1, 1, 1))[1])
    empty = (torch.zeros(0, 3), torch.zeros(0, 3, dtype=torch.int64))
    for bad in (lost, empty):
        assert np.isnan(penetration(bad, sphere(0.02))).all()
        assert np.isnan(penetration(sphere(0.02), bad)).all()


def test_distances_to_a_surface_are_the_least_over_all_triangles():
    shape = trimesh.creation.icosphere(2, 0.05)
    points = np.random.default_rng(0).uniform(-0.08, 0.08, (40, 3))
    expected = [
        min(np.linalg.norm(trimesh.triangles.closest_point(t[None], p[None])[0] - p) for t in shape.triangles)
        for p in points
    ]
    np.testing.assert_allclose(distance_to_surface(points, shape.vertices, shape.faces), expected, rtol=1e-9)

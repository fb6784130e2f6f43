import numpy as np
import pytest
import torch
import trimesh
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.geometry.queries import near_points, uniform_points
from tasks.geometry.surface import sample_surface
from tasks.metrics import occupancy


def mesh(shape):
    return torch.from_numpy(np.array(shape.vertices)), torch.from_numpy(np.array(shape.faces))


def sphere(radius, x=0.0, subdivisions=4):
    shape = trimesh.creation.icosphere(subdivisions, radius)
    shape.apply_translation([x, 0, 0])
    return mesh(shape)


def test_concentric_spheres_have_the_ratio_of_their_volumes():
    points = uniform_points(200_000, 0.55, 0)
    assert occupancy.mesh_iou(sphere(0.2), sphere(0.25), points) == pytest.approx(0.512, abs=0.015)


def test_iou_near_the_surface_is_another_number():
    true = sphere(0.25)
    surface = sample_surface(true[0].numpy(), true[1].numpy(), 20_000, 0).points
    near = occupancy.mesh_iou(sphere(0.24), true, near_points(surface, 0.01, 1))
    uniform = occupancy.mesh_iou(sphere(0.24), true, uniform_points(100_000, 0.55, 1))
    assert near < 0.5 < 0.8 < uniform


@settings(deadline=None, max_examples=50)
@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=1, max_size=30))
def test_iou_counts_points_from_a_half_on(pairs):
    shared = sum(p >= 0.5 and t >= 0.5 for p, t in pairs)
    joint = sum(p >= 0.5 or t >= 0.5 for p, t in pairs)
    predicted, true = torch.tensor(pairs, dtype=torch.float64).T[:, None]
    value, reverse = occupancy.iou(predicted, true).item(), occupancy.iou(true, predicted).item()
    assert (value == shared / joint and reverse == value) if joint else np.isnan(value)


def test_each_sample_has_its_own_iou_and_empty_ones_none():
    predicted = torch.tensor([[0.5, 0.9, 0.1], [0.0, 0.0, 0.0], [0.0, 0.0, 0.0], [0.9, torch.nan, 0.9]])
    true = torch.tensor([[1.0, 0.0, 0.0], [0.0, 0.0, 0.0], [1.0, 0.0, 0.0], [1.0, 1.0, 1.0]])
    values = occupancy.iou(predicted, true).tolist()
    assert values[0] == 0.5
    assert values[2] == 0.0
    assert np.isnan([values[1], values[3]]).all()


def test_a_mesh_without_faces_or_with_holes_in_its_numbers_is_undefined():
    points, whole = uniform_points(100, 0.5, 0), sphere(0.25, subdivisions=1)
    empty = (torch.zeros(0, 3), torch.zeros(0, 3, dtype=torch.int64))
    broken = (whole[0].clone(), whole[1])
    broken[0][3, 1] = torch.nan
    for bad in (empty, broken):
        assert np.isnan(occupancy.mesh_iou(bad, whole, points))
        assert np.isnan(occupancy.mesh_iou(whole, bad, points))


def test_a_shifted_mesh_loses_overlap_and_a_far_one_all():
    points, whole = uniform_points(50_000, 0.55, 2), sphere(0.25)
    values = [occupancy.mesh_iou(sphere(0.25, x), whole, points) for x in (0.0, 0.05, 0.2, 0.52)]
    assert values[0] == 1
    assert values[-1] == 0
    assert values == sorted(values, reverse=True)

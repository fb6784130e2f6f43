import numpy as np
import pytest
import torch
import trimesh
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.geometry.inside import contains, crossings, winding_number


def mesh(shape):
    return torch.from_numpy(np.array(shape.vertices)), torch.from_numpy(np.array(shape.faces))


def solid_angles(points, verts, faces):
    """Winding number by van Oosterom and Strackee's solid angle of every triangle (1983)."""
    total = np.zeros(len(points))
    for face in faces:
        a, b, c = (verts[i] - points for i in face)
        la, lb, lc = (np.linalg.norm(x, axis=1) for x in (a, b, c))
        volume = np.einsum("ni,ni->n", a, np.cross(b, c))
        dots = (np.einsum("ni,ni->n", x, y) * length for x, y, length in ((a, b, lc), (b, c, la), (c, a, lb)))
        total += 2 * np.arctan2(volume, la * lb * lc + sum(dots))
    return total / (4 * np.pi)


SHAPES = {
    "sphere": trimesh.creation.icosphere(2, 0.1),
    "ring": trimesh.creation.torus(0.1, 0.04, 16, 12),
    "two overlapping boxes": trimesh.util.concatenate(
        [trimesh.creation.box((0.2, 0.1, 0.1)).apply_translation([x, 0.003, 0]) for x in (0, 0.07)]
    ),
    "inside out": trimesh.Trimesh(
        *(lambda s: (s.vertices, s.faces[:, ::-1]))(trimesh.creation.icosphere(1, 0.1))
    ),
}


@pytest.mark.parametrize("name", SHAPES)
def test_winding_numbers_are_those_of_solid_angles(name):
    verts, faces = mesh(SHAPES[name])
    points = np.random.default_rng(0).uniform(-0.2, 0.2, (3000, 3))
    expected = np.rint(solid_angles(points, verts.numpy(), faces.numpy()))
    np.testing.assert_array_equal(winding_number(torch.from_numpy(points), verts, faces).numpy(), expected)


@pytest.mark.parametrize("name", SHAPES)
def test_parity_is_that_of_the_winding_number(name):
    """So the overlap of two boxes is outside, as the official test has it."""
    verts, faces = mesh(SHAPES[name])
    points = np.random.default_rng(1).uniform(-0.2, 0.2, (3000, 3))
    expected = np.rint(solid_angles(points, verts.numpy(), faces.numpy())) % 2 == 1
    np.testing.assert_array_equal(contains(torch.from_numpy(points), verts, faces).numpy(), expected)


def test_the_share_of_a_boxs_points_inside_is_the_share_of_volume():
    shape = trimesh.creation.icosphere(4, 0.2)
    points = np.random.default_rng(2).uniform(-0.25, 0.25, (100_000, 3))
    share = contains(torch.from_numpy(points), *mesh(shape)).double().mean().item()
    assert share == pytest.approx(shape.volume / 0.5**3, abs=0.005)


def test_lines_through_edges_and_corners_cross_exactly_one_face_each_way():
    """A grid of squares: every line goes through corners of the mesh, none slips through or is counted twice."""
    box = trimesh.creation.box((0.5, 0.5, 0.5)).subdivide().subdivide()
    axis = torch.arange(-1, 2, dtype=torch.float64) * 0.125
    points = torch.cartesian_prod(axis, axis, axis)
    assert (winding_number(points, *mesh(box)) == 1).all()
    assert contains(points, *mesh(box)).all()


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 10_000), st.floats(0.01, 1000))
def test_inside_does_not_depend_on_unit_place_or_the_order_of_faces(seed, scale):
    verts, faces = mesh(SHAPES["ring"])
    rng = np.random.default_rng(seed)
    points, shift = torch.from_numpy(rng.uniform(-0.2, 0.2, (200, 3))), torch.from_numpy(rng.normal(size=3))
    order = torch.from_numpy(rng.permutation(len(faces)))
    expected = contains(points, verts, faces)
    assert torch.equal(contains(scale * (points + shift), scale * (verts + shift), faces[order]), expected)


def test_crossings_say_where_a_line_enters_and_leaves():
    found = crossings(torch.tensor([[0.01, 0.02], [5.0, 5.0]]), *mesh(trimesh.creation.box((1, 1, 2))))
    order = found.z.argsort()
    assert found.line.tolist() == [0, 0]
    assert found.z[order].tolist() == pytest.approx([-1, 1])
    assert found.sign[order].tolist() == [-1, 1]


def test_an_open_mesh_has_no_inside_where_the_line_leaves_through_the_hole():
    verts, faces = mesh(trimesh.creation.box((1, 1, 1)))
    top = (verts[faces][..., 2] > 0).all(dim=1)
    assert not contains(torch.tensor([[0.1, 0.2, 0.0]]), verts, faces[~top]).any()


def test_no_points_and_no_faces_are_no_trouble():
    verts, faces = mesh(SHAPES["sphere"])
    assert contains(torch.zeros(0, 3), verts, faces).shape == (0,)
    assert not contains(torch.zeros(3, 3), torch.zeros(0, 3), torch.zeros(0, 3, dtype=torch.int64)).any()


def test_many_candidates_are_taken_in_parts(monkeypatch):
    verts, faces = mesh(SHAPES["sphere"])
    points = torch.from_numpy(np.random.default_rng(3).uniform(-0.1, 0.1, (500, 3)))
    whole = contains(points, verts, faces)
    monkeypatch.setattr("tasks.geometry.inside._CANDIDATES", 7)
    assert torch.equal(contains(points, verts, faces), whole)

from fractions import Fraction

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


def exact_crossings(point, verts, faces):
    """Signs above and below in rational arithmetic, the line moved by (+d, -d^2) with d next to nothing.

    So no line runs through an edge or corner, and the tests are strict. Heights are those at the line itself.
    """
    step = Fraction(1, 10**12)
    x, y, z = (Fraction(float(value)) for value in point)
    near = x + step, y - step**2
    found = {True: [], False: []}
    for face in faces:
        corners = [[Fraction(float(value)) for value in verts[i]] for i in face]
        areas = [exact_area(near, *(corners[(k + shift) % 3] for shift in (1, 2))) for k in range(3)]
        if all(area > 0 for area in areas) or all(area < 0 for area in areas):
            weights = [exact_area((x, y), *(corners[(k + shift) % 3] for shift in (1, 2))) for k in range(3)]
            height = sum(w * corner[2] for w, corner in zip(weights, corners, strict=True)) / sum(weights)
            found[height >= z].append(1 if areas[0] > 0 else -1)
    return found[True], found[False]


def exact_area(origin, a, b):
    (ax, ay), (bx, by) = ([corner[k] - origin[k] for k in range(2)] for corner in (a, b))
    return ax * by - ay * bx


@settings(max_examples=25)
@given(st.integers(0, 10_000), st.sampled_from([1, 3, 1000]))
def test_meshes_and_points_on_a_lattice_are_decided_as_in_exact_arithmetic(seed, spread):
    """Few lattice values make lines through edges and corners, faces on edge, repeated and flat faces the rule."""
    rng = np.random.default_rng(seed)
    verts = rng.integers(-spread, spread + 1, (7, 3)).astype(float)
    faces = rng.integers(0, 7, (12, 3))
    points = rng.integers(-spread, spread + 1, (60, 3)).astype(float)
    points[::3] = verts[rng.integers(0, 7, 20)]
    exact = [exact_crossings(point, verts, faces) for point in points]
    tensors = [torch.from_numpy(values) for values in (points, verts, faces)]
    assert winding_number(*tensors).tolist() == [sum(above) for above, _ in exact]
    assert contains(*tensors).tolist() == [
        len(above) % 2 == 1 and len(below) % 2 == 1 for above, below in exact
    ]
    found = crossings(tensors[0][:, :2], *tensors[1:])
    count = torch.bincount(found.line, minlength=len(points)).tolist()
    assert count == [len(above) + len(below) for above, below in exact]


@pytest.mark.parametrize("value", [torch.nan, torch.inf, 1e308])
def test_a_mesh_that_reaches_beyond_all_numbers_is_crossed_nowhere(value):
    verts, faces = mesh(SHAPES["sphere"])
    verts[3], verts[4] = value, -value
    assert not contains(torch.zeros(5, 3), verts, faces).any()
    assert not len(crossings(torch.zeros(5, 2), verts, faces).z)


def test_a_point_that_is_no_point_is_outside():
    points = torch.tensor([[torch.nan, 0, 0], [0, torch.inf, 0], [0, 0, torch.nan]])
    assert not contains(points, *mesh(SHAPES["sphere"])).any()
    assert not winding_number(points, *mesh(SHAPES["sphere"])).any()


def test_single_precision_is_read_as_it_stands():
    """No rounding on the way: what float32 holds decides, and gradients do not matter."""
    verts, faces = mesh(SHAPES["ring"])
    points = torch.from_numpy(np.random.default_rng(4).uniform(-0.2, 0.2, (2000, 3))).float()
    single = verts.float().requires_grad_()
    expected = winding_number(points.double(), single.detach().double(), faces)
    assert torch.equal(winding_number(points, single, faces.int()), expected)

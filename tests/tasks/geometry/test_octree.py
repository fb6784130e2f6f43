"""Every surface against marching cubes on the whole grid, and what the field was asked for."""

import numpy as np
import pytest
import torch
import trimesh
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree
from skimage.measure import marching_cubes

from tasks.errors import RequestError
from tasks.geometry import octree, tree
from tasks.geometry.inside import winding_number
from tasks.geometry.mesh import watertight_problem
from tasks.geometry.octree import extract_surface
from tasks.geometry.surface import sample_surface, seal
from tasks.hands.hand import load_hand

HALF_SIDE = 0.55


class Counted:
    """A field that remembers what it was asked."""

    def __init__(self, field):
        self.field, self.calls = field, []

    def __call__(self, points):
        self.calls.append(points)
        return self.field(points)

    @property
    def points(self):
        return torch.cat(self.calls)


def grid(n, half_side=HALF_SIDE):
    axis = torch.from_numpy((half_side * (2 * np.arange(n) / (n - 1) - 1)).astype(np.float32))
    return torch.cartesian_prod(axis, axis, axis)


def dense(field, n, threshold=0.5, half_side=HALF_SIDE):
    """The official extraction: the whole grid, padded with very low values."""
    values = np.pad(field(grid(n, half_side)).float().numpy().reshape(n, n, n), 1, constant_values=-1e6)
    if not (values > threshold).any():
        return np.zeros((0, 3)), np.zeros((0, 3), int)
    verts, faces, _, _ = marching_cubes(values, threshold, gradient_direction="ascent")
    return half_side * (2 * (verts.astype(float) - 1) / (n - 1) - 1), faces


def of_the_dense(surface, verts, faces):
    """Each vertex's number in the dense mesh; the surface's faces are faces of the dense mesh, as they wind."""
    own = surface.verts.double().numpy()
    if not len(own):
        return np.zeros(0, int)
    gap, place = cKDTree(verts).query(own)
    assert gap.max() < 1e-6
    mine, theirs = ({rolled(face) for face in f.tolist()} for f in (place[surface.faces.numpy()], faces))
    if len(set(place)) == len(place):  # vertices on a sample may coincide
        assert mine <= theirs
        assert len(mine) == len(surface.faces)
    return place


def rolled(face):
    least = face.index(min(face))
    return tuple(face[least:] + face[:least])


def assert_same(surface, verts, faces):
    place = of_the_dense(surface, verts, faces)
    assert len(place) == len(verts)
    assert len(surface.faces) == len(faces)


def double(*values):
    """Fields compute in double precision, so that a value does not depend on the batch that it is in."""
    return torch.tensor(*values, dtype=torch.float64)


def ball(radius, centre=(0.0, 0.0, 0.0)):
    return lambda points: torch.sigmoid(20 * (radius - (points.double() - double(centre)).norm(dim=1)))


def ring(points):
    points = points.double()
    flat = points[:, :2].norm(dim=1) - 0.25
    return torch.sigmoid(50 * (0.08 - torch.hypot(flat, points[:, 2])))


def two_blobs(points):
    return torch.maximum(ball(0.15, (-0.3, 0.1, 0.0))(points), ball(0.2, (0.25, -0.1, 0.2))(points))


def leaving(points):
    return ball(0.3, (0.5, 0.45, -0.5))(points)


def capsule(a, b, radius):
    a, b = double(a), double(b)

    def field(points):
        points = points.double()
        along = ((points - a) @ (b - a) / ((b - a) @ (b - a))).clamp(0, 1)
        return torch.sigmoid(300 * (radius - (points - a - along[:, None] * (b - a)).norm(dim=1)))

    return field


def shell(points):
    """A ball with a hollow, from which a tunnel leads out."""
    hollow = torch.maximum(ball(0.2)(points), capsule((0.0, 0.0, 0.0), (0.0, 0.0, 0.5), 0.06)(points))
    return torch.minimum(ball(0.4)(points), 1 - hollow)


FIELDS = {"ball": ball(0.3), "ring": ring, "two blobs": two_blobs, "leaving": leaving, "shell": shell}


@pytest.mark.parametrize("name", FIELDS)
@pytest.mark.parametrize("threshold", [0.5, 0.45])
def test_the_mesh_is_that_of_the_whole_grid_for_a_fraction_of_its_values(name, threshold):
    field = Counted(FIELDS[name])
    surface = extract_surface(field, HALF_SIDE, 8, 3, threshold)
    assert_same(surface, *dense(FIELDS[name], 65, threshold))
    assert watertight_problem(surface.verts.numpy(), surface.faces.numpy()) is None
    assert surface.verts.dtype == torch.float32
    assert surface.faces.dtype == torch.int64
    assert surface.evaluations == len(field.points) < 65**3 / 5


def test_no_value_is_computed_twice_and_no_call_is_larger_than_agreed(monkeypatch):
    whole = extract_surface(two_blobs, HALF_SIDE, 8, 3)
    monkeypatch.setattr(octree, "POINTS_AT_ONCE", 100)
    field = Counted(two_blobs)
    surface = extract_surface(field, HALF_SIDE, 8, 3)
    assert torch.equal(surface.verts, whole.verts)
    assert torch.equal(surface.faces, whole.faces)
    assert len(torch.unique(field.points, dim=0)) == surface.evaluations == len(field.points)
    assert max(len(call) for call in field.calls) <= 100


def waves(seed, frequency, level, steps):
    """A few random waves; with ``steps`` rounded, so that values coincide with each other and with the threshold."""
    rng = np.random.default_rng(seed)
    vectors = torch.from_numpy(rng.normal(0, frequency, (5, 3)))
    phases, heights = (torch.from_numpy(rng.uniform(0, 6.3, 5)) for _ in range(2))

    def field(points):
        angles = (points.double()[:, None] * vectors).sum(2) + phases
        values = torch.sigmoid(((angles.cos() * heights).sum(1) / 3) - level)
        return (values * steps).round() / steps if steps else values

    return field


@settings(max_examples=40)
@given(
    seed=st.integers(0, 10_000),
    resolution=st.sampled_from([2, 4, 8]),
    frequency=st.floats(2, 25),
    level=st.floats(-1.5, 1.5),
    steps=st.sampled_from([0, 0, 12]),
    seeded=st.booleans(),
)
def test_of_any_field_the_mesh_has_whole_pieces_of_the_whole_grids(
    seed, resolution, frequency, level, steps, seeded
):
    """Pieces that no refined cell touches are missing as wholes; those that a coarse corner lies in are all there."""
    n = resolution * 4 + 1
    field, seeds = Counted(waves(seed, frequency, level, steps)), None
    if seeded:
        seeds = torch.from_numpy(np.random.default_rng(seed).uniform(-0.7, 0.7, (20, 3)))
    surface = extract_surface(field, HALF_SIDE, resolution, 2, seeds=seeds)
    verts, faces = dense(field.field, n)
    place = of_the_dense(surface, verts, faces)
    assert surface.evaluations == len(torch.unique(field.points, dim=0)) == len(field.points) <= n**3
    if steps:
        return
    assert not len(verts) or watertight_problem(surface.verts.numpy(), surface.faces.numpy()) is None
    links = coo_array(
        (np.ones(2 * len(faces)), (faces[:, :2].ravel(), faces[:, 1:].ravel())), [len(verts)] * 2
    )
    piece = connected_components(links, directed=False)[1] if len(verts) else np.zeros(0, int)
    found = np.isin(piece, piece[place])
    assert found.sum() == len(place), "all of every piece that any of is there"
    assert np.isin(piece[faces[:, 0]], piece[place]).sum() == len(surface.faces)
    own = surface.verts.numpy() if len(verts) else np.full((1, 3), 10.0)
    centres = mixed_cells(field.field, resolution)
    assert (cKDTree(own).query(centres, p=np.inf)[0] < 1.00001 * HALF_SIDE / resolution).all()


def mixed_cells(field, resolution):
    """Centres (K, 3) of the coarse cells whose corners do not agree."""
    n = resolution + 1
    inside = field(grid(n)).float().numpy().reshape(n, n, n) > 0.5
    corners = np.lib.stride_tricks.sliding_window_view(inside, (2, 2, 2)).reshape(*[resolution] * 3, 8)
    cells = np.argwhere(corners.any(axis=3) & ~corners.all(axis=3))
    return HALF_SIDE * ((2 * cells + 1) / resolution - 1)


THIN = capsule((-0.31, -0.22, 0.05), (0.33, 0.27, -0.12), 0.016)
"""As thick as two fine cells of the grid below, a quarter of a coarse one, and tilted."""


def test_a_thin_part_is_found_whole_from_one_seed():
    seeds = torch.tensor([[0.01, 0.025, -0.035], [9.0, 0.0, 0.0], [torch.nan, 0.0, 0.0]])
    surface = extract_surface(THIN, HALF_SIDE, 8, 3, seeds=seeds)
    assert_same(surface, *dense(THIN, 65))
    assert watertight_problem(surface.verts.numpy(), surface.faces.numpy()) is None
    assert surface.evaluations < 65**3 / 20
    assert not len(extract_surface(THIN, HALF_SIDE, 8, 3).verts), "no coarse corner is inside"


def test_seeds_where_nothing_is_change_nothing_but_the_count():
    seeds = torch.tensor([[-0.5, -0.5, -0.5], [0.5, 0.0, 0.5]])
    plain, seeded = (extract_surface(ball(0.3), HALF_SIDE, 8, 3, seeds=s) for s in (None, seeds))
    assert torch.equal(plain.verts, seeded.verts)
    assert torch.equal(plain.faces, seeded.faces)
    assert plain.evaluations < seeded.evaluations <= plain.evaluations + 2 * 3 * 19


def test_a_surface_is_followed_out_of_the_cells_that_showed_it():
    """A bar whose one end alone holds a coarse corner: the rest passes between the corners."""
    bar = capsule((-0.4125, 0.0, 0.0), (0.45, 0.07, 0.065), 0.03)
    assert len(mixed_cells(bar, 8)) < 16
    assert_same(extract_surface(bar, HALF_SIDE, 8, 3), *dense(bar, 65))


def test_outside_its_box_a_field_is_empty_and_is_not_asked():
    low, high = torch.tensor([-0.2, -0.3, -0.25]), torch.tensor([0.25, 0.31, 0.02])

    def cut(points):
        return torch.where(((points >= low) & (points <= high)).all(1), ball(0.3)(points), 0.0)

    field = Counted(ball(0.3))
    surface = extract_surface(field, HALF_SIDE, 8, 3, within=(low, high))
    assert_same(surface, *dense(cut, 65))
    assert watertight_problem(surface.verts.numpy(), surface.faces.numpy()) is None
    assert ((field.points >= low) & (field.points <= high)).all()
    assert surface.evaluations == len(field.points) < extract_surface(ball(0.3), HALF_SIDE, 8, 3).evaluations


def test_a_box_that_holds_no_sample_holds_no_surface():
    low = torch.full((3,), 0.01)
    surface = extract_surface(ball(0.3), HALF_SIDE, 4, 1, within=(low, low + 0.001))
    assert surface.evaluations == len(surface.verts) == len(surface.faces) == 0


def test_without_refinements_it_is_marching_cubes():
    surface = extract_surface(ring, HALF_SIDE, 33, 0)
    assert surface.evaluations == 34**3
    assert_same(surface, *dense(ring, 34))


def test_a_full_cube_is_closed_at_its_sides():
    surface = extract_surface(lambda points: torch.ones(len(points)), 2.0, 2, 2)
    mesh = trimesh.Trimesh(surface.verts.numpy(), surface.faces.numpy(), process=False)
    assert mesh.is_watertight
    assert mesh.volume == pytest.approx(4**3, rel=1e-4)


@pytest.mark.parametrize("value", [0.0, 0.5])
def test_a_field_without_surface_gives_an_empty_mesh(value):
    """Constant at the threshold is outside, as marching cubes takes it."""
    surface = extract_surface(lambda points: torch.full((len(points),), value), HALF_SIDE, 4, 3)
    assert surface.verts.shape == surface.faces.shape == (0, 3)
    assert surface.evaluations == 5**3


@pytest.mark.parametrize("bad", [torch.nan, torch.inf])
def test_a_field_that_is_not_finite_somewhere_is_refused(bad):
    def field(points):
        return torch.where(points[:, 0] > 0.4, bad, ball(0.3)(points))

    with pytest.raises(ValueError, match="not finite: expected one finite number per point"):
        extract_surface(field, HALF_SIDE, 8, 2)


def test_a_field_of_another_shape_is_refused():
    with pytest.raises(ValueError, match=r"returned \(125, 1\) values for 125 points"):
        extract_surface(lambda points: ball(0.3)(points)[:, None], HALF_SIDE, 4, 2)


@pytest.mark.parametrize(
    "change", [{"threshold": 0.0}, {"threshold": 1.0}, {"resolution": 0}, {"refinements": -1}]
)
def test_settings_that_make_no_sense_are_refused(change):
    with pytest.raises(RequestError, match="expected a threshold between 0 and 1"):
        extract_surface(ball(0.3), HALF_SIDE, **{"resolution": 4, "refinements": 1, **change})


def test_no_gradient_is_kept():
    radius = torch.tensor(0.3, requires_grad=True)
    surface = extract_surface(lambda p: torch.sigmoid(20 * (radius - p.norm(dim=1))), HALF_SIDE, 8, 1)
    assert len(surface.verts) > 100


@pytest.fixture(scope="module")
def open_hand():
    """A posed hand, sealed, in metres about its middle: vertices (779, 3) float64 and faces."""
    hand = load_hand()
    pose = 0.12 * torch.randn(1, 48, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        verts, _ = hand(pose, torch.zeros(1, 10), flat_hand_mean=True)
    closed, faces = seal(verts[0].double().numpy(), hand.data.faces, hand.data.wrist_loop)
    return torch.from_numpy(closed - closed.mean(axis=0)), torch.from_numpy(faces)


def test_a_hand_comes_back_from_its_occupancy(open_hand):
    verts, faces = open_hand
    field = Counted(lambda points: (winding_number(points, verts, faces) > 0).float())
    surface = extract_surface(field, 0.22)
    true = trimesh.Trimesh(verts.numpy(), faces.numpy(), process=False)
    found = trimesh.Trimesh(surface.verts.double().numpy(), surface.faces.numpy(), process=False)
    assert watertight_problem(surface.verts.numpy(), surface.faces.numpy()) is None
    assert found.volume == pytest.approx(true.volume, rel=0.02)
    assert surface.evaluations == len(field.points) < 257**3 / 100
    cell = 0.44 / 256
    skin, normals = sample_surface(true.vertices, true.faces, 3000, 0)
    folded = winding_number(torch.from_numpy(skin + 1e-5 * normals), verts, faces).numpy() > 0
    for points, mesh in (
        (skin[~folded], found),
        (sample_surface(found.vertices, found.faces, 3000, 1)[0], true),
    ):
        gap, _ = tree.nearest(tree.build(points), tree.build(mesh.triangles))
        assert gap.max() < np.sqrt(3) * cell, "the field is one or zero: a vertex is anywhere on its edge"
        assert gap.mean() < 0.4 * cell

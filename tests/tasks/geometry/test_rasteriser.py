"""The rasteriser against a ray caster in float64, closed forms and its own invariances."""

import sys

import numpy as np
import pytest
import torch
import trimesh
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tasks.errors import RequestError
from tasks.geometry.cameras import crop_intrinsics, project
from tasks.geometry.rasteriser import interpolate, rasterise, visible_vertices

SIZE = (40, 48)


def cast_rays(verts, faces, k, size):
    """The independent reference: every ray against every triangle (Moeller and Trumbore 1997), in float64.

    Returns face index, barycentrics and depth, and how clearly each pixel is decided: the smaller of the distance to
    an edge (as a barycentric) of any face near it and the relative gap in depth to the second face.
    """
    height, width = size
    v, u = np.meshgrid(np.arange(height) + 0.5, np.arange(width) + 0.5, indexing="ij")
    rays = np.stack([u, v, np.ones_like(u)], -1).reshape(-1, 3) @ np.linalg.inv(k).T
    a, b, c = (verts[faces[:, i]].astype(float) for i in range(3))
    with np.errstate(divide="ignore", invalid="ignore"):
        p = np.cross(rays[:, None], (c - a)[None])
        det = (p * (b - a)).sum(-1)
        w1 = -(p * a).sum(-1) / det
        q = np.cross(-a, b - a)
        w2 = (rays @ q.T) / det
        depth = (q * (c - a)).sum(-1) / det
    w = np.stack([1 - w1 - w2, w1, w2], -1)
    inner = w.min(-1)
    usable = np.isfinite(depth) & (depth > 0)
    depth = np.where(usable & (inner >= 0), depth, np.inf)
    face = depth.argmin(1)
    pixel = np.arange(len(rays))
    nearest = depth[pixel, face]
    hit = np.isfinite(nearest)
    ordered = np.sort(depth, 1)
    with np.errstate(invalid="ignore"):
        gap = np.where(hit, (ordered[:, 1] - nearest) / nearest if depth.shape[1] > 1 else 1.0, 1.0)
    margin = np.minimum(np.where(usable, np.abs(inner), 1.0).min(1), np.nan_to_num(gap, nan=1.0, posinf=1.0))
    shape = (height, width)
    return (
        np.where(hit, face, -1).reshape(shape),
        np.where(hit[:, None], w[pixel, face], 0).reshape(*shape, 3),
        nearest.reshape(shape),
        margin.reshape(shape),
    )


def plane_at(depth_m, k, corners_px):
    """A square of two triangles whose corners project to the given pixels at one depth, or at four depths."""
    corners = torch.tensor(corners_px, dtype=torch.float64)
    z = torch.as_tensor(depth_m, dtype=torch.float64).expand(4)
    rays = torch.cat([corners, torch.ones(4, 1, dtype=torch.float64)], 1) @ torch.linalg.inv(k.double()).T
    return (rays * z[:, None])[None].float(), torch.tensor([[0, 1, 2], [0, 2, 3]])


def sphere_at(depth_m, radius, subdivisions):
    sphere = trimesh.creation.icosphere(subdivisions=subdivisions, radius=radius)
    verts = torch.tensor(np.asarray(sphere.vertices), dtype=torch.float32) + torch.tensor([0, 0, depth_m])
    return verts[None], torch.tensor(np.asarray(sphere.faces))


def unit_camera(height, width):
    """Camera whose pixel coordinates equal x and y at depth 1."""
    return torch.tensor([[1.0, 0, 0], [0, 1.0, 0], [0, 0, 1]]), (height, width)


def flat_mesh(points, z=1.0):
    """Vertices (1, V, 3) that the unit camera sees at the given pixel coordinates."""
    xy = torch.as_tensor(points, dtype=torch.float32)
    return torch.cat([xy * z, torch.full((len(xy), 1), z)], 1)[None]


def test_faces_depth_and_barycentrics_agree_with_a_ray_caster(bumpy, intrinsics_px):
    verts, faces = bumpy
    fragments = rasterise(verts, faces, intrinsics_px, SIZE)
    for image in range(len(verts)):
        face, weights, depth, margin = cast_rays(
            verts[image].numpy(), faces.numpy(), intrinsics_px.double().numpy(), SIZE
        )
        ours = fragments.face_index[image].numpy()
        clear = margin > 1e-4
        assert clear.mean() > 0.95
        assert (face >= 0).mean() > 0.2
        np.testing.assert_array_equal(ours[clear], face[clear])
        same = (ours == face) & (face >= 0)
        np.testing.assert_allclose(fragments.depth_m[image].numpy()[same], depth[same], rtol=2e-5)
        np.testing.assert_allclose(fragments.barycentrics[image].numpy()[same], weights[same], atol=2e-3)


@given(seed=st.integers(0, 2**31 - 1))
@settings(max_examples=25, deadline=None)
def test_random_triangle_soups_agree_with_a_ray_caster(seed):
    rng = np.random.default_rng(seed)
    scale = rng.choice([0.02, 0.1, 0.5])
    centres = rng.uniform([-0.3, -0.3, 0.4], [0.3, 0.3, 1.5], (30, 1, 3))
    verts = (centres + scale * rng.uniform(-1, 1, (30, 3, 3))).reshape(-1, 3).astype(np.float32)
    verts[:, 2] = np.maximum(verts[:, 2], 0.05)
    faces = np.arange(90).reshape(-1, 3)
    k = np.array([[30.0, 0.4, 11.7], [0, 34.0, 15.2], [0, 0, 1]])
    ours = rasterise(torch.tensor(verts)[None], torch.tensor(faces), torch.tensor(k).float(), (28, 25))
    face, weights, depth, margin = cast_rays(verts, faces, k, (28, 25))
    clear = margin > 1e-3
    np.testing.assert_array_equal(ours.face_index[0].numpy()[clear], face[clear])
    hit = clear & (face >= 0)
    np.testing.assert_allclose(ours.depth_m[0].numpy()[hit], depth[hit], rtol=1e-3)
    np.testing.assert_allclose(ours.barycentrics[0].numpy()[hit], weights[hit], atol=5e-3)


def test_barycentrics_are_convex_and_pixels_without_a_face_are_empty(bumpy, intrinsics_px):
    verts, faces = bumpy
    fragments = rasterise(verts, faces, intrinsics_px, SIZE)
    seen = fragments.mask
    weights = fragments.barycentrics
    assert (weights >= 0).all()
    torch.testing.assert_close(weights[seen].sum(-1), torch.ones(int(seen.sum())))
    assert (weights[~seen] == 0).all()
    assert fragments.depth_m[~seen].isinf().all()
    assert (fragments.face_index[~seen] == -1).all()


def test_gradients_equal_finite_differences():
    sphere = trimesh.creation.icosphere(subdivisions=1, radius=0.1)
    rng = np.random.default_rng(0)
    verts = np.asarray(sphere.vertices) * rng.uniform(0.7, 1.3, (len(sphere.vertices), 1)) + [
        0.013,
        -0.007,
        0.5,
    ]
    faces = torch.tensor(np.asarray(sphere.faces))
    k = torch.tensor([[30.0, 0.1, 5.8], [0, 29.0, 6.1], [0, 0, 1]], dtype=torch.float64)

    def seen(verts_cam_m, intrinsics):
        fragments = rasterise(verts_cam_m, faces, intrinsics, 12)
        depth = torch.where(fragments.mask, fragments.depth_m, 0)
        return depth, fragments.barycentrics, interpolate(fragments, faces, verts_cam_m)

    inputs = (torch.tensor(verts)[None].requires_grad_(), k.requires_grad_())
    assert torch.autograd.gradcheck(seen, inputs, eps=1e-7, atol=1e-5, rtol=1e-4)


def test_interpolation_of_positions_gives_the_points_on_the_pixels_rays(bumpy, intrinsics_px):
    verts, faces = bumpy
    fragments = rasterise(verts, faces, intrinsics_px, SIZE)
    points = interpolate(fragments, faces, verts)[fragments.mask]
    _, row, column = fragments.mask.nonzero(as_tuple=True)
    torch.testing.assert_close(
        project(points, intrinsics_px), torch.stack([column, row], 1) + 0.5, atol=1e-3, rtol=0
    )
    torch.testing.assert_close(points[:, 2], fragments.depth_m[fragments.mask])


def test_a_textured_slanted_plane_is_perspective_correct():
    k = torch.tensor([[50.0, 0, 32], [0, 50, 32], [0, 0, 1]])
    verts, faces = plane_at([0.5, 2.0, 2.0, 0.5], k, [[2, 2], [62, 24.5], [62, 39.5], [2, 62]])
    fragments = rasterise(verts, faces, k, 64)
    corner_uv = torch.tensor([[0.0, 0], [1, 0], [1, 1], [0, 1]])
    uv = interpolate(fragments, faces, corner_uv)[0]
    inner = fragments.mask[0]
    row, column = inner.nonzero(as_tuple=True)
    # A rectangle in space: inverse depth runs linearly in x from 1 / 0.5 to 1 / 2, and u and v are linear in space.
    t = (column + 0.5 - 2) / 60
    inverse = (1 - t) / 0.5 + t / 2.0
    torch.testing.assert_close(uv[inner][:, 0], (t / 2.0) / inverse, atol=1e-4, rtol=0)
    torch.testing.assert_close(fragments.depth_m[0][inner], 1 / inverse, atol=1e-4, rtol=0)
    torch.testing.assert_close(uv[inner][:, 1], 0.5 + (row + 0.5 - 32) / inverse / 30, atol=1e-4, rtol=0)
    assert (uv[inner][:, 0] - t).abs().max() > 0.2, "a linear interpolation on the screen would pass"


def test_corner_attributes_follow_their_faces_across_a_seam():
    k, size = unit_camera(6, 6)
    verts, faces = flat_mesh([[0, 0], [6, 0], [6, 6], [0, 6]]), torch.tensor([[0, 1, 2], [0, 2, 3]])
    fragments = rasterise(verts, faces, k, size)
    colour = torch.tensor([10.0, 20.0]).view(2, 1, 1).expand(2, 3, 1)
    expected = torch.where(fragments.face_index == 0, 10.0, 20.0)[..., None]
    torch.testing.assert_close(interpolate(fragments, faces, colour), expected)
    torch.testing.assert_close(interpolate(fragments, faces, colour[None]), expected)


def test_per_vertex_attributes_may_be_shared_or_differ_between_images(bumpy, intrinsics_px):
    verts, faces = bumpy
    fragments = rasterise(verts, faces, intrinsics_px, SIZE)
    shared = torch.rand(verts.shape[1], 4)
    one = interpolate(fragments, faces, shared)
    each = interpolate(fragments, faces, shared.expand(3, -1, -1))
    torch.testing.assert_close(one, each)
    corners = interpolate(fragments, faces, shared[faces].expand(3, -1, -1, -1))
    torch.testing.assert_close(one, corners)


def test_a_sphere_is_watertight_and_its_outline_a_circle():
    verts, faces = sphere_at(0.5, radius=0.1, subdivisions=5)
    size, focal = 129, 300.0
    k = torch.tensor([[focal, 0, size / 2], [0, focal, size / 2], [0, 0, 1]])
    fragments = rasterise(verts, faces, k, size)
    radius = focal * 0.1 / np.sqrt(0.5**2 - 0.1**2)
    y, x = np.mgrid[:size, :size] - (size - 1) / 2
    distance = np.hypot(x, y)
    mask = fragments.mask[0].numpy()
    assert mask[distance < radius - 0.06].all()
    assert not mask[distance > radius + 1e-3].any()
    assert abs(mask.sum() / (np.pi * radius**2) - 1) < 0.01
    # Depth of the near intersection of a ray with the sphere.
    ray = np.stack([x / focal, y / focal, np.ones_like(x)], -1)
    squared = (ray**2).sum(-1)
    inside = distance < 0.9 * radius
    root = np.sqrt(np.where(inside, 0.5**2 - squared * (0.5**2 - 0.1**2), 0))
    np.testing.assert_allclose(
        fragments.depth_m[0].numpy()[inside], ((0.5 - root) / squared)[inside], atol=2e-4
    )


def test_pixel_centres_on_shared_edges_and_vertices_are_covered():
    k, size = unit_camera(9, 9)
    grid = torch.cartesian_prod(torch.arange(1, 9), torch.arange(1, 9)) - 0.5
    corner = (8 * torch.arange(7)[:, None] + torch.arange(7)).flatten()
    quad = torch.stack([corner, corner + 8, corner + 9, corner + 1], dim=1)
    for faces in (
        torch.cat([quad[:, [0, 1, 2]], quad[:, [0, 2, 3]]]),
        torch.cat([quad[:, [0, 1, 3]], quad[:, [1, 2, 3]]]),
    ):
        mask = rasterise(flat_mesh(grid), faces, k, size).mask[0]
        assert mask[:8, :8].all(), "every vertex lies on a pixel centre"
        assert not mask[8].any()
        assert not mask[:, 8].any()


def test_the_upper_tip_of_a_lone_face_covers_the_pixel_centre_it_lies_on():
    k, size = unit_camera(9, 9)
    mask = rasterise(flat_mesh([[4.5, 1.5], [1, 7], [8, 7]]), torch.tensor([[0, 1, 2]]), k, size).mask[0]
    assert mask[1].nonzero()[:, 0].tolist() == [4]
    assert not mask[0].any()


def test_slivers_along_pixel_centres_keep_convex_barycentrics():
    rng = np.random.default_rng(0)
    start = rng.integers(0, 20, (200, 2)) + 0.5
    end = start + rng.integers(-12, 13, (200, 2))
    third = start + rng.uniform(0, 1, (200, 1)) * (end - start)
    corners = np.stack([start, end, third], 1) + rng.normal(0, 3e-6, (200, 3, 2))
    k, size = unit_camera(32, 32)
    verts = flat_mesh(corners.reshape(-1, 2))
    verts = verts * torch.tensor(rng.uniform(0.5, 1, (1, 600, 1))).float()
    fragments = rasterise(verts, torch.arange(600).view(-1, 3), k, size)
    assert fragments.mask.sum() > 50
    weights = fragments.barycentrics[fragments.mask]
    assert (weights >= 0).all()
    torch.testing.assert_close(weights.sum(-1), torch.ones(len(weights)))
    assert ((fragments.depth_m >= 0.5) & (fragments.depth_m <= 1))[fragments.mask].all()


@given(seed=st.integers(0, 2**31 - 1))
@settings(max_examples=40, deadline=None)
def test_a_fan_around_any_point_has_no_cracks(seed):
    rng = np.random.default_rng(seed)
    n = int(rng.integers(3, 30))
    centre = rng.choice([rng.uniform(5, 15, 2), rng.integers(5, 15, 2) + 0.5])
    angle = np.sort(rng.uniform(0, 2 * np.pi, n))
    angle[:3] = [0.1, 2.1, 4.2]
    angle.sort()
    rim = centre + 90 * np.stack([np.cos(angle), np.sin(angle)], 1)
    faces = torch.tensor([[0, 1 + i, 1 + (i + 1) % n] for i in range(n)])
    k, size = unit_camera(20, 20)
    fragments = rasterise(flat_mesh(np.concatenate([[centre], rim])), faces, k, size)
    assert fragments.mask.all()


@given(seed=st.integers(0, 2**31 - 1))
@settings(max_examples=15, deadline=None)
@example(seed=34)
def test_permuting_faces_changes_nothing_but_indices(seed):
    rng = np.random.default_rng(seed)
    verts = torch.tensor(rng.uniform([-0.3, -0.3, 0.3], [0.3, 0.3, 1], (2, 40, 3)), dtype=torch.float32)
    triples = np.unique(np.sort([rng.permutation(40)[:3] for _ in range(50)]), axis=0)
    faces, order = torch.tensor(triples), torch.tensor(rng.permutation(len(triples)))
    k = torch.tensor([[40.0, 0, 16], [0, 40, 16], [0, 0, 1]])
    one, other = rasterise(verts, faces, k, 32), rasterise(verts, faces[order], k, 32)
    assert torch.equal(one.mask, other.mask)
    torch.testing.assert_close(one.depth_m, other.depth_m, rtol=1e-6, atol=0)
    # Of two faces at one depth the last wins (seed 34: near a vertex that they share), which an order decides.
    gaps = np.stack([cast_rays(v.numpy(), triples, k.numpy(), (32, 32))[3] for v in verts])
    back = torch.where(other.mask, order[other.face_index.clamp(min=0)], -1)
    assert (gaps[(back != one.face_index).numpy()] < 1e-6).all()


def test_a_batch_equals_its_singles(bumpy, intrinsics_px):
    verts, faces = bumpy
    many = verts.repeat(7, 1, 1) * torch.linspace(0.9, 1.1, 21)[:, None, None]
    k = intrinsics_px + torch.linspace(0, 3, 21)[:, None, None] * torch.tensor(
        [[0, 0, 1.0], [0, 0, 1], [0, 0, 0]]
    )
    batch = rasterise(many, faces, k, SIZE)
    for i in range(21):
        single = rasterise(many[i : i + 1], faces, k[i], SIZE)
        assert torch.equal(single.face_index[0], batch.face_index[i])
        assert torch.equal(single.barycentrics[0], batch.barycentrics[i])
        assert torch.equal(single.depth_m[0], batch.depth_m[i])


@given(right=st.integers(-9, 9), down=st.integers(-9, 9))
@settings(max_examples=20, deadline=None)
def test_moving_the_camera_by_whole_pixels_shifts_the_image(right, down):
    verts, faces = sphere_at(0.6, radius=0.11, subdivisions=2)
    k = torch.tensor([[60.0, 0, 20.3], [0, 60, 20.7], [0, 0, 1]])
    here = rasterise(verts, faces, k, 40)
    there = rasterise(verts, faces, crop_intrinsics(k, -right, -down), 40)
    rows = slice(max(0, down), 40 + min(0, down)), slice(max(0, -down), 40 + min(0, -down))
    columns = slice(max(0, right), 40 + min(0, right)), slice(max(0, -right), 40 + min(0, -right))
    moved, still = there.face_index[0, rows[0], columns[0]], here.face_index[0, rows[1], columns[1]]
    near_an_edge = here.barycentrics[0, rows[1], columns[1]].amin(-1) < 1e-3
    assert torch.equal(moved[~near_an_edge], still[~near_an_edge])
    assert (moved != still).float().mean() < 0.01


def test_two_runs_are_equal_bit_by_bit(bumpy, intrinsics_px):
    verts, faces = bumpy
    one, other = (rasterise(verts, faces, intrinsics_px, SIZE) for _ in range(2))
    assert torch.equal(one.face_index, other.face_index)
    assert torch.equal(one.depth_m, other.depth_m)


def test_of_coinciding_faces_one_wins_everywhere():
    k, size = unit_camera(8, 8)
    verts = flat_mesh([[1, 1], [7, 1], [4, 7]])
    index = rasterise(verts, torch.tensor([[0, 1, 2], [1, 2, 0], [2, 0, 1]]), k, size).face_index
    assert index[index >= 0].unique().numel() == 1


@pytest.mark.parametrize("depth", [-1.0, 0.0, 0.005, float("nan"), float("inf"), float("-inf")])
def test_faces_with_a_vertex_before_the_near_plane_or_not_finite_are_not_drawn(depth):
    k, size = unit_camera(8, 8)
    verts = flat_mesh([[0, 0], [8, 0], [8, 8], [0, 8]])
    verts[0, 1, 2] = depth
    verts.requires_grad_()
    fragments = rasterise(verts, torch.tensor([[0, 1, 2], [0, 2, 3]]), k, size)
    assert set(fragments.face_index.unique().tolist()) == {-1, 1}
    fragments.depth_m[fragments.mask].sum().backward()
    assert verts.grad.isfinite().all()


@pytest.mark.parametrize(
    "points",
    [
        [[2, 2], [2, 2], [2, 2]],
        [[1, 1], [4, 4], [7, 7]],
        [[0.5, 3.5], [5.5, 3.5], [7.5, 3.5]],
        [[100, 100], [120, 100], [100, 120]],
        [[-30, 3], [-20, 3], [-25, 9]],
        [[float("nan"), 3], [5, 3], [5, 9]],
        [[3e6, 3], [2, 3], [5, 9]],
        [[3, 3e6], [2, 3], [5, 9]],
    ],
    ids=[
        "point",
        "diagonal",
        "horizontal",
        "right of the image",
        "left of it",
        "nan",
        "far right",
        "far down",
    ],
)
def test_degenerate_and_off_screen_faces_leave_the_image_empty(points):
    k, size = unit_camera(8, 8)
    fragments = rasterise(flat_mesh(points), torch.tensor([[0, 1, 2]]), k, size)
    assert not fragments.mask.any()
    assert fragments.depth_m.isinf().all()
    assert interpolate(fragments, torch.tensor([[0, 1, 2]]), torch.rand(1, 3, 5)).abs().sum() == 0
    assert not visible_vertices(fragments, torch.tensor([[0, 1, 2]]), 3).any()


def test_a_face_that_covers_more_than_the_image_fills_it():
    k, size = unit_camera(5, 9)
    verts = flat_mesh([[-9e5, -9e5], [9e5, -9e5], [0, 9e5]])
    fragments = rasterise(verts, torch.tensor([[0, 1, 2]]), k, size)
    assert fragments.mask.shape == (1, 5, 9)
    assert fragments.mask.all()


def test_empty_batches_and_meshes_give_empty_images():
    k = torch.eye(3)
    none = rasterise(torch.zeros(0, 4, 3), torch.tensor([[0, 1, 2]]), k.expand(0, 3, 3), 8)
    assert none.barycentrics.shape == (0, 8, 8, 3)
    bare = rasterise(torch.zeros(2, 4, 3), torch.zeros(0, 3, dtype=torch.int64), k, 8)
    assert bare.mask.shape == (2, 8, 8)
    assert not bare.mask.any()
    assert visible_vertices(bare, torch.zeros(0, 3, dtype=torch.int64), 4).sum() == 0


def test_culling_leaves_the_front_of_a_closed_mesh_and_nothing_of_its_inside():
    verts, faces = sphere_at(0.5, radius=0.1, subdivisions=3)
    k = torch.tensor([[100.0, 0, 30], [0, 100, 30], [0, 0, 1]])
    every, front = rasterise(verts, faces, k, 60), rasterise(verts, faces, k, 60, cull_backfaces=True)
    inner = every.barycentrics.amin(-1) > 1e-3
    assert torch.equal(every.face_index[inner], front.face_index[inner])
    back = rasterise(verts, faces.flip(1), k, 60, cull_backfaces=True)
    assert (back.depth_m[back.mask] > 0.475).all(), "only the far side is left"
    assert back.mask.any()


def test_visible_vertices_are_those_of_seen_faces(bumpy, intrinsics_px):
    verts, faces = bumpy
    fragments = rasterise(verts, faces, intrinsics_px, SIZE)
    visible = visible_vertices(fragments, faces, verts.shape[1])
    for image in range(3):
        seen = set(fragments.face_index[image].unique().tolist()) - {-1}
        expected = set(faces[sorted(seen)].flatten().tolist())
        assert set(visible[image].nonzero()[:, 0].tolist()) == expected
    assert 0.2 < visible.float().mean() < 0.8


def test_half_precision_decides_nothing(bumpy, intrinsics_px):
    verts, faces = bumpy
    double = rasterise(verts.double(), faces, intrinsics_px.double(), SIZE)
    single = rasterise(verts, faces, intrinsics_px, SIZE)
    assert double.barycentrics.dtype == torch.float64
    assert (double.face_index == single.face_index).float().mean() > 0.999


def test_memory_is_bounded_for_hopeless_input(monkeypatch, bumpy, intrinsics_px):
    visibility = sys.modules["tasks.geometry.visibility"]
    verts, faces = bumpy
    whole = rasterise(verts, faces, intrinsics_px, SIZE)
    monkeypatch.setattr(visibility, "FRAGMENTS_AT_ONCE", 500)
    pieces = rasterise(verts, faces, intrinsics_px, SIZE)
    assert torch.equal(whole.face_index, pieces.face_index)


def test_an_unknown_backend_is_refused_with_the_nearest_name(bumpy, intrinsics_px):
    verts, faces = bumpy
    with pytest.raises(RequestError, match="did you mean 'torch'"):
        rasterise(verts, faces, intrinsics_px, SIZE, backend="torhc")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_a_gpu_sees_the_same(bumpy, intrinsics_px):
    verts, faces = bumpy
    here = rasterise(verts, faces, intrinsics_px, SIZE)
    there = rasterise(verts.cuda(), faces.cuda(), intrinsics_px.cuda(), SIZE)
    same = here.face_index == there.face_index.cpu()
    assert same.float().mean() > 0.999
    torch.testing.assert_close(here.depth_m[same], there.depth_m.cpu()[same])

"""What the shipped hand must be, whatever built it."""

import numpy as np
import pytest
import torch
import trimesh

from tasks.hands.open_hand.pose_space import sample_poses
from tasks.hands.skeleton import FINGERS, JOINTS_MANO16, TIP_VERTICES, WRIST_LOOP


@pytest.fixture(scope="module")
def mesh(right):
    return trimesh.Trimesh(right.v_template, right.faces, process=False)


def capped(verts: np.ndarray, faces: np.ndarray) -> trimesh.Trimesh:
    """Closed by a fan from the customary wrist ring, as widely copied code does it."""
    fan = [(b, a, len(verts)) for a, b in zip(WRIST_LOOP, np.roll(WRIST_LOOP, -1), strict=True)]
    centre = verts[list(WRIST_LOOP)].mean(0)
    return trimesh.Trimesh(np.vstack([verts, centre]), np.vstack([faces, fan]), process=False)


def winding_numbers(points: np.ndarray, mesh: trimesh.Trimesh) -> np.ndarray:
    """Signed crossings of rays along +x, by brute force."""
    a, b, c = (mesh.vertices[mesh.faces[:, k]] for k in range(3))
    numbers = np.zeros(len(points), int)

    def side(p, q, points):
        return (q[:, 1] - p[:, 1]) * (points[:, None, 2] - p[:, 2]) - (q[:, 2] - p[:, 2]) * (
            points[:, None, 1] - p[:, 1]
        )

    for rows in np.array_split(np.arange(len(points)), max(1, len(points) // 2000)):
        u, v, w = (side(p, q, points[rows]) for p, q in ((b, c), (c, a), (a, b)))
        area = u + v + w
        inside = ((u > 0) & (v > 0) & (w > 0)) | ((u < 0) & (v < 0) & (w < 0))
        x = (u * a[:, 0] + v * b[:, 0] + w * c[:, 0]) / np.where(area == 0, 1, area)
        numbers[rows] = (np.sign(area) * (inside & (x > points[rows][:, :1]))).sum(1)
    return numbers


def test_counts_are_manos(right):
    assert right.v_template.shape == (778, 3)
    assert right.faces.shape == (1538, 3)
    assert right.shapedirs.shape == (778, 3, 10)
    assert right.posedirs.shape == (778, 3, 135)
    assert np.unique(right.faces).size == 778


def test_the_mesh_is_a_disc_with_one_border_of_sixteen(mesh):
    assert mesh.is_winding_consistent
    assert mesh.euler_number == 1
    uses = np.bincount(mesh.faces_unique_edges.ravel())
    assert uses.max() == 2
    border = mesh.edges_unique[uses == 1]
    assert len(border) == 16
    assert set(border.ravel()) == set(WRIST_LOOP)


def test_the_copied_wrist_ring_closes_it_outwards(right):
    closed = capped(right.v_template, right.faces)
    assert closed.is_watertight
    assert closed.is_winding_consistent
    assert closed.euler_number == 2
    assert 250e-6 < closed.volume < 450e-6


def test_the_published_fourteen_triangle_wrist_cap_closes_it_too(right):
    ring = list(WRIST_LOOP)
    fan = [(ring[k + 1], ring[k], ring[0]) for k in range(1, 15)]
    closed = trimesh.Trimesh(right.v_template, np.vstack([right.faces, fan]), process=False)
    assert len(closed.faces) == 1552
    assert closed.is_watertight
    assert closed.volume > 0


def test_the_rest_mesh_does_not_overlap_itself(right):
    closed = capped(right.v_template, right.faces)
    points = np.random.default_rng(0).uniform(*closed.bounds, (20000, 3))
    numbers = winding_numbers(points, closed)
    assert set(np.unique(numbers)) == {0, 1}
    assert (numbers == 1).mean() == pytest.approx(closed.volume / np.ptp(closed.bounds, 0).prod(), abs=0.015)


def test_triangles_are_not_slivers(mesh):
    smallest = np.rad2deg(mesh.face_angles.min(1))
    assert np.percentile(smallest, 1) >= 15.0
    assert smallest.min() > 10.0


def test_size_is_that_of_a_hand(right):
    joints = right.J_regressor @ right.v_template
    middle_tip = right.v_template[TIP_VERTICES["smplx"][2]]
    assert np.linalg.norm(middle_tip - joints[0]) == pytest.approx(0.181, abs=0.006)
    thumb = right.weights[:, 13:].sum(1) > 0.1
    knuckles = (np.abs(right.v_template[:, 0] - joints[[1, 7], 0].mean()) < 0.012) & ~thumb
    assert np.ptp(right.v_template[knuckles, 2]) == pytest.approx(0.084, abs=0.012)


def test_axes_are_manos(right):
    """Fingers along -x, palm towards -y, thumb towards +z."""
    joints = right.J_regressor @ right.v_template
    named = dict(zip(JOINTS_MANO16, joints, strict=True))
    assert named["middle_3"][0] < named["middle_1"][0] < named["wrist"][0]
    assert named["thumb_2"][2] > named["index_1"][2] > named["middle_1"][2] > named["pinky_1"][2]
    assert named["thumb_2"][1] < named["index_1"][1]


def test_a_positive_turn_about_z_bends_the_fingers_towards_the_palm(hand):
    pose = torch.zeros(1, 48)
    pose[0, 3 : 3 + 36 : 3] = 0.0
    pose[0, 5 : 3 + 36 : 3] = 0.5
    bent, _ = hand(pose, torch.zeros(1, 10), flat_hand_mean=True)
    flat, _ = hand(pose * 0, torch.zeros(1, 10), flat_hand_mean=True)
    for tip in TIP_VERTICES["smplx"][1:]:
        assert bent[0, tip, 1] < flat[0, tip, 1] - 0.02


def test_fingertips_of_every_convention_lie_on_the_tips(right):
    joints = right.J_regressor @ right.v_template
    for convention, tips in TIP_VERTICES.items():
        for name, tip in zip(FINGERS, tips, strict=True):
            if tip == 333:  # a neighbour of the index tip in MANO's own numbering only
                continue
            last = JOINTS_MANO16.index(f"{name}_3")
            along = joints[last] - joints[last - 1]
            along = along / np.linalg.norm(along)
            own = np.flatnonzero(right.weights[:, last] > 0.5)
            reach = (right.v_template[own] - joints[last]) @ along
            assert (right.v_template[tip] - joints[last]) @ along > reach.max() - 2.5e-3, (convention, name)
    apexes = right.v_template[right.tips]
    assert [int(np.abs(right.v_template - a).sum(1).argmin()) for a in apexes] == list(TIP_VERTICES["smplx"])


def test_weights_and_regressor_are_convex_combinations(right):
    assert (right.weights >= 0).all()
    np.testing.assert_allclose(right.weights.sum(1), 1, atol=1e-6)
    assert ((right.weights > 0).sum(1) <= 4).all()
    assert (right.J_regressor >= 0).all()
    np.testing.assert_allclose(right.J_regressor.sum(1), 1, atol=1e-6)


def test_pose_components_are_orthonormal(right):
    np.testing.assert_allclose(right.hands_components @ right.hands_components.T, np.eye(45), atol=1e-5)


def test_shape_directions_start_with_size(right):
    grown = right.v_template + right.shapedirs[:, :, 0]
    assert np.ptp(grown, 0).prod() > np.ptp(right.v_template, 0).prod()
    spread = np.linalg.norm(right.shapedirs, axis=(0, 1))
    assert (np.diff(spread) <= 1e-9).all()


def test_random_poses_hardly_overlap_themselves(hand, right):
    rng = np.random.default_rng(0)
    pose = np.zeros((8, 48), np.float32)
    pose[:, 3:] = sample_poses(8, rng)
    verts, _ = hand(torch.from_numpy(pose), torch.zeros(8, 10), flat_hand_mean=True)
    shares = []
    for posed in verts.numpy():
        closed = capped(posed, right.faces)
        numbers = winding_numbers(rng.uniform(*closed.bounds, (6000, 3)), closed)
        shares.append((numbers > 1).sum() / (numbers > 0).sum())
    assert np.median(shares) < 0.01
    assert max(shares) < 0.05


def test_random_shapes_stay_hands(hand, right):
    betas = torch.from_numpy(np.random.default_rng(1).normal(size=(16, 10)).astype(np.float32))
    verts, _ = hand(torch.zeros(16, 48), betas, flat_hand_mean=True)
    for shaped in verts.numpy():
        closed = capped(shaped, right.faces)
        assert closed.is_watertight
        assert 180e-6 < closed.volume < 650e-6


def test_bent_skin_follows_the_posed_flesh(hand):
    """A finger bent by 90 degrees keeps its thickness at the joint: correctives undo the candy-wrapper collapse."""
    pose = torch.zeros(1, 48)
    joint = JOINTS_MANO16.index("index_2")
    pose[0, 3 * joint + 2] = np.pi / 2
    ours = capped(hand(pose, torch.zeros(1, 10), flat_hand_mean=True)[0][0].numpy(), hand.data.faces)
    plain_posedirs = hand.mano.posedirs.clone()
    hand.mano.posedirs.zero_()
    try:
        plain = capped(hand(pose, torch.zeros(1, 10), flat_hand_mean=True)[0][0].numpy(), hand.data.faces)
    finally:
        hand.mano.posedirs.copy_(plain_posedirs)
    rest = capped(hand.data.v_template, hand.data.faces)
    assert abs(ours.volume - rest.volume) < abs(plain.volume - rest.volume)

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.distance import cdist

from tasks.geometry.inside import contains
from tasks.geometry.surface import sample_surface, seal
from tasks.hands.hand import load_hand
from tasks.hands.open_hand.pose_space import rotation_axes
from tasks.hands.skeleton import mirror_pose
from tasks.layouts.interhand26m.fits import posed_verts_m
from tasks.layouts.interhand26m.frames import rest_wrist_m
from tasks.synthesis.two_hands_posing import (
    BALL_M,
    Motion,
    Poser,
    TwoHands,
    contact_distance_m,
    sample_motion,
)

X = np.array([1.0, 0.0, 0.0])


def instants(kind: str, count: int, time: float = 0.0) -> tuple[list[Motion], list[TwoHands], np.ndarray]:
    """Instants of this many motions, and their meshes (n, 2, V, 3) on the stage."""
    betas = np.zeros((count, 10))
    motions = [sample_motion(np.random.default_rng(i), kind) for i in range(count)]
    hands = load_hand("right"), load_hand("left")
    j0 = np.stack([rest_wrist_m(hand.data, betas) for hand in hands], axis=1)
    posed = Poser(*hands, betas).instants(motions, time, j0)
    pose = np.stack([both.pose_aa for both in posed])
    pose[..., 3:] -= np.stack([hand.data.hands_mean for hand in hands])
    wrist = np.stack([both.wrist_m for both in posed])
    verts = np.stack([posed_verts_m(s, pose[:, k], betas) for k, s in enumerate(("right", "left"))], axis=1)
    return motions, posed, verts + (wrist - j0)[:, :, None]


@given(seed=st.integers(0, 10_000))
def test_balls_touch_at_the_contact_distance_and_nowhere_before(seed: int) -> None:
    rng = np.random.default_rng(seed)
    near, far = rng.normal(0, 0.01, (30, 3)), rng.normal(0, 0.01, (25, 3))
    moved = contact_distance_m(near, far, X)
    gap = cdist(near, far + moved * X).min() - 2 * BALL_M
    assert abs(gap) < 1e-9
    for beyond in (0.001, 0.01, 0.1):
        assert cdist(near, far + (moved + beyond) * X).min() > 2 * BALL_M


def test_what_passes_beside_is_not_moved() -> None:
    assert contact_distance_m(np.zeros((1, 3)), np.array([[0.0, 0.05, 0.0]]), X) == 0


def test_interacting_hands_come_near_without_passing_through() -> None:
    _, _, verts = instants("interacting", 24)
    faces = [load_hand(side).data for side in ("right", "left")]
    depth, gap = [], []
    for pair in verts:
        sealed = [seal(v, data.faces, data.wrist_loop) for v, data in zip(pair, faces, strict=True)]
        clouds = [sample_surface(*mesh, 1500, 0).points for mesh in sealed]
        apart = cdist(*clouds)
        gap.append(apart.min())
        inside = _contained(clouds[0], *sealed[1])
        depth.append(apart.min(axis=1)[inside].max() if inside.any() else 0.0)
    assert max(depth) < 0.004
    assert np.mean(np.array(gap) < 0.008) > 0.5
    assert max(gap) < 0.08


def _contained(points: np.ndarray, verts: np.ndarray, faces: np.ndarray) -> np.ndarray:
    low, high = verts.min(axis=0), verts.max(axis=0)
    inside = ((points > low) & (points < high)).all(axis=1)
    if inside.any():
        some = torch.from_numpy(points[inside])
        inside[inside] = contains(some, torch.from_numpy(verts), torch.from_numpy(faces)).numpy()
    return inside


@pytest.mark.parametrize("time", [0.0, 0.5, 1.0])
def test_middle_and_end_joints_stay_hinges_within_their_limits(time: float) -> None:
    _, posed, _ = instants("interacting", 30, time)
    pose = np.stack([both.pose_aa[:, 3:] for both in posed])
    pose[:, 1] = mirror_pose(pose[:, 1])
    rotations = pose.reshape(-1, 15, 3)
    for joint in (2, 5, 8, 11):  # middle joints of index, middle, pinky and ring
        axis = rotation_axes()[joint, 0]
        angle = np.rad2deg(rotations[:, joint - 1] @ axis)
        assert angle.min() > -0.1
        assert angle.max() < 108.1
        off_axis = rotations[:, joint - 1] - np.outer(np.deg2rad(angle), axis)
        assert np.abs(off_axis).max() < 1e-6


def test_a_sequence_moves_a_little_from_frame_to_frame() -> None:
    _, _, first = instants("right", 12, 0.0)
    _, _, second = instants("right", 12, 1 / 3)
    step = np.linalg.norm(second[:, 0] - first[:, 0], axis=-1).mean(axis=1)
    assert (step > 0.0005).all()
    assert (step < 0.05).all()


@pytest.mark.parametrize(("kind", "shows"), [("right", [True, False]), ("left", [False, True])])
def test_a_single_hand_is_about_the_middle_of_the_stage(kind: str, shows: list[bool]) -> None:
    _, posed, verts = instants(kind, 6)
    assert all(both.shows.tolist() == shows for both in posed)
    middle = verts[:, shows.index(True)].mean(axis=1)
    assert np.linalg.norm(middle, axis=-1).max() < 0.02

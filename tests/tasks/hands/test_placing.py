import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from tasks.hands.hand import HandModel, load_hand
from tasks.hands.open_hand.pose_space import sample_poses
from tasks.hands.placing import OPENGL_FROM_OPENCV, moved, rest_wrist


def pose(hand: HandModel, pose_aa: np.ndarray, betas: np.ndarray, trans_m: np.ndarray) -> np.ndarray:
    with torch.no_grad():
        tensors = (torch.tensor(a, dtype=torch.float32) for a in (pose_aa, betas))
        return hand(*tensors, flat_hand_mean=True)[0].double().numpy() + trans_m[:, None]


@given(seed=st.integers(0, 10**6))
def test_moved_parameters_give_the_moved_mesh(seed: int) -> None:
    """Acceptance: for any rotation R and shift t, the mesh of (R', t') is R v + t."""
    rng, hand = np.random.default_rng(seed), load_hand("right")
    pose_aa = np.concatenate([rng.normal(0, 2, (3, 3)), sample_poses(3, rng)], axis=1)
    betas, trans = rng.normal(0, 1, (3, 10)), rng.normal(0, 0.5, (3, 3))
    rotation, shift = Rotation.random(3, rng=rng).as_matrix(), rng.normal(0, 0.5, (3, 3))
    verts = pose(hand, pose_aa, betas, trans)
    new = moved(pose_aa, trans, rest_wrist(hand.data, betas), rotation, shift)
    expected = np.stack([v @ r.T + t for v, r, t in zip(verts, rotation, shift, strict=True)])
    np.testing.assert_allclose(pose(hand, new[0], betas, new[1]), expected, atol=1e-6)


def test_the_pivot_is_the_wrist_of_the_unposed_hand() -> None:
    hand, betas = load_hand("left"), np.random.default_rng(0).normal(size=(4, 10))
    with torch.no_grad():
        joints = hand(torch.zeros(4, 48), torch.tensor(betas, dtype=torch.float32), flat_hand_mean=True)[1]
    np.testing.assert_allclose(rest_wrist(hand.data, betas), joints[:, 0].numpy(), atol=1e-6)


def test_turning_to_opengl_and_back_changes_nothing() -> None:
    rng = np.random.default_rng(1)
    pose_aa, trans, wrist = rng.normal(size=(5, 48)), rng.normal(size=(5, 3)), rng.normal(size=(5, 3))
    there = moved(pose_aa, trans, wrist, OPENGL_FROM_OPENCV, np.zeros(3))
    back = moved(*there, wrist, OPENGL_FROM_OPENCV, np.zeros(3))
    np.testing.assert_allclose(back[1], trans, atol=1e-12)
    ours, theirs = (Rotation.from_rotvec(p[:, :3]).as_matrix() for p in (back[0], pose_aa))
    np.testing.assert_allclose(ours, theirs, atol=1e-12)
    np.testing.assert_array_equal(back[0][:, 3:], pose_aa[:, 3:])

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from tasks.hands.open_hand.pose_space import LIMITS_DEG, pose_components, rotation_axes, sample_poses
from tasks.hands.skeleton import JOINTS_MANO16

FINGERS = ("index", "middle", "ring", "pinky")


@pytest.fixture(scope="module")
def poses():
    return sample_poses(3000, np.random.default_rng(0))


def angles_deg(poses: np.ndarray, joint: str) -> np.ndarray:
    """(n, 3) flexion, abduction, twist: the rotation about the joint's own axes, abduction outermost."""
    j = JOINTS_MANO16.index(joint)
    flexion, abduction, twist = rotation_axes()[j]
    frame = np.stack([flexion, abduction, twist], 1)
    local = frame.T @ Rotation.from_rotvec(poses.reshape(-1, 15, 3)[:, j - 1]).as_matrix() @ frame
    abducted, flexed, twisted = Rotation.from_matrix(local).as_euler("YXZ", degrees=True).T
    return np.stack([flexed, abducted, twisted], 1)


def hinge_deg(poses: np.ndarray, joint: str) -> tuple[np.ndarray, np.ndarray]:
    """(n,) angle about the flexion axis and (n,) how far the rotation leaves that axis."""
    j = JOINTS_MANO16.index(joint)
    vector = np.rad2deg(poses.reshape(-1, 15, 3)[:, j - 1])
    flexion = vector @ rotation_axes()[j, 0]
    return flexion, np.linalg.norm(vector - flexion[:, None] * rotation_axes()[j, 0], axis=1)


def within(values: np.ndarray, name: str) -> bool:
    low, high = LIMITS_DEG[name]
    return bool((values >= low - 0.01).all() and (values <= high + 0.01).all())


@pytest.mark.filterwarnings("ignore:Gimbal lock")
@pytest.mark.parametrize("finger", FINGERS)
def test_fingers_stay_within_clinical_ranges(poses, finger):
    knuckle = angles_deg(poses, f"{finger}_1")
    knuckle = knuckle[knuckle[:, 0] < 89.0]  # at 90 degrees abduction and twist are one
    assert within(knuckle[:, 0], "knuckle_flexion")
    assert within(knuckle[:, 1], "knuckle_abduction")
    assert within(knuckle[:, 2], "knuckle_twist")
    assert within(hinge_deg(poses, f"{finger}_2")[0], "middle_flexion")
    assert within(hinge_deg(poses, f"{finger}_3")[0], "end_flexion")


@pytest.mark.parametrize("finger", FINGERS)
def test_middle_and_end_joints_are_hinges(poses, finger):
    for joint in (f"{finger}_2", f"{finger}_3", "thumb_2", "thumb_3"):
        assert hinge_deg(poses, joint)[1].max() < 0.01


def test_the_thumb_stays_within_clinical_ranges(poses):
    assert within(hinge_deg(poses, "thumb_2")[0], "thumb_knuckle_flexion")
    assert within(hinge_deg(poses, "thumb_3")[0], "thumb_end_flexion")


def test_poses_are_varied(poses):
    assert poses.shape == (3000, 45)
    assert poses.dtype == np.float32
    closing = hinge_deg(poses, "middle_2")[0]
    assert np.percentile(closing, 5) < 15
    assert np.percentile(closing, 95) > 80
    index, ring = hinge_deg(poses, "index_2")[0], hinge_deg(poses, "ring_2")[0]
    assert 0.3 < np.corrcoef(index, ring)[0, 1] < 0.95
    assert (np.abs(index - ring) > 40).mean() > 0.05


def test_end_joints_follow_middle_joints(poses):
    middle, end = hinge_deg(poses, "index_2")[0], hinge_deg(poses, "index_3")[0]
    assert np.corrcoef(middle, end)[0, 1] > 0.9
    assert np.polyfit(middle, end, 1)[0] == pytest.approx(0.63, abs=0.05)


def test_the_same_generator_gives_the_same_poses():
    one, other = (sample_poses(5, np.random.default_rng(9)) for _ in range(2))
    np.testing.assert_array_equal(one, other)
    assert np.abs(one - sample_poses(5, np.random.default_rng(10))).max() > 0.1


def test_components_are_the_principal_ones(poses):
    mean, rows = pose_components(poses)
    np.testing.assert_allclose(rows @ rows.T, np.eye(45), atol=1e-9)
    variance = ((poses - mean) @ rows.T).var(0)
    assert (np.diff(variance) <= 1e-9).all()
    assert variance[:12].sum() / variance.sum() > 0.95
    coefficients = (poses[:3] - mean) @ np.linalg.inv(rows)
    np.testing.assert_allclose(coefficients @ rows + mean, poses[:3], atol=1e-6)

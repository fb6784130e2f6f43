import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from tasks.two_hands.canonical import canonical_frame


@pytest.fixture(scope="module")
def hand(pairs):
    """A right hand's joints, 21 x 3."""
    return pairs.joints_m[0, 0]


def placed(joints, side="right"):
    joints = torch.from_numpy(np.ascontiguousarray(joints))
    return canonical_frame(joints, side)(joints, joints[0]).numpy()


def by_the_sheet(joints):
    """Wrist at 0; middle metacarpal to -y; normal to +z; axes cycled; divided by 0.4: one rotation after the other."""
    points = joints - joints[0]
    to_y = Rotation.align_vectors([[0, -1, 0]], [points[9] / np.linalg.norm(points[9])])[0]
    points = to_y.apply(points)
    normal = np.cross(points[9], points[5])
    about_y = Rotation.from_euler("y", np.arctan2(-normal[0], normal[2]))
    points = about_y.apply(points)
    return points[:, [1, 2, 0]] / 0.4


def test_the_frame_is_the_one_that_two_rotations_reach(hand):
    np.testing.assert_allclose(placed(hand), by_the_sheet(hand), atol=1e-12)


def test_the_middle_metacarpal_lies_along_minus_x_and_the_palm_faces_y(hand):
    points = placed(hand)
    length = np.linalg.norm(hand[9] - hand[0]) / 0.4
    np.testing.assert_allclose(points[0], 0)
    np.testing.assert_allclose(points[9], [-length, 0, 0], atol=1e-12)
    normal = np.cross(points[9], points[5])
    np.testing.assert_allclose(normal / np.linalg.norm(normal), [0, 1, 0], atol=1e-12)


def test_a_left_hand_is_put_where_its_mirror_image_is(hand):
    np.testing.assert_allclose(placed(hand * [-1, 1, 1], "left"), placed(hand), atol=1e-12)


def test_distances_are_kept_in_units_of_forty_centimetres(hand):
    before, after = (np.linalg.norm(p[:, None] - p[None], axis=-1) for p in (hand, placed(hand)))
    np.testing.assert_allclose(400 * after, 1000 * before, rtol=1e-12, atol=1e-12)


@settings(max_examples=30)
@given(
    turn=st.lists(st.floats(-3, 3), min_size=3, max_size=3),
    shift=st.lists(st.floats(-2, 2), min_size=3, max_size=3),
)
def test_the_same_hand_anywhere_is_the_same_in_the_frame(hand, turn, shift):
    moved = Rotation.from_rotvec(turn).apply(hand) + shift
    np.testing.assert_allclose(placed(moved), placed(hand), atol=1e-12)


def test_a_hand_without_a_palm_has_no_frame():
    assert np.isnan(placed(np.zeros((21, 3)))).all()

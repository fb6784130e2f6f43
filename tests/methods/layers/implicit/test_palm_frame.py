import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from methods.layers.implicit.palm_frame import HandFrames
from tasks.hands.skeleton import MIRROR_POINT
from tasks.two_hands.canonical import canonical_frame
from tests.methods.layers.implicit.posed import posed

MIRROR = torch.from_numpy(MIRROR_POINT).double()


@pytest.fixture(scope="module")
def hands(hand):
    """Vertices and joints of six hands, every other one a left hand, and which."""
    verts, joints = posed(hand, 6)
    is_left = torch.arange(6) % 2 == 1
    verts[is_left], joints[is_left] = verts[is_left] * MIRROR, joints[is_left] * MIRROR
    return verts, joints, is_left


def test_the_frames_are_the_protocols(hands):
    verts, joints, is_left = hands
    placed = HandFrames.of(joints, is_left).to_palm(verts)
    for i, side in enumerate(["right", "left"] * 3):
        expected = canonical_frame(joints[i], side)(verts[i], joints[i, 0])
        torch.testing.assert_close(placed[i], expected, rtol=0, atol=1e-12)


def test_points_come_back_to_where_they_were(hands):
    verts, joints, is_left = hands
    frames = HandFrames.of(joints, is_left)
    torch.testing.assert_close(frames.from_palm(frames.to_palm(verts)), verts, rtol=0, atol=1e-12)


def test_the_joints_are_the_keypoints_in_their_own_frame(hands):
    _, joints, is_left = hands
    frames = HandFrames.of(joints, is_left)
    torch.testing.assert_close(frames.joints, frames.to_palm(joints))


def test_gradients_are_those_of_the_formula(hands):
    verts, joints, is_left = hands

    def there_and_back(keypoints, points):
        frames = HandFrames.of(keypoints, is_left[:2])
        return frames.joints, frames.to_palm(points), frames.from_palm(points)

    inputs = joints[:2].clone().requires_grad_(), verts[:2, :3].clone().requires_grad_()
    assert torch.autograd.gradcheck(there_and_back, inputs)


@settings(max_examples=30)
@given(together=st.sets(st.sampled_from([0, 5, 9, 13]), min_size=2), left=st.booleans(), line=st.booleans())
def test_a_hand_without_a_palm_gets_some_rotation_and_finite_gradients(hands, together, left, line):
    keypoints = hands[1][:1].float().clone()
    keypoints[:, list(together)] = keypoints[:, [min(together)]]
    if line:
        keypoints[..., :2] = 0
    keypoints.requires_grad_()
    frames = HandFrames.of(keypoints, torch.tensor([left]))
    frames.joints.square().sum().backward()
    assert keypoints.grad.isfinite().all()
    torch.testing.assert_close(frames.rotation @ frames.rotation.mT, torch.eye(3)[None], rtol=0, atol=1e-5)
    assert frames.rotation.det().item() == pytest.approx(1, abs=1e-5)


def test_autocast_leaves_the_frame_exact(hands):
    verts, joints, is_left = (x.float() if x.is_floating_point() else x for x in hands)
    expected = HandFrames.of(joints, is_left).to_palm(verts)
    with torch.autocast("cpu", torch.bfloat16):
        torch.testing.assert_close(HandFrames.of(joints, is_left).to_palm(verts), expected)

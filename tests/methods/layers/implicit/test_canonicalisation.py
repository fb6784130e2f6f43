"""The layer against HALO's steps one by one, and what must hold of its transforms whatever the joints."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from methods.layers.implicit.canonical_hand import METACARPAL_ANGLES, PALM_PLANE_ANGLES
from methods.layers.implicit.canonicalisation import PARTS, canonicalise, joint_transforms
from methods.layers.implicit.palm_frame import HandFrames
from tasks.hands.skeleton import MIRROR_POINT, PARENTS
from tests.methods.layers.implicit.posed import moved, posed, skeletons

LENGTHS = torch.linspace(0.09, 0.02, 20, dtype=torch.float64)
BONES_OF_PARTS = (
    (0, 9),
    *((5, 6), (6, 7), (7, 8)),  # index
    *((9, 10), (10, 11), (11, 12)),  # middle
    *((17, 18), (18, 19), (19, 20)),  # pinky
    *((13, 14), (14, 15), (15, 16)),  # ring
    *((1, 2), (2, 3), (3, 4)),  # thumb
)
"""Joints in order B at the ends of the parts' bones."""


@pytest.fixture(scope="module")
def joints(hand):
    """Eight palm-aligned right hands of one shape, 8 x 21 x 3, units of 0.4 m."""
    return HandFrames.of(posed(hand, 8)[1], torch.zeros(8, dtype=torch.bool)).joints


def noisy(joints, metres=0.02):
    """Palm-aligned again after noise on every joint."""
    off = torch.randn(joints.shape, generator=torch.Generator().manual_seed(1), dtype=joints.dtype)
    return HandFrames.of(0.4 * joints + metres * off, torch.zeros(len(joints), dtype=torch.bool)).joints


def unit(vector):
    return vector / np.linalg.norm(vector)


def about(axis, angle):
    return Rotation.from_rotvec(axis * angle).as_matrix()


def signed_angle(a, b, axis):
    """From a to b, as seen against the axis."""
    return np.arctan2(unit(axis) @ np.cross(a, b), a @ b)


def normal(a, b):
    return unit(np.cross(a, b))


def turned_metacarpals(metacarpals):
    """HALO's two steps on unit metacarpals, thumb to pinky: planes, then spread. The rotation of each."""
    turns = [np.eye(3)] * 5

    def turn(fingers, axis, angle):
        for f in fingers:
            turns[f] = about(axis, angle) @ turns[f]

    def m(f):
        return turns[f] @ metacarpals[f]

    back = normal(m(2), m(1))
    turn([0], m(1), signed_angle(normal(m(1), m(0)), back, m(1)) - 0.8)
    turn([3, 4], m(2), signed_angle(normal(m(3), m(2)), back, m(2)) + 0.2)
    turn([4], m(3), signed_angle(normal(m(4), m(3)), normal(m(3), m(2)), m(3)) + 0.2)
    turn([1, 0], back, 0.2 - signed_angle(m(2), m(1), back))
    thumb_plane = normal(m(1), m(0))
    turn([0], thumb_plane, 0.4 - signed_angle(m(1), m(0), thumb_plane))
    ring_plane = normal(m(3), m(2))
    turn([3, 4], ring_plane, signed_angle(m(3), m(2), ring_plane) - 0.2)
    pinky_plane = normal(m(4), m(3))
    turn([4], pinky_plane, signed_angle(m(4), m(3), pinky_plane) - 0.2)
    return turns


def by_the_sheet(joints):
    """The 21 transforms of one palm-aligned hand, bone by bone, from angles."""
    bones = np.array([joints[j] - joints[PARENTS[j]] for j in range(1, 21)])
    lengths = np.linalg.norm(bones, axis=1)
    bones = (bones / lengths[:, None]).reshape(5, 4, 3)
    turns = turned_metacarpals(bones[:, 0])
    metacarpals = [turn @ bone for turn, bone in zip(turns, bones[:, 0], strict=True)]
    palms = [normal(metacarpals[f], metacarpals[f + 1]) for f in range(4)]
    palms = [palms[0], palms[1], palms[1] + palms[2], palms[2] + palms[3], palms[3]]
    transforms = np.tile(np.eye(4), (21, 1, 1))
    for f in range(5):
        y = normal(metacarpals[f], palms[f])
        axes = np.array([np.cross(y, metacarpals[f]), y, metacarpals[f]])
        straightened, start = np.eye(3), np.zeros(3)
        for k in range(4):
            j = 4 * f + k + 1
            if k:
                x, y, z = straightened @ axes @ turns[f] @ bones[f, k]
                flexion, abduction = np.arctan2(x, z), -np.arcsin(y)
                undone = Rotation.from_euler("XY", [-abduction, -flexion]).as_matrix()
                straightened = undone @ straightened
            transforms[j, :3, :3] = axes.T @ straightened @ axes @ turns[f]
            transforms[j, :3, 3] = start - transforms[j, :3, :3] @ joints[PARENTS[j]]
            start = start + lengths[j - 1] * metacarpals[f]
    return transforms


@pytest.mark.parametrize("prepare", [lambda joints: joints, noisy], ids=["true", "noisy"])
def test_the_transforms_are_those_of_halos_steps_one_by_one(joints, prepare):
    joints = prepare(joints)
    expected = np.stack([by_the_sheet(hand) for hand in joints.numpy()])
    np.testing.assert_allclose(joint_transforms(joints)[0].numpy(), expected, atol=1e-9)


def test_a_part_has_the_transform_of_its_bone_and_its_length(joints):
    transforms, lengths = canonicalise(joints)
    all_transforms, _ = joint_transforms(joints)
    assert len(PARTS) == len(BONES_OF_PARTS)
    for part, (start, end) in enumerate(BONES_OF_PARTS):
        torch.testing.assert_close(lengths[:, part], (joints[:, end] - joints[:, start]).norm(dim=-1))
        torch.testing.assert_close(transforms[:, part], all_transforms[:, end if part else 0])


def test_the_palm_of_aligned_joints_stays_where_it_is(joints):
    palm = canonicalise(joints).transforms[:, 0]
    torch.testing.assert_close(palm, torch.eye(4, dtype=palm.dtype).expand(8, -1, -1), rtol=0, atol=1e-12)


def canonical_joints(joints):
    """Where the transforms of their bones put starts and ends (n, 20, 2, 3)."""
    transforms, _ = joint_transforms(joints)
    ends = torch.stack([joints[:, list(PARENTS[1:])], joints[:, 1:]], 2)
    return moved(transforms[:, 1:], ends)


def test_canonical_fingers_are_straight_and_joined(joints):
    fingers = canonical_joints(joints).unflatten(1, (5, 4))
    torch.testing.assert_close(fingers[:, :, 1:, 0], fingers[:, :, :-1, 1], rtol=0, atol=1e-12)
    torch.testing.assert_close(fingers[:, :, 0, 0], torch.zeros_like(fingers[:, :, 0, 0]))
    bones = fingers[..., 1, :] - fingers[..., 0, :]
    cosine = torch.nn.functional.cosine_similarity(bones[:, :, 1:], bones[:, :, :1], dim=-1)
    torch.testing.assert_close(cosine, torch.ones_like(cosine))


def test_canonical_palms_have_halos_angles(joints):
    ends = canonical_joints(joints).unflatten(1, (5, 4))[:, :, 0, 1].numpy()
    for metacarpals in ends:
        spread = [signed_angle(a, b, np.cross(a, b)) for a, b in pairwise(metacarpals)]
        np.testing.assert_allclose(spread, METACARPAL_ANGLES)
        thumb, back, ring, pinky = (normal(b, a) for a, b in pairwise(metacarpals))
        assert back @ [0, 1, 0] == pytest.approx(1)
        along = metacarpals
        planes = [signed_angle(thumb, back, along[1]), signed_angle(back, ring, along[2])]
        planes.append(signed_angle(ring, pinky, along[3]))
        np.testing.assert_allclose(planes, PALM_PLANE_ANGLES)


def test_all_poses_of_the_same_lengths_have_one_canonical_skeleton():
    skeleton = canonical_joints(skeletons(50, LENGTHS))
    torch.testing.assert_close(skeleton, skeleton[:1].expand_as(skeleton), rtol=0, atol=1e-9)


def assert_rigid(transforms, atol):
    rotation = transforms[..., :3, :3]
    identity = torch.eye(3, dtype=rotation.dtype).expand_as(rotation)
    torch.testing.assert_close(rotation @ rotation.mT, identity, rtol=0, atol=atol)
    torch.testing.assert_close(rotation.det(), torch.ones_like(rotation[..., 0, 0]), rtol=0, atol=atol)
    assert (transforms[..., 3, :] == transforms.new_tensor([0, 0, 0, 1])).all()


def test_every_transform_is_a_rotation_and_a_shift():
    assert_rigid(joint_transforms(skeletons(50, LENGTHS))[0], 1e-12)


@settings(max_examples=30)
@given(
    turn=st.lists(st.floats(-3, 3), min_size=3, max_size=3),
    shift=st.lists(st.floats(-2, 2), min_size=3, max_size=3),
)
def test_a_point_that_moves_with_the_hand_keeps_its_canonical_place(joints, turn, shift):
    rotation = torch.tensor(Rotation.from_rotvec(turn).as_matrix())
    there = joints @ rotation.mT + torch.tensor(shift, dtype=joints.dtype)
    before, after = (moved(joint_transforms(x)[0], x[:, None]) for x in (joints, there))
    torch.testing.assert_close(after, before, rtol=0, atol=1e-9)


def test_the_unit_of_the_joints_is_the_unit_of_the_bones(joints):
    in_units, in_mm = canonicalise(joints), canonicalise(400 * joints)
    torch.testing.assert_close(in_mm.lengths, 400 * in_units.lengths)
    torch.testing.assert_close(in_mm.transforms[..., :3, :3], in_units.transforms[..., :3, :3])
    torch.testing.assert_close(in_mm.transforms[..., :3, 3], 400 * in_units.transforms[..., :3, 3])


def test_a_left_hand_has_the_bones_of_its_mirror_image(hand):
    _, right = posed(hand, 4)
    left = right * torch.from_numpy(MIRROR_POINT)
    sides = [torch.zeros(4, dtype=torch.bool), torch.ones(4, dtype=torch.bool)]
    bones = [
        canonicalise(HandFrames.of(x, side).joints) for x, side in zip((right, left), sides, strict=True)
    ]
    for ours, theirs in zip(*bones, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-12)


def test_gradients_are_those_of_the_formula(joints):
    assert torch.autograd.gradcheck(canonicalise, (noisy(joints)[:1].requires_grad_(),))


def test_noisy_joints_have_moderate_gradients(joints):
    predicted = noisy(joints).float().requires_grad_()
    moved(canonicalise(predicted).transforms, predicted.detach()[:, None]).sum().backward()
    assert predicted.grad.abs().max() < 1e4


JOINTS = st.sets(st.integers(0, 20), min_size=2, max_size=21)


@settings(max_examples=60)
@given(together=JOINTS, line=st.booleans(), offset=st.sampled_from([0.0, 1e-9, 1e-6, 1e-3]))
def test_joints_that_coincide_or_line_up_leave_everything_finite_and_rigid(joints, together, line, offset):
    broken = joints[:2].float().clone()
    broken[:, sorted(together)] = broken[:, [min(together)]]
    if line:
        broken[..., 1:] = 0
    broken = (
        broken + offset * torch.randn(broken.shape, generator=torch.Generator().manual_seed(0))
    ).requires_grad_()
    transforms, lengths = canonicalise(broken)
    assert_rigid(transforms, 1e-4)
    (transforms.square().sum() + lengths.sum()).backward()
    assert lengths.isfinite().all()
    assert broken.grad.isfinite().all()


def test_a_bone_without_length_goes_on_as_its_parent_does(joints):
    broken = joints.clone()
    broken[:, 8] = broken[:, 7]  # the index finger's tip in its last joint
    parts = canonicalise(broken).transforms[:, [2, 3], :3, :3]
    torch.testing.assert_close(parts[:, 1], parts[:, 0])


def test_autocast_leaves_the_transforms_exact(joints):
    expected = canonicalise(joints.float())
    with torch.autocast("cpu", torch.bfloat16):
        torch.testing.assert_close(canonicalise(joints.float()).transforms, expected.transforms)

"""How much of a pose is left in the canonical hand, in mm: what the part networks have to learn."""

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from methods.layers.implicit.canonical_hand import CANONICAL_HAND
from methods.layers.implicit.canonicalisation import PARTS, canonicalise
from methods.layers.implicit.palm_frame import HandFrames
from tasks.hands.open_hand.pose_space import sample_poses
from tasks.hands.skeleton import FINGERS, MANO_FINGERS, PARENTS_MANO16
from tests.methods.layers.implicit.posed import moved

N = 200


@pytest.fixture(scope="module")
def poses():
    return np.concatenate([np.zeros((N, 3)), sample_poses(N, np.random.default_rng(3))], 1)


@pytest.fixture(scope="module")
def hands(hand, poses):
    """Frames, bones, and vertices (N, V, 3) in the palm frames, of one shape."""
    with torch.no_grad():
        verts, _ = hand(torch.tensor(poses).float(), torch.zeros(N, 10), flat_hand_mean=True)
        joints = hand.joints_from_verts(verts)
    frames = HandFrames.of(joints.double(), torch.zeros(N, dtype=torch.bool))
    return frames, canonicalise(frames.joints), frames.to_palm(verts.double())


def spread_mm(points, of_vertices):
    """RMS distance over poses from the mean place, mean over the vertices (V,) chosen."""
    points = 400 * points[:, of_vertices]
    return (points - points.mean(0)).square().sum(-1).mean(0).sqrt().mean().item()


@pytest.mark.parametrize("part", range(16), ids=PARTS)
def test_the_surface_of_a_part_stays_within_millimetres(hand, hands, part):
    """1 to 4 mm, at most 2 where one bone alone moves the skin; in the palm frame fingers move by 10 to 45 mm."""
    _, bones, verts = hands
    weights = torch.tensor(hand.data.weights)
    own = weights.argmax(1) == part
    canonical = moved(bones.transforms[:, part], verts)
    assert spread_mm(canonical, own) < 4.5
    assert spread_mm(canonical, own & (weights.amax(1) > 0.9)) < 2.5
    if part:
        assert spread_mm(verts, own) > 2.5 * spread_mm(canonical, own)


@pytest.mark.parametrize("part", range(1, 16), ids=PARTS[1:])
def test_what_a_part_turns_by_is_the_twist_that_joints_do_not_show(hands, poses, part):
    """About the bone up to 9 degrees (RMS) at the thumb, 2 to 7 elsewhere; across it about 1."""
    frames, bones, _ = hands
    turn = np.eye(3)
    for joint in chain(part):
        turn = turn @ Rotation.from_rotvec(poses.reshape(N, 16, 3)[:, joint]).as_matrix()
    left = Rotation.from_matrix(bones.transforms[:, part, :3, :3].numpy() @ frames.rotation.numpy() @ turn)
    degrees = (left * left.mean().inv()).as_rotvec(degrees=True)
    along = CANONICAL_HAND.frames[FINGERS.index(MANO_FINGERS[(part - 1) // 3]), :, 2].numpy()
    twist = degrees @ along
    across = np.linalg.norm(degrees - twist[:, None] * along, axis=1)
    assert rms(twist) < (11 if part >= PARTS.index("thumb_1") else 8)
    assert rms(across) < 2


def chain(joint):
    """The joints from the finger's base to this one."""
    parent = PARENTS_MANO16[joint]
    return [*(chain(parent) if parent else []), joint]


def rms(values):
    return np.sqrt(np.mean(np.square(values)))

"""What happens before the cameras: a hand takes an object and moves it about, smoothly, from one pose to the next.

A performance stands in its own frame, metres: origin in the middle of the stage, x right, y down, z away from the
audience. Hands are right ones; a left hand is a performance seen in a mirror (``footage``).
"""

from dataclasses import dataclass

import numpy as np
import torch
from scipy.spatial.transform import Rotation, Slerp

from tasks.hands.hand import HandModel
from tasks.hands.open_hand.pose_space import sample_poses
from tasks.synthesis.arm import Arm, arm_rings_m, lengthened, sample_arm
from tasks.synthesis.objects import held
from tasks.synthesis.shading import Stage
from tasks.synthesis.things import Thing
from tasks.synthesis.views import sample_view

FRAMES_PER_KEY = 8
"""From one pose to the next."""
GRIPS = 48
LIFTS_M = np.linspace(-0.01, 0.05, 7)
"""Poses tried, and places of the object off the palm; those that fit best are the grip."""
SINKING = 40.0
"""What a millimetre inside the object counts against one that is missing to the touch of this share of the skin."""
TOUCHING = 0.125
LOOSENESS = 0.15
"""How far the fingers leave the grip, towards other poses."""
TILT_SD_DEG = 15.0
"""Of the object in the grip, per axis."""
TURN_SD_DEG = 28.0
"""Of the hand about its first direction, per axis."""
REACH_M = (0.06, 0.045, 0.05)
"""The hand's middle keeps this close to the middle of the stage, per axis."""

ARM_LONGER_M = 0.3
"""Beyond the forearm of a close-up, so that it leaves the frame."""


@dataclass(frozen=True)
class Performance:
    """T instants of one hand and one object."""

    betas: np.ndarray
    """(10,)."""
    arm: Arm
    thing: Thing
    hand_pose: np.ndarray
    """(T, 45) absolute axis-angle."""
    rotation: np.ndarray
    """(T, 3, 3) hand axes to the stage's."""
    wrist_m: np.ndarray
    """(T, 3)."""
    rest_wrist_m: np.ndarray
    """(3,) of the unposed hand, in hand axes: what the global rotation pivots about."""
    joints_m: np.ndarray
    """(T, 16, 3) MANO's posed joints."""
    verts_m: np.ndarray
    """(T, V, 3): hand, forearm, object, as ``Stage`` has them."""
    thing_rotation: np.ndarray
    """(T, 3, 3)."""
    thing_centre_m: np.ndarray
    """(T, 3)."""

    def __len__(self) -> int:
        return len(self.verts_m)


@dataclass(frozen=True)
class _Grasp:
    """The hand and the object in it, in hand axes: T instants, before the hand is turned and carried about."""

    verts_m: np.ndarray
    joints_m: np.ndarray
    thing_rotation: np.ndarray
    thing_centre_m: np.ndarray


def perform(
    stage: Stage, hand: HandModel, rng: np.random.Generator, betas: np.ndarray, thing: Thing, n_frames: int
) -> Performance:
    """One performance of this hand with this thing."""
    arm = sample_arm(rng)
    tilt = Rotation.from_rotvec(rng.normal(0, TILT_SD_DEG, 3), degrees=True).as_matrix()
    n_keys = 2 + n_frames // FRAMES_PER_KEY
    at = _between(n_keys, n_frames)
    grip, lift_m = _grip(hand, rng, betas, thing, tilt)
    hand_pose = at.mix(grip + LOOSENESS * (sample_poses(n_keys, rng) - grip))
    turns = Rotation.from_rotvec(rng.normal(0, TURN_SD_DEG, (n_keys, 3)), degrees=True)
    rotation = at.turn(turns * Rotation.from_matrix(sample_view(rng).rotation)).as_matrix()
    middle = at.mix(rng.uniform(-1, 1, (n_keys, 3)) * REACH_M)
    grasp = _grasp(hand, betas, hand_pose, thing, tilt, lift_m)
    own = _whole(stage, arm, thing, grasp)
    shift = middle - (rotation @ grasp.verts_m.mean(axis=1)[..., None])[..., 0]
    wrist = grasp.joints_m[0, 0]
    return Performance(
        betas, arm, thing, hand_pose, rotation,
        wrist_m=rotation @ wrist + shift,
        rest_wrist_m=wrist,
        joints_m=_carried(grasp.joints_m, rotation, shift),
        verts_m=_carried(own, rotation, shift),
        thing_rotation=rotation @ grasp.thing_rotation,
        thing_centre_m=_carried(grasp.thing_centre_m[:, None], rotation, shift)[:, 0],
    )  # fmt: skip


@dataclass(frozen=True)
class _Between:
    """Where T instants lie between keys: starting from each and coming to rest at the next."""

    key: np.ndarray
    part: np.ndarray

    def mix(self, values: np.ndarray) -> np.ndarray:
        """(T, C) of values (K, C)."""
        return values[self.key] + self.part[:, None] * (values[self.key + 1] - values[self.key])

    def turn(self, rotations: Rotation) -> Rotation:
        """T rotations, of K."""
        return Slerp(np.arange(len(rotations)), rotations)(self.key + self.part)


def _between(n_keys: int, n_frames: int) -> _Between:
    place = np.linspace(0, n_keys - 1, n_frames + 1)[:n_frames]
    key = place.astype(int)
    part = place - key
    return _Between(key, part * part * (3 - 2 * part))


def _grip(
    hand: HandModel, rng: np.random.Generator, betas: np.ndarray, thing: Thing, tilt: np.ndarray
) -> tuple[np.ndarray, float]:
    """A natural pose (45,) and a lift off the palm, with which the hand touches the thing and sinks into it little."""
    poses = sample_poses(GRIPS, rng)
    verts_m = _posed(hand, betas, poses)[0]
    rotation, centre = _places(hand, verts_m, thing, tilt, 0.0)
    own = ((verts_m - centre[:, None]) @ rotation)[:, ::4]
    gap = thing.gap_m(own - LIFTS_M[:, None, None, None] * tilt[1])
    cost = SINKING * np.maximum(-gap, 0).mean(axis=2) + np.quantile(np.maximum(gap, 0), TOUCHING, axis=2)
    lift, pose = np.unravel_index(cost.argmin(), cost.shape)
    return poses[pose], float(LIFTS_M[lift])


def _grasp(
    hand: HandModel, betas: np.ndarray, poses: np.ndarray, thing: Thing, tilt: np.ndarray, lift_m: float
) -> _Grasp:
    verts_m, joints_m = _posed(hand, betas, poses)
    return _Grasp(verts_m, joints_m, *_places(hand, verts_m, thing, tilt, lift_m))


def _places(
    hand: HandModel, verts_m: np.ndarray, thing: Thing, tilt: np.ndarray, lift_m: float
) -> tuple[np.ndarray, np.ndarray]:
    """Rotation (T, 3, 3) and centre (T, 3) of the thing in hands (T, V, 3), lifted off the palm."""
    joints_m = hand.joint_regressor21("freihand").double().numpy() @ verts_m
    places = [held(tilt, thing.half_length_m, *each)[:2] for each in zip(joints_m, verts_m, strict=True)]
    rotation, centre = (np.stack(part) for part in zip(*places, strict=True))
    return rotation, centre + lift_m * (rotation @ tilt[1])


def _posed(hand: HandModel, betas: np.ndarray, poses: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Vertices (T, V, 3) and MANO's joints (T, 16, 3), float64, of hands that are not turned."""
    pose = torch.zeros((len(poses), 48))
    pose[:, 3:] = torch.from_numpy(np.asarray(poses, np.float32))
    shape = torch.from_numpy(betas.astype(np.float32)).expand(len(poses), -1)
    with torch.no_grad():
        verts, joints = hand(pose, shape, flat_hand_mean=True)
    return verts.double().numpy(), joints.double().numpy()


def _whole(stage: Stage, arm: Arm, thing: Thing, grasp: _Grasp) -> np.ndarray:
    """(T, V, 3) hand, forearm and object in hand axes."""
    rings = np.stack([arm_rings_m(arm, verts[stage.loop]) for verts in grasp.verts_m])
    rings = lengthened(rings, ARM_LONGER_M).reshape(len(rings), -1, 3)
    things = thing.verts_m @ grasp.thing_rotation.mT + grasp.thing_centre_m[:, None]
    return np.concatenate([grasp.verts_m, rings, things], axis=1)


def _carried(points_m: np.ndarray, rotation: np.ndarray, shift_m: np.ndarray) -> np.ndarray:
    """(T, N, 3)."""
    return points_m @ rotation.mT + shift_m[:, None]

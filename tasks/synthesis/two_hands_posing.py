"""Poses of one or two hands over time: hands that move near each other without passing through.

A sequence is a motion between two key poses; a frame is an instant of it. Two hands face each other, lie side by side,
one behind the other, or cross. They are slid along the line between them until they nearly touch: to the nearest place
at which balls inside the one do not meet balls inside the other. Fingers stay as sampled, inside the limits of joints.

The stage's frame is in metres: x to the right, y away from the first camera, z up; the hands are about its origin.
"""

from dataclasses import dataclass

import numpy as np
import torch
from scipy.spatial import cKDTree
from scipy.spatial.transform import Rotation

from tasks.geometry.normals import vertex_normals
from tasks.hands.hand import HandModel
from tasks.hands.open_hand.pose_space import sample_poses
from tasks.hands.skeleton import mirror_pose

KINDS = ("interacting", "right", "interacting", "left")
"""Hand types of successive sequences: half of all frames interact."""
FRAMES = 4
"""Of a sequence."""
DRIFT = 0.5
"""From the first key pose to the second, as a share of the way to an independent one."""
TOUCHING_SHARE = 0.7
"""Of the interacting sequences; in the others the hands stay apart."""
TOUCHING_GAP_M, APART_GAP_M = (-0.0015, 0.003), (0.01, 0.05)
"""Between the surfaces of two hands."""
OFFSET_SD_M = 0.015
"""Of the left hand's place across the line between the hands."""
TURN_SD_DEG = 16.0
"""Of each hand about its place in the arrangement."""
YAW_SD_DEG, TILT_SD_DEG = 50.0, 18.0
"""Of both hands together, about the vertical and off it."""
LEAN_DEG = (10.0, 35.0)
"""Of the fingers towards the other hand, so that the forearms part."""
BALL_M = 0.0045
"""Radius of the balls that stand for a hand: they touch the skin from inside, one at every vertex."""

_X, _Y, _Z = np.eye(3)
_PLACES = {  # share; fingers and palm of the right hand, then of the left one, which is at +x of it
    "facing": (0.4, (_Z, _X), (_Z, -_X)),
    "side by side": (0.2, (_Z, -_Y), (_Z, -_Y)),
    "one behind the other": (0.2, (_Z, _X), (_Z, _X)),
    "crossed": (0.2, (_Z, _X), (-_Y, -_X)),
}


@dataclass(frozen=True)
class Motion:
    """A sequence: what is random about it, at its two ends; right hand, then left."""

    kind: str
    hand_pose: np.ndarray
    """(2 ends, 2, 45) absolute axis-angle."""
    placed: np.ndarray
    """(2, 3, 3) rotation of each hand, before its turn."""
    turn_aa: np.ndarray
    """(2 ends, 2, 3)."""
    both: np.ndarray
    """(3, 3) rotation of both together."""
    offset_m: np.ndarray
    """(2 ends, 3)."""
    gap_m: np.ndarray
    """(2 ends,)."""

    @property
    def shows(self) -> np.ndarray:
        """(2,) bool: which hands are there."""
        return np.array([self.kind != "left", self.kind != "right"])


@dataclass(frozen=True)
class TwoHands:
    """An instant: where both hands are, in the stage's frame. A hand that is not there has a pose all the same."""

    shows: np.ndarray
    """(2,) bool."""
    pose_aa: np.ndarray
    """(2, 48) absolute."""
    wrist_m: np.ndarray
    """(2, 3) where the pivot J0 of each hand is."""


def sample_motion(rng: np.random.Generator, kind: str) -> Motion:
    """One sequence."""
    shares = np.array([share for share, _, _ in _PLACES.values()])
    _, *sides = list(_PLACES.values())[rng.choice(len(shares), p=shares)]
    lean = rng.uniform(*LEAN_DEG) * np.array([1, -1])
    placed = [
        Rotation.from_euler("y", lean[hand], degrees=True).as_matrix() @ _hand_axes(*sides[hand], hand)
        for hand in (0, 1)
    ]
    gap = TOUCHING_GAP_M if rng.random() < TOUCHING_SHARE else APART_GAP_M
    tilt = rng.normal(0, TILT_SD_DEG, 2)
    poses = _ends(sample_poses(4, rng).reshape(2, 2, 45).astype(np.float64))
    poses[:, 1] = mirror_pose(poses[:, 1])
    return Motion(
        kind=kind,
        hand_pose=poses,
        placed=np.stack(placed),
        turn_aa=_ends(np.deg2rad(rng.normal(0, TURN_SD_DEG, (2, 2, 3)))),
        both=Rotation.from_euler("zxy", [rng.normal(0, YAW_SD_DEG), *tilt], degrees=True).as_matrix(),
        offset_m=_ends(rng.normal(0, OFFSET_SD_M, (2, 3)) * [0, 1, 1]),
        gap_m=_ends(rng.uniform(*gap, 2)),
    )


def _hand_axes(fingers: np.ndarray, palm: np.ndarray, hand: int) -> np.ndarray:
    """(3, 3) rotation of a right (0) or left (1) hand whose fingers and palm look in these directions.

    In its own axes a right hand's fingers point along -x, a left one's along +x, and both palms along -y.
    """
    x, y = fingers * (2 * hand - 1), -palm
    return np.stack([x, y, np.cross(x, y)], axis=1)


def _ends(independent: np.ndarray) -> np.ndarray:
    """The two ends of a motion from two independent draws."""
    first, other = independent
    return np.stack([first, first + DRIFT * (other - first)])


class Poser:
    """Both hands of one subject's shape, posed and placed beside each other."""

    def __init__(self, right: HandModel, left: HandModel, betas: np.ndarray) -> None:
        """``betas`` (B, 10), one shape for each instant of a batch."""
        self._hands = (right, left)
        self._betas = torch.tensor(betas, dtype=torch.float32)

    def instants(self, motions: list[Motion], time: float, j0_m: np.ndarray) -> list[TwoHands]:
        """The motions of a batch at a time in [0, 1]; ``j0_m`` (B, 2, 3) are the pivots of both hands' rest shapes."""
        weight = np.array([1 - time, time])
        poses = np.stack([np.tensordot(weight, motion.hand_pose, 1) for motion in motions])
        clouds = [self._inner_points(hand, poses[:, hand]) for hand in (0, 1)]
        return [
            _placed(motion, weight, poses[i], [cloud[i] for cloud in clouds], j0_m[i])
            for i, motion in enumerate(motions)
        ]

    def _inner_points(self, hand: int, poses: np.ndarray) -> np.ndarray:
        """(B, V, 3) centres of the balls of hands without global rotation."""
        model = self._hands[hand]
        pose = torch.zeros((len(poses), 48))
        pose[:, 3:] = torch.from_numpy(poses)
        with torch.no_grad():
            verts = model(pose, self._betas, flat_hand_mean=True)[0]
            return (verts - BALL_M * vertex_normals(verts, model.faces)).double().numpy()


def _placed(
    motion: Motion, weight: np.ndarray, poses: np.ndarray, clouds: list[np.ndarray], j0_m: np.ndarray
) -> TwoHands:
    turns = Rotation.from_rotvec(np.tensordot(weight, motion.turn_aa, 1)).as_matrix() @ motion.placed
    middles = np.stack([cloud.mean(axis=0) for cloud in clouds])
    own = [(cloud - middle) @ turn.T for cloud, middle, turn in zip(clouds, middles, turns, strict=True)]
    shift = weight @ motion.offset_m
    if motion.shows.all():
        across = contact_distance_m(own[0], own[1] + shift, _X) + weight @ motion.gap_m
        halves = np.array([-0.5, 0.5])[:, None] * (shift + across * _X)
    else:
        halves = np.zeros((2, 3))
    turns = motion.both @ turns
    wrist_m = halves @ motion.both.T + np.einsum("hij,hj->hi", turns, j0_m - middles)
    rotation = Rotation.from_matrix(turns).as_rotvec()
    return TwoHands(motion.shows, np.concatenate([rotation, poses], axis=1), wrist_m)


def contact_distance_m(near: np.ndarray, far: np.ndarray, direction: np.ndarray) -> float:
    """How far ``far`` (M, 3) must move along a unit direction so that its balls just touch those of ``near`` (N, 3).

    Balls of radius ``BALL_M`` that come from infinity: of each pair whose paths cross, the place of first contact; the
    largest counts. 0 where no paths cross: the hands pass each other.
    """
    reach = 2 * BALL_M
    side = np.linalg.svd(direction[None])[2][1:]
    pairs = cKDTree(near @ side.T).sparse_distance_matrix(cKDTree(far @ side.T), reach, output_type="ndarray")
    if not len(pairs):
        return 0.0
    along = near[pairs["i"]] @ direction - far[pairs["j"]] @ direction
    return float((along + np.sqrt(reach**2 - np.minimum(pairs["v"], reach) ** 2)).max())

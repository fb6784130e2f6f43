"""How hands move: natural poses from a few synergies inside clinical joint ranges.

One closing variable drives all fingers; a gradient across the hand, a trade-off between knuckle and middle joint,
and fingers that stay extended vary it. The end joint follows the middle joint; fingers spread less the more
they bend; the thumb turns as it opposes. Angles in degrees; ranges of motion as in clinical goniometry.
"""

from functools import lru_cache

import numpy as np
from scipy.spatial.transform import Rotation

from tasks.hands.open_hand.anatomy import LONG_FINGERS, default_anatomy, unit
from tasks.hands.skeleton import FINGERS, JOINTS_MANO16, MANO_FINGERS

LIMITS_DEG: dict[str, tuple[float, float]] = {
    "knuckle_flexion": (-18.0, 90.0),
    "knuckle_abduction": (-18.0, 18.0),
    "knuckle_twist": (-6.0, 6.0),
    "middle_flexion": (0.0, 108.0),
    "end_flexion": (-5.0, 80.0),
    "thumb_abduction": (-22.0, 24.0),
    "thumb_opposition": (-15.0, 50.0),
    "thumb_knuckle_flexion": (-12.0, 58.0),
    "thumb_end_flexion": (-20.0, 80.0),
}
END_TO_MIDDLE = 0.63
"""A finger's end joint follows its middle joint."""
TWIST_PER_OPPOSITION = -0.55
"""The thumb turns as it opposes."""
SPREAD_GONE_DEG, LEAST_SPREAD = 110.0, 0.15
"""Fingers spread less the more the knuckle bends, by this law down to this share."""
_EXTENDED_SHARE = 0.10
_OPPOSITION_TOWARDS = np.array([-0.2, -0.75, -0.62])
"""Where the thumb swings when it opposes the fingers."""
THUMB = MANO_FINGERS.index("thumb")


@lru_cache
def rotation_axes() -> np.ndarray:
    """(16, 3, 3) rows per joint: flexion (towards the palm), abduction (towards the thumb), twist (along the bone)."""
    axes = np.tile(np.eye(3), (16, 1, 1))
    for name in FINGERS:
        for bone in range(3):
            along, back, radial = default_anatomy().digits[name].frame(bone)
            axes[JOINTS_MANO16.index(f"{name}_{bone + 1}")] = radial, back, along
    return axes


@lru_cache
def digit_axes() -> np.ndarray:
    """(5, 5, 3) unit axes of a digit's rotations, the digits in MANO's order.

    The base joint turns about its third axis first and about its first one last: a finger's knuckle twists, bends and
    spreads; the thumb's base twists, opposes and abducts. The fourth is the middle joint's hinge, the fifth the end's.
    """
    axes = []
    for name in MANO_FINGERS:
        first = JOINTS_MANO16.index(f"{name}_1")
        bend, back, along = rotation_axes()[first]
        if name == "thumb":
            bend = unit(np.cross(along, unit(_OPPOSITION_TOWARDS)))
        axes.append([back, bend, along, *rotation_axes()[first + 1 : first + 3, 0]])
    return np.array(axes)


def sample_poses(n: int, rng: np.random.Generator) -> np.ndarray:
    """(n, 45) float32 axis-angle, in MANO's joint order, absolute (``flat_hand_mean=True``)."""
    return poses_of(sample_angles_deg(n, rng)).astype(np.float32)


def poses_of(angles_deg: np.ndarray) -> np.ndarray:
    """(n, 45) float64 axis-angle poses of angles (n, 5, 5) about ``digit_axes``."""
    angles, axes = np.deg2rad(angles_deg), digit_axes()
    pose = np.empty((len(angles), 5, 3, 3))
    for digit in range(5):
        about = [
            Rotation.from_rotvec(angles[:, digit, k, None] * axis) for k, axis in enumerate(axes[digit, :3])
        ]
        pose[:, digit, 0] = (about[0] * about[1] * about[2]).as_rotvec()
        pose[:, digit, 1:] = angles[:, digit, 3:, None] * axes[digit, 3:]
    return pose.reshape(-1, 45)


def sample_angles_deg(n: int, rng: np.random.Generator) -> np.ndarray:
    """(n, 5, 5) natural angles about ``digit_axes``."""
    angles = np.empty((n, 5, 5))
    closing = rng.beta(1.3, 1.6, n)
    gradient = rng.normal(0.0, 0.18, n)
    for k, name in enumerate(LONG_FINGERS):
        own = closing + gradient * (k - 1.5) / 1.5
        angles[:, MANO_FINGERS.index(name)] = _finger_angles(own, k, rng)
    angles[:, THUMB] = _thumb_angles(closing, rng)
    return angles


def _finger_angles(closing: np.ndarray, k: int, rng: np.random.Generator) -> np.ndarray:
    """(n, 5) of one finger."""
    n = len(closing)
    closed = np.clip(closing + rng.normal(0.0, 0.13, n), 0.0, 1.0)
    closed = np.where(rng.random(n) < _EXTENDED_SHARE, rng.uniform(0.0, 0.25, n), closed)
    at_knuckle = np.clip(0.5 + rng.normal(0.0, 0.22, n), 0.0, 1.0)
    knuckle = -12 + 95 * closed * (0.55 + 0.9 * at_knuckle) + rng.normal(0.0, 6.0, n)
    knuckle = _limited(knuckle, "knuckle_flexion")
    middle = 3 + 108 * closed * (0.55 + 0.9 * (1 - at_knuckle)) + rng.normal(0.0, 6.0, n)
    middle = _limited(middle, "middle_flexion")
    end = _limited(END_TO_MIDDLE * middle + rng.normal(0.0, 7.0, n), "end_flexion")
    spread = rng.normal(0.0, 6.5, n) + (3.5, 0.0, -2.5, -6.0)[k] * rng.normal(0.3, 0.9, n)
    spread = _limited(spread, "knuckle_abduction") * np.clip(1 - knuckle / SPREAD_GONE_DEG, LEAST_SPREAD, 1.0)
    twist = _limited(rng.normal(0.0, 2.0, n), "knuckle_twist")
    return np.stack([spread, knuckle, twist, middle, end], axis=1)


def _thumb_angles(closing: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """(n, 5) of the thumb."""
    n = len(closing)
    closed = np.clip(closing + rng.normal(0.0, 0.2, n), 0.0, 1.0)
    opposition = _limited(rng.normal(12 + 22 * closed, 12.0), "thumb_opposition")
    abduction = _limited(rng.normal(2.0, 11.0, n), "thumb_abduction")
    twist = TWIST_PER_OPPOSITION * opposition + rng.normal(0.0, 4.0, n)
    knuckle = _limited(rng.normal(4 + 30 * closed, 12.0), "thumb_knuckle_flexion")
    end = _limited(rng.normal(4 + 36 * closed, 16.0), "thumb_end_flexion")
    return np.stack([abduction, opposition, twist, knuckle, end], axis=1)


def _limited(degrees: np.ndarray, name: str) -> np.ndarray:
    return np.clip(degrees, *LIMITS_DEG[name])


def pose_components(poses: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(45,) mean and (45, 45) orthonormal principal directions (rows, largest variance first) of poses.

    Hinges leave directions in which nothing varies; they are completed in the order of the axes, so that the
    result does not depend on the linear algebra library.
    """
    poses = poses.astype(np.float64)
    mean = poses.mean(0)
    variances, columns = np.linalg.eigh((poses - mean).T @ (poses - mean) / len(poses))
    rows = [
        column for variance, column in zip(variances[::-1], columns.T[::-1], strict=True) if variance > 1e-9
    ]
    rows = [row * np.sign(row[np.abs(row).argmax()]) for row in rows]
    for axis in np.eye(45):
        for _ in range(2):  # twice is enough for full precision
            axis = axis - np.array(rows).T @ (np.array(rows) @ axis)
        if len(rows) < 45 and np.linalg.norm(axis) > 0.1:
            rows.append(unit(axis))
    return mean, np.array(rows)

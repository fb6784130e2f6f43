"""Anatomy as a loss: how far the joint angles leave their limits."""

import math

from torch import Tensor

from methods.layers.rotations import axis_angle_to_matrix, matrix_to_angles

Range = tuple[float, float]
Limits = tuple[Range, Range, Range]

FINGER_BASE: Limits = ((-5, 5), (-10, 10), (-10, 100))
FINGER: Limits = ((-5, 5), (-5, 5), (-10, 100))
PINKY_BASE: Limits = ((-20, 20), (-10, 10), (-10, 100))
THUMB: tuple[Limits, Limits, Limits] = (
    ((0, 90), (-22.5, 33.75), (-22.5, 22.5)),
    ((-5, 5), (-5, 5), (-22.5, 22.5)),
    ((-5, 5), (-5, 5), (-20, 100)),
)
LIMITS_DEG: tuple[Limits, ...] = (
    *(FINGER_BASE, FINGER, FINGER),  # index
    *(FINGER_BASE, FINGER, FINGER),  # middle
    *(PINKY_BASE, FINGER, FINGER),
    *(FINGER_BASE, FINGER, FINGER),  # ring
    *THUMB,
)
"""Twist, swing and bend of MANO's joints 1 to 15 (AMVUR's released loss_function.py, after S2HAND)."""

BEND_WEIGHT = 2.0


def joint_limit_excess(hand_pose_aa: Tensor) -> Tensor:
    """Mean excess in radians beyond the limits, bend counted twice; pose (B, 45) with the mean included -> scalar."""
    angles = matrix_to_angles(axis_angle_to_matrix(hand_pose_aa.unflatten(-1, (15, 3))))
    low, high = (angles.new_tensor(LIMITS_DEG) * (math.pi / 180)).unbind(-1)
    excess = (low - angles).clamp_min(0) + (angles - high).clamp_min(0)
    return (excess * excess.new_tensor([1.0, 1.0, BEND_WEIGHT])).sum(-1).mean()

"""Moving a posed hand rigidly by its parameters alone, which pivot about the rest wrist and not about the origin."""

import numpy as np
from scipy.spatial.transform import Rotation

from tasks.hands.model_file import HandModelData

OPENGL_FROM_OPENCV = np.diag([1.0, -1.0, -1.0])
"""Axes x right, y down, z forward to x right, y up, z backward; its own inverse, and a rotation."""


def rest_wrist(data: HandModelData, betas: np.ndarray) -> np.ndarray:
    """(n, 3) metres: the wrist of the unposed hand with these betas (n, 10), the pivot of the global rotation."""
    row = data.J_regressor[0].astype(np.float64)
    return row @ data.v_template + np.einsum("v,vck,nk->nc", row, data.shapedirs, betas)


def moved(
    pose_aa: np.ndarray, trans_m: np.ndarray, wrist_m: np.ndarray, rotation: np.ndarray, shift_m: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The pose (n, 48) and translation (n, 3) of hands moved by x -> R x + shift.

    ``wrist_m`` (n, 3) is ``rest_wrist``; ``rotation`` (3, 3) or (n, 3, 3), ``shift_m`` (3,) or (n, 3).
    R_g' = R R_g and t' = R t - J0 + R J0 + shift.
    """
    turned = Rotation.from_matrix(rotation) * Rotation.from_rotvec(pose_aa[:, :3])
    pose = np.concatenate([turned.as_rotvec(), pose_aa[:, 3:]], axis=1)
    return pose, np.einsum("...ij,...j->...i", rotation, trans_m + wrist_m) - wrist_m + shift_m

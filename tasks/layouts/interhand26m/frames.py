"""World to camera: joints, meshes and MANO parameters of InterHand2.6M in the frame of a camera, in float64.

Source: facebookresearch/InterHand2.6M, tool/MANO_world_to_camera/convert.py. It names two ways for a mesh: move the
vertices, or change the parameters. The second is exact with the pivot of MANO's global rotation, the rest wrist J0;
the official script takes the posed wrist for it, which is millimetres off.
"""

import math

import numpy as np
from scipy.spatial.transform import Rotation

from tasks.hands.model_file import HandModelData


def to_camera(points: np.ndarray, camrot: np.ndarray, campos: np.ndarray) -> np.ndarray:
    """Points (n, ..., 3) in the frames of n cameras: camrot (n, 3, 3) world to camera, campos (n, 3) their centres."""
    flat = points.reshape(len(points), math.prod(points.shape[1:-1]), 3)
    return ((flat - campos[:, None]) @ np.swapaxes(camrot, 1, 2)).reshape(points.shape)


def rest_wrist_m(model: HandModelData, betas: np.ndarray) -> np.ndarray:
    """(n, 3) J0 of the shapes (n, 10): where the wrist is before posing."""
    regressor = model.J_regressor[0].astype(np.float64)
    template = regressor @ model.v_template.astype(np.float64)
    return template + np.einsum("v,vik,nk->ni", regressor, model.shapedirs.astype(np.float64), betas)


def fit_to_camera(
    pose_aa: np.ndarray,
    trans_m: np.ndarray,
    j0_m: np.ndarray,
    camrot: np.ndarray,
    campos_m: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Pose (n, 48) and translation (n, 3) that give the same mesh in the camera frame.

    R' = C R, t' = C (J0 + t - p) - J0.
    """
    turned = Rotation.from_matrix(camrot) * Rotation.from_rotvec(pose_aa[:, :3])
    pose = np.concatenate([turned.as_rotvec(), pose_aa[:, 3:]], axis=1)
    return pose, to_camera(j0_m + trans_m, camrot, campos_m) - j0_m

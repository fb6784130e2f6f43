"""What DexYCB's files say of a sequence and of one image, and the relations between their numbers.

The hand is MANO with 45 principal components: pose45 = coefficients @ components + mean (manopth, ``flat_hand_mean``
False, ``use_pca``). Source: NVlabs/dex-ycb-toolkit, layers/mano_layer.py.
"""

from dataclasses import dataclass

import numpy as np

from tasks.hands.model_file import HandModelData
from tasks.hands.skeleton import Side
from tasks.layouts.dexycb.files import SERIALS


@dataclass(frozen=True)
class Sequence:
    """What ``meta.yml`` says."""

    name: str
    """``SUBJECT/TIME``."""
    num_frames: int
    ycb_ids: tuple[int, ...]
    """The objects on the table, 1 to 21."""
    ycb_grasp_ind: int
    """Position in ``ycb_ids`` of the one that is grasped."""
    side: Side
    hand: str
    """Name of the hand's calibration, as in ``20200709-subject-01_right``."""
    extrinsics: str
    """Name of the cameras' calibration."""
    serials: tuple[str, ...] = SERIALS


@dataclass(frozen=True)
class Label:
    """What ``labels_*.npz`` says of one image, in the file's own shapes and types, OpenCV camera frame."""

    seg: np.ndarray
    """(480, 640) uint8."""
    pose_y: np.ndarray
    """(n, 3, 4) float32: rotation and translation of each object."""
    pose_m: np.ndarray
    """(1, 51) float32: 3 global rotation, 45 coefficients, 3 translation; all 0 without a hand."""
    joint_3d: np.ndarray
    """(1, 21, 3) float32, metres, order B; all -1 without a hand."""
    joint_2d: np.ndarray
    """(1, 21, 2) float32, pixels; all -1 without a hand."""


def hand_label(
    data: HandModelData,
    pose_aa: np.ndarray,
    trans_m: np.ndarray,
    joints_m: np.ndarray,
    intrinsics_px: np.ndarray,
    seg: np.ndarray,
    pose_y: np.ndarray,
) -> Label:
    """The label of one posed hand.

    ``data`` is the model of the sequence's side; ``pose_aa`` (48,) of that side, the mean pose included; ``trans_m``
    (3,) is added to the posed model; ``joints_m`` (21, 3) posed joints with manopth's tips; nothing is mirrored.
    """
    coefficients = coefficients_of(data, pose_aa[None, 3:])[0]
    pose_m = np.concatenate([pose_aa[:3], coefficients, trans_m])
    homogeneous = joints_m @ intrinsics_px.T
    joints_px = homogeneous[:, :2] / homogeneous[:, 2:]
    return Label(
        seg=np.asarray(seg, np.uint8),
        pose_y=np.asarray(pose_y, np.float32),
        pose_m=pose_m[None].astype(np.float32),
        joint_3d=joints_m[None].astype(np.float32),
        joint_2d=joints_px[None].astype(np.float32),
    )


def label_without_hand(seg: np.ndarray, pose_y: np.ndarray) -> Label:
    """The label of an image without a hand."""
    missing = -np.ones((1, 21, 3), np.float32)
    return Label(
        seg=np.asarray(seg, np.uint8),
        pose_y=np.asarray(pose_y, np.float32),
        pose_m=np.zeros((1, 51), np.float32),
        joint_3d=missing,
        joint_2d=missing[..., :2],
    )


def coefficients_of(data: HandModelData, hand_aa: np.ndarray) -> np.ndarray:
    """(n, 45) coefficients of the hand angles (n, 45), the mean included. The inverse of ``hand_angles``."""
    components = data.hands_components.astype(np.float64)
    return np.linalg.solve(components.T, (hand_aa - data.hands_mean).T).T


def hand_angles(data: HandModelData, coefficients: np.ndarray) -> np.ndarray:
    """(n, 45) axis-angle, the mean included, of coefficients (n, 45)."""
    return coefficients.astype(np.float64) @ data.hands_components + data.hands_mean

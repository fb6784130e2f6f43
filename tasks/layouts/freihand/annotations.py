"""The annotations of FreiHAND as arrays, and the relations between them that the official code relies on.

Root and scale: lmb-freiburg/freihand, utils/model.py (``recover_root``, ``split_theta``).
"""

from dataclasses import dataclass

import numpy as np

ROOT_JOINT = 9
"""Middle base: the joint that the three last MANO numbers place."""
SCALE_BONE = (9, 10)
"""Proximal middle phalanx: its length is ``scale``."""
N_POSE, N_BETAS = 48, 10


@dataclass(frozen=True)
class Annotations:
    """n records, float64: what the five JSON files of a split hold."""

    intrinsics_px: np.ndarray
    """(n, 3, 3)."""
    joints_m: np.ndarray
    """(n, 21, 3), finger-major, OpenCV camera frame."""
    verts_m: np.ndarray
    """(n, 778, 3)."""
    scale_m: np.ndarray
    """(n,)."""
    mano: np.ndarray
    """(n, 1, 61): 48 pose (``hands_mean`` still to be added), 10 shape, root u, v in pixels, scale in pixels per
    metre."""

    def files(self) -> dict[str, np.ndarray]:
        """Annotation file -> its records."""
        return {
            "K": self.intrinsics_px,
            "xyz": self.joints_m,
            "verts": self.verts_m,
            "scale": self.scale_m,
            "mano": self.mano,
        }


def annotate(
    intrinsics_px: np.ndarray,
    joints_m: np.ndarray,
    verts_m: np.ndarray,
    pose_aa: np.ndarray,
    betas: np.ndarray,
) -> Annotations:
    """The five annotations of n posed hands; shapes as in ``Annotations``, pose (n, 48), betas (n, 10)."""
    root = root_numbers(intrinsics_px, joints_m)
    mano = np.concatenate([pose_aa, betas, root], axis=1)[:, None]
    return Annotations(intrinsics_px, joints_m, verts_m, reference_bone(joints_m), mano.astype(np.float64))


def reference_bone(joints_m: np.ndarray) -> np.ndarray:
    """(n,) the length that ``scale`` holds."""
    a, b = SCALE_BONE
    return np.linalg.norm(joints_m[:, a] - joints_m[:, b], axis=-1)


def focal_px(intrinsics_px: np.ndarray) -> np.ndarray:
    """(n,) the mean of both focal lengths."""
    return (intrinsics_px[:, 0, 0] + intrinsics_px[:, 1, 1]) / 2


def root_numbers(intrinsics_px: np.ndarray, joints_m: np.ndarray) -> np.ndarray:
    """(n, 3): u, v and s of the root joint, the inverse of ``root_position``."""
    root, centre = joints_m[:, ROOT_JOINT], intrinsics_px[:, :2, 2]
    scale = focal_px(intrinsics_px) / root[:, 2]
    return np.concatenate([root[:, :2] * scale[:, None] + centre, scale[:, None]], axis=1)


def root_position(intrinsics_px: np.ndarray, mano: np.ndarray) -> np.ndarray:
    """(n, 3) the place of the root joint in metres: ((u - cx)/s, (v - cy)/s, f/s)."""
    u_v, scale = mano[:, 0, -3:-1], mano[:, 0, -1:]
    lateral = (u_v - intrinsics_px[:, :2, 2]) / scale
    return np.concatenate([lateral, focal_px(intrinsics_px)[:, None] / scale], axis=1)


def split_mano(mano: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Pose (n, 48) and betas (n, 10) of (n, 1, 61)."""
    flat = mano[:, 0]
    return flat[:, :N_POSE], flat[:, N_POSE : N_POSE + N_BETAS]

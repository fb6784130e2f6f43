"""Hands in sampled poses before a camera of 640 x 480 pixels, for the layouts that show whole frames."""

from dataclasses import dataclass

import numpy as np
import torch

from tasks.hands.hand import load_hand
from tasks.hands.open_hand.pose_space import sample_poses
from tasks.hands.placing import rest_wrist
from tasks.hands.skeleton import Side, articulated_joints, mirror_pose

CAMERA = np.array([[617.0, 0, 312.5], [0, 615.0, 241.25], [0, 0, 1]])


@dataclass(frozen=True)
class PosedHands:
    """n hands, OpenCV, metres, float64; poses with the mean included, nothing mirrored."""

    pose_aa: np.ndarray
    trans_m: np.ndarray
    betas: np.ndarray
    rest_wrist_m: np.ndarray
    joints_m: np.ndarray
    verts_m: np.ndarray


def posed_hands(n: int, seed: int, tips: str, side: Side = "right") -> PosedHands:
    """Hands about 0.6 m away, some 5 cm off the axis."""
    rng, hand = np.random.default_rng(seed), load_hand(side)
    pose = np.concatenate([rng.normal(0, 1.5, (n, 3)), sample_poses(n, rng)], axis=1)
    pose = mirror_pose(pose) if side == "left" else pose
    betas = np.tile(rng.normal(0, 0.7, 10), (n, 1))
    tensors = (torch.tensor(a, dtype=torch.float32) for a in (pose, betas))
    with torch.no_grad():
        verts, skeleton = (part.double().numpy() for part in hand(*tensors, flat_hand_mean=True))
    trans = np.array([0.03, -0.02, 0.6]) + rng.normal(0, 0.03, (n, 3)) - verts.mean(axis=1)
    joints = articulated_joints(skeleton, verts, tips) + trans[:, None]
    return PosedHands(pose, trans, betas, rest_wrist(hand.data, betas), joints, verts + trans[:, None])


def projected(joints_m: np.ndarray, intrinsics_px: np.ndarray) -> np.ndarray:
    """(n, 21, 2) pixels, point by point."""
    pixels = np.empty((*joints_m.shape[:2], 2))
    for i, points in enumerate(joints_m):
        k = intrinsics_px if intrinsics_px.ndim == 2 else intrinsics_px[i]
        for j, (x, y, z) in enumerate(points):
            pixels[i, j] = k[0, 0] * x / z + k[0, 2], k[1, 1] * y / z + k[1, 2]
    return pixels


def spotted(joints_px: np.ndarray, radius_px: float = 6) -> np.ndarray:
    """(480, 640, 3) uint8: a black image with a white disc on every joint."""
    y, x = np.mgrid[:480, :640] + 0.5
    near = [(x - u) ** 2 + (y - v) ** 2 < radius_px**2 for u, v in joints_px]
    return np.repeat(np.where(np.any(near, axis=0), np.uint8(255), np.uint8(0))[..., None], 3, axis=2)

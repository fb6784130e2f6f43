"""Posed hands to canonicalise: the hand in use over random poses, and skeletons of given lengths."""

import numpy as np
import torch
from torch import Tensor

from tasks.hands.hand import HandModel
from tasks.hands.open_hand.pose_space import sample_poses


def posed(hand: HandModel, n: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Vertices (n, V, 3) and joints (n, 21, 3) of one shape, float64, metres, turned and placed anyhow."""
    rng = np.random.default_rng(seed)
    pose = torch.tensor(np.concatenate([rng.normal(0, 1, (n, 3)), sample_poses(n, rng)], 1)).float()
    betas = torch.tensor(rng.normal(0, 0.7, (1, 10))).float().expand(n, -1)
    with torch.no_grad():
        verts, _ = hand(pose, betas, flat_hand_mean=True)
        joints = hand.joints_from_verts(verts)
    place = torch.tensor(rng.normal(0, 0.3, (n, 1, 3)))
    return verts.double() + place, joints.double() + place


def skeletons(n: int, lengths: Tensor, seed: int = 0) -> Tensor:
    """Joints (n, 21, 3) whose bones point anywhere and are ``lengths`` (20,) long, order B."""
    noise = torch.Generator().manual_seed(seed)
    bones = torch.randn(n, 20, 3, generator=noise, dtype=torch.float64)
    bones = bones / bones.norm(dim=-1, keepdim=True) * lengths[:, None]
    fingers = bones.unflatten(1, (5, 4)).cumsum(2).flatten(1, 2)
    return torch.cat([torch.zeros(n, 1, 3, dtype=torch.float64), fingers], 1)


def moved(transforms: Tensor, points: Tensor) -> Tensor:
    """Points (..., N, 3) under (..., 4, 4)."""
    return points @ transforms[..., :3, :3].mT + transforms[..., None, :3, 3]

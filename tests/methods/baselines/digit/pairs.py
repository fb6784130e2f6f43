"""Batches of rendered hands, in pairs and alone: no files, no generator."""

import math

import torch

from tasks.geometry.rasteriser import interpolate, rasterise
from tasks.hands.hand import load_hand
from tasks.two_hands.batch import TwoHandBatch

SIDES = ("right", "left")
KINDS = ((True, True), (True, False), (False, True))


def rendered_pairs(n: int, size: int, seed: int = 0) -> TwoHandBatch:
    """Both hands, a right one, a left one, and so on; hands are coloured by where a vertex lies at rest."""
    noise = torch.Generator().manual_seed(seed)
    has_hand = torch.tensor(KINDS).repeat(-(-n // len(KINDS)), 1)[:n]
    hands = [load_hand(side) for side in SIDES]
    verts = torch.stack([posed(hand, n, noise) for hand in hands], 1) * has_hand[..., None, None]
    joints = torch.stack([hand.joints_from_verts(verts[:, i]) for i, hand in enumerate(hands)], 1)
    focal = 2.2 * size
    intrinsics = torch.tensor([[focal, 0, size / 2], [0, 1.1 * focal, size / 2], [0, 0, 1.0]]).repeat(n, 1, 1)
    faces = torch.cat([hands[0].faces, hands[1].faces + hands[0].n_verts])
    seen = rasterise(verts.flatten(1, 2), faces, intrinsics, size)
    rest = torch.cat([torch.as_tensor(hand.data.v_template) for hand in hands])
    colours = (0.5 + 4 * rest).clamp(0, 1).expand(n, -1, 3)
    image = interpolate(seen, faces, colours).permute(0, 3, 1, 2)
    background = 0.3 * torch.rand(n, 3, size, size, generator=noise)
    return TwoHandBatch(
        image=torch.where(seen.mask[:, None], image, background).contiguous(),
        intrinsics_px=intrinsics,
        joints_cam_m=joints,
        joint_valid=has_hand[..., None].repeat(1, 1, 21),
        has_hand=has_hand,
        verts_cam_m=verts,
        has_fit=has_hand.clone(),
        keypoints_cam_m=joints.clone(),
        has_keypoints=has_hand.clone(),
        index=torch.arange(n),
    )


def posed(hand: torch.nn.Module, n: int, noise: torch.Generator) -> torch.Tensor:
    """(n, V, 3): hands of one side beside the middle of the picture, palms towards each other."""
    sign = 1.0 if hand.side == "right" else -1.0
    pose = 0.2 * torch.randn(n, 48, generator=noise)
    pose[:, 1] += sign * math.pi / 2
    verts, _ = hand(pose, torch.randn(n, 10, generator=noise))
    place = torch.tensor([-0.05 * sign, 0.0, 0.6]) + 0.01 * torch.randn(n, 1, 3, generator=noise)
    return verts - verts.mean(1, keepdim=True) + place

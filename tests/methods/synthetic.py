"""Batches of rendered hands that any method can be tried on: no files, no generator."""

import math

import torch

from tasks.geometry.cameras import project
from tasks.geometry.rasteriser import interpolate, rasterise
from tasks.hands.hand import HandModel, load_hand
from tasks.hands.skeleton import MIDDLE_MCP
from tasks.single_hand.batch import HandBatch
from tasks.two_hands.batch import TwoHandBatch


def rendered_batch(hand: HandModel, n: int, size: int, seed: int = 0) -> HandBatch:
    """Hands in different poses, coloured by where a vertex lies at rest, before noise."""
    noise = torch.Generator().manual_seed(seed)
    pose = torch.randn(n, 48, generator=noise) * 0.2
    betas = torch.randn(n, 10, generator=noise)
    pose[:, :3] = torch.tensor([3.0, 0.0, 0.0]) + 0.3 * torch.randn(n, 3, generator=noise)
    verts, _ = hand(pose, betas)
    joints = hand.joints_from_verts(verts)
    place = torch.tensor([0.05, 0.0, 0.7]) + 0.02 * torch.randn(n, 1, 3, generator=noise)
    verts, joints = verts - joints[:, :1] + place, joints - joints[:, :1] + place
    focal = 2.1 * size
    intrinsics = torch.tensor([[focal, 0, size / 2], [0, focal, size / 2], [0, 0, 1.0]]).repeat(n, 1, 1)
    fragments = rasterise(verts, hand.faces, intrinsics, size)
    image = interpolate(fragments, hand.faces, vertex_colours(hand).expand(n, -1, 3)).permute(0, 3, 1, 2)
    background = torch.rand(n, 3, size, size, generator=noise)
    image = torch.where(fragments.mask[:, None], image, background)
    return HandBatch(
        image.contiguous(), intrinsics, joints, verts, project(joints, intrinsics),
        fragments.mask, torch.ones(n, dtype=torch.bool), pose, betas, torch.arange(n),
    )  # fmt: skip


def vertex_colours(hand: HandModel) -> torch.Tensor:
    """(V, 3) in [0.2, 0.8], smooth over the rest mesh."""
    verts = torch.as_tensor(hand.data.v_template, dtype=torch.float32)
    low, high = verts.min(0).values, verts.max(0).values
    return 0.2 + 0.6 * (verts - low) / (high - low)


def two_hand_batch(n: int, size: int, seed: int = 0) -> TwoHandBatch:
    """Both hands in different poses side by side, the right one at the left; every label is there."""
    noise = torch.Generator().manual_seed(seed)
    hands = [load_hand("right"), load_hand("left")]
    verts_m = torch.stack(
        [_posed_at(hand, 0.06 * side, n, noise) for hand, side in zip(hands, (-1, 1), strict=True)], 1
    )
    joints_m = torch.stack(
        [hand.joints_from_verts(verts_m[:, i], "intaghand") for i, hand in enumerate(hands)], 1
    )
    focal = 4.0 * size
    intrinsics = torch.tensor([[focal, 0, 0.48 * size], [0, focal, 0.35 * size], [0, 0, 1.0]]).repeat(n, 1, 1)
    faces = torch.cat([hands[0].faces, hands[1].faces + hands[0].n_verts])
    fragments = rasterise(verts_m.flatten(1, 2), faces, intrinsics, size)
    colours = torch.cat([vertex_colours(hands[0]), 1 - vertex_colours(hands[1])]).expand(n, -1, 3)
    image = interpolate(fragments, faces, colours).permute(0, 3, 1, 2)
    image = torch.where(fragments.mask[:, None], image, torch.rand(n, 3, size, size, generator=noise))
    both = torch.ones(n, 2, dtype=torch.bool)
    return TwoHandBatch(
        image=image.contiguous(), intrinsics_px=intrinsics, joints_cam_m=joints_m,
        joint_valid=both[..., None].expand(-1, -1, 21), has_hand=both, verts_cam_m=verts_m, has_fit=both,
        keypoints_cam_m=joints_m, has_keypoints=both, true_keypoints_cam_m=joints_m, index=torch.arange(n),
    )  # fmt: skip


def _posed_at(hand: HandModel, x_m: float, n: int, noise: torch.Generator) -> torch.Tensor:
    """(n, V, 3): fingers up, a little turned, the middle base near (x, 0, 1) metres."""
    pose = torch.randn(n, 48, generator=noise) * 0.2
    up = 1.0 if hand.side == "right" else -1.0
    pose[:, :3] = torch.tensor([0.0, 0.0, up * math.pi / 2]) + 0.2 * torch.randn(n, 3, generator=noise)
    verts, _ = hand(pose, torch.randn(n, 10, generator=noise))
    place = torch.tensor([x_m, 0.0, 1.0]) + 0.02 * torch.randn(n, 1, 3, generator=noise)
    return verts - hand.joints_from_verts(verts)[:, MIDDLE_MCP, None] + place

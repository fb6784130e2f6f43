"""Batches of rendered hands that any method can be tried on: no files, no generator."""

import torch

from tasks.geometry.cameras import project
from tasks.geometry.rasteriser import interpolate, rasterise
from tasks.hands.hand import HandModel
from tasks.single_hand.batch import HandBatch


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

"""Labelled points about the hands of a batch, to learn occupancy from: uniform in the canonical cube, or near the skin.

Source: korrawe/halo: halo_base/scripts/sample_mesh.py, which keeps 100,000 points a hand on disk; here they are drawn
afresh, and a point's label is exact. Where fingers run through each other it is inside.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from tasks.geometry.inside import winding_number
from tasks.geometry.surface import seal
from tasks.layouts.decoding import hand_in_use
from tasks.two_hands.batch import Queries, TwoHandBatch
from tasks.two_hands.canonical import canonical_frame
from tasks.two_hands.dataset import SIDES

HALF_SIDE = 0.55
"""Of the cube about the wrist, in units of 0.4 m."""


def draw_queries(
    batch: TwoHandBatch, seeds: Sequence[int], count: int, uniform_share: float, sigma: float
) -> Queries:
    """``count`` points of each hand, the first ``uniform_share`` of them uniform, the others ``sigma`` off the skin.

    Each sample's depend on its own seed alone. About a hand without a fit there are points all the same, none inside.
    On the CPU.
    """
    points = torch.empty((len(batch), len(SIDES), count, 3))
    occupied = torch.zeros((len(batch), len(SIDES), count), dtype=torch.bool)
    uniform = round(uniform_share * count)
    for sample, seed in enumerate(seeds):
        rng = np.random.default_rng(seed)
        for side in range(len(SIDES)):
            drawn = torch.from_numpy(rng.uniform(-HALF_SIDE, HALF_SIDE, (count, 3)))
            mesh = sealed_canonical(batch, sample, side) if batch.has_fit[sample, side] else None
            if mesh is not None:
                drawn[uniform:] = _near_skin(*mesh, count - uniform, sigma, rng)
                occupied[sample, side] = winding_number(drawn, *mesh) > 0
            points[sample, side] = drawn
    return Queries(points, occupied)


def sealed_canonical(batch: TwoHandBatch, sample: int, side: int) -> tuple[Tensor, Tensor]:
    """A fitted hand (V + 1, 3) float64 in the canonical frame of its true keypoints, wrist closed, and its faces."""
    hand = hand_in_use(SIDES[side])
    joints_m = batch.true_keypoints_cam_m[sample, side].double()
    place = canonical_frame(joints_m, SIDES[side])
    verts = place(batch.verts_cam_m[sample, side].double(), joints_m[0])
    closed, faces = seal(verts.numpy(), hand.faces.numpy(), hand.data.wrist_loop)
    order = faces if SIDES[side] == "right" else faces[:, ::-1].copy()
    return torch.from_numpy(closed), torch.from_numpy(order)


def _near_skin(verts: Tensor, faces: Tensor, count: int, sigma: float, rng: np.random.Generator) -> Tensor:
    corners = verts.numpy()[faces.numpy()]
    edges = corners[:, 1:] - corners[:, :1]
    area = np.linalg.norm(np.cross(edges[:, 0], edges[:, 1]), axis=1).cumsum()
    face = np.searchsorted(area, rng.uniform(0, area[-1], count), side="right").clip(max=len(area) - 1)
    share = rng.uniform(0, 1, (count, 2, 1))
    share = np.where(share.sum(axis=1, keepdims=True) > 1, 1 - share, share)
    return torch.from_numpy(
        corners[face, 0] + (share * edges[face]).sum(axis=1) + rng.normal(0, sigma, (count, 3))
    )

"""Labelled points about the hands of a batch, to learn occupancy from: those of ``queries``, in canonical frames."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from tasks.geometry.queries import labelled_points
from tasks.hands.skeleton import Side
from tasks.layouts.decoding import hand_in_use
from tasks.two_hands.batch import Queries, TwoHandBatch
from tasks.two_hands.canonical import canonical_frame
from tasks.two_hands.dataset import SIDES
from tasks.two_hands.solids import Solid
from tasks.two_hands.surfaces import canonical_solid

HALF_SIDE = 0.55
"""Of the cube about the wrist, in units of 0.4 m."""


def draw_queries(
    batch: TwoHandBatch, seeds: Sequence[int], count: int, uniform_share: float, sigma: float
) -> Queries:
    """``count`` points of each hand, the first ``uniform_share`` of them uniform, the others ``sigma`` off the skin.

    Each sample's depend on its own seed alone. About a hand without a fit all are at the wrist, and none inside. On the
    CPU, wherever the batch is.
    """
    joints_m, verts_m = batch.true_keypoints_cam_m.cpu().double(), batch.verts_cam_m.cpu().double()
    points = torch.zeros((len(batch), len(SIDES), count, 3))
    occupied = torch.zeros((len(batch), len(SIDES), count), dtype=torch.bool)
    for sample, seed in enumerate(seeds):
        rng = np.random.default_rng(seed)
        for side in torch.nonzero(batch.has_fit[sample]).flatten().tolist():
            mesh = sealed_canonical(joints_m[sample, side], verts_m[sample, side], SIDES[side])
            drawn = labelled_points(*mesh, count, HALF_SIDE, sigma, uniform_share, rng)
            points[sample, side], occupied[sample, side] = drawn.points, drawn.inside
    return Queries(points, occupied)


def sealed_canonical(joints_m: Tensor, verts_m: Tensor, side: Side) -> Solid:
    """A fitted hand (V, 3) float64 in the canonical frame of its true keypoints (21, 3), wrist closed."""
    place = canonical_frame(joints_m, side)
    return canonical_solid(place(verts_m, joints_m[0]), hand_in_use(side))

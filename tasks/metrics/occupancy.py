"""Overlap of two volumes: IoU of occupancies at points in a box, or near the true surface; one value per sample.

Where the points lie decides the number: uniform ones weigh volume, near-surface ones weigh the outline. Im2Hands'
released loader mixes both half and half; here they stand apart. Box and noise are in units of 0.4 m there: half a
side of 0.55, sigma 0.01, which is 4 mm.
"""

from __future__ import annotations

import torch
from torch import Tensor

from tasks.geometry.inside import contains

OCCUPIED = 0.5
Mesh = tuple[Tensor, Tensor]
"""Vertices (V, 3) and faces (F, 3), closed."""


def iou(predicted: Tensor, true: Tensor, threshold: float = OCCUPIED) -> Tensor:
    """Shared over joint occupancy: two (B, N) probabilities or bools -> (B,) float64.

    Occupied from ``>= 0.5`` on (autonomousvision/occupancy_networks: im2mesh/common.py, compute_iou). NaN where both
    are empty, and for a probability that is NaN.
    """
    unknown = (predicted.isnan() | true.isnan()).any(dim=-1)
    predicted, true = (values.double() >= threshold for values in (predicted, true))
    shared, joint = ((predicted & true).sum(dim=-1), (predicted | true).sum(dim=-1))
    return torch.where(unknown, torch.nan, shared.double() / joint)


def mesh_iou(predicted: Mesh, true: Mesh, points: Tensor) -> float:
    """IoU of two closed meshes at points (N, 3); NaN for a mesh without faces or with a vertex that is not finite."""
    if not all(len(faces) and verts.isfinite().all() for verts, faces in (predicted, true)):
        return float("nan")
    inside, truly_inside = (contains(points, *mesh)[None] for mesh in (predicted, true))
    return float(iou(inside, truly_inside))

"""Anchors: points of a hand's initial surface, which refinement attends to."""

import torch
from torch import Tensor

from methods.im2hands.config import AnchorsConfig
from methods.layers.implicit.config import ExtractionConfig
from methods.layers.implicit.extraction import Field, along_bones, hand_surface
from tasks.geometry.surface import sample_surface

SEED = 0
"""Equal surfaces have equal anchors."""


def surface_anchors(
    field: Field, keypoints: Tensor, anchors: AnchorsConfig, threshold: float, extraction: ExtractionConfig
) -> Tensor:
    """(A, 3) points, uniform over the surface of a field, in the palm frame of its keypoints (21, 3).

    A field without a surface, which only keypoints far from any hand give, has places along its bones for anchors.
    """
    coarser = extraction.model_copy(
        update={"resolution": anchors.resolution, "refinements": anchors.refinements}
    )
    surface = hand_surface(field, threshold, keypoints, coarser)
    if not len(surface.faces):
        places = along_bones(keypoints)
        return places[torch.arange(anchors.count, device=places.device) % len(places)]
    points = sample_surface(surface.verts.cpu().numpy(), surface.faces.cpu().numpy(), anchors.count, SEED)[0]
    return torch.from_numpy(points).to(keypoints)

"""From occupancy fields to meshes: octree marching cubes in each hand's palm frame, put back where the hand is."""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from methods.layers.implicit.config import ExtractionConfig
from methods.layers.implicit.palm_frame import HandFrames
from tasks.geometry.octree import Surface, extract_surface
from tasks.hands.skeleton import BONES
from tasks.ragged import Ragged

HALF_SIDE = 0.55
"""Of the cube that holds a hand, in units of 0.4 m from the wrist."""
PADDING = 0.1
"""4 cm: from the keypoints' box to that in which the surface is looked for."""
POINTS_PER_BONE = 3
"""Places along a bone that the coarse grid is told to look at: a finger may be thinner than its cells."""

Field = Callable[[Tensor], Tensor]
"""Occupancy (N,) of points (N, 3) in a hand's palm frame."""


def hand_surface(field: Field, threshold: float, keypoints: Tensor, settings: ExtractionConfig) -> Surface:
    """The surface of a hand's field in its palm frame; ``keypoints`` (21, 3) there say where the hand is."""
    within = None
    if settings.box == "keypoints":
        within = (keypoints.amin(dim=0) - PADDING, keypoints.amax(dim=0) + PADDING)
    return extract_surface(
        field,
        half_side=HALF_SIDE,
        resolution=settings.resolution,
        refinements=settings.refinements,
        threshold=threshold,
        within=within,
        seeds=along_bones(keypoints),
        device=keypoints.device,
    )


def along_bones(keypoints: Tensor) -> Tensor:
    """(20 k + 21, 3): the keypoints (21, 3) and places evenly between those that a bone joins."""
    ends = keypoints[torch.tensor(BONES, device=keypoints.device)]
    share = torch.arange(1, POINTS_PER_BONE + 1, device=keypoints.device) / (POINTS_PER_BONE + 1)
    between = torch.lerp(ends[:, :1], ends[:, 1:], share[:, None])
    return torch.cat([keypoints, between.flatten(0, 1)])


def surface_fields(surfaces: Sequence[Surface | None], frames: HandFrames) -> dict[str, Ragged]:
    """The prediction fields of H surfaces in their palm frames, two a sample, right hand first; None: no such hand."""
    verts, faces, counts = [], [], []
    for i, surface in enumerate(surfaces):
        count = (0, 0)
        if surface is not None:
            own = HandFrames(*(part[i : i + 1] for part in frames))
            verts.append(own.from_palm(surface.verts[None].to(own.rotation))[0].cpu().numpy())
            mirrored = bool(own.mirror[0, 0, 0] < 0)
            faces.append((surface.faces.flip(1) if mirrored else surface.faces).cpu().numpy())
            count = (len(verts[-1]), len(faces[-1]))
        counts.append(count)
    by_hand = np.array(counts, np.int64).reshape(-1, 2, 2)
    return {
        "surface_verts_cam_m": Ragged(_joined(verts, np.float32), by_hand[..., 0]),
        "surface_faces": Ragged(_joined(faces, np.int32), by_hand[..., 1]),
    }


def _joined(parts: list[np.ndarray], dtype: type) -> np.ndarray:
    return np.concatenate([np.zeros((0, 3), dtype), *(part.astype(dtype) for part in parts)])

"""The hand that HALO lays every hand on: metacarpals spread at fixed angles, straight fingers.

Thumb to pinky, in the palm frame: the middle finger along -x, the back of the hand towards +y. The thumb's metacarpal
is the line from the wrist to its first joint, as in all of HALO.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from methods.layers.implicit.directions import frame, unit_cross
from methods.layers.rotations import axis_angle_to_matrix

PALM_PLANE_ANGLES = (0.8, 0.2, 0.2)
"""Radians between the planes thumb-index, index-middle, middle-ring, ring-pinky: the palm is an arch."""
METACARPAL_ANGLES = (0.4, 0.2, 0.2, 0.2)
"""Radians between neighbouring metacarpals, thumb to pinky."""


class CanonicalHand(NamedTuple):
    """Its five fingers, float64."""

    frames: Tensor
    """(5, 3, 3): columns are x towards the palm, y, z along the finger."""
    turn: Tensor
    """(5, 3, 3): from the frame of a metacarpal's palm plane to its finger's, which lies between two planes."""


def _canonical_hand() -> CanonicalHand:
    middle, back = torch.tensor([[-1.0, 0, 0], [0, 1, 0]], dtype=torch.float64)
    index = _turned(middle, back, METACARPAL_ANGLES[1])
    thumb_plane = _turned(back, index, -PALM_PLANE_ANGLES[0])
    thumb = _turned(index, thumb_plane, METACARPAL_ANGLES[0])
    ring_plane = _turned(back, middle, PALM_PLANE_ANGLES[1])
    ring = _turned(middle, ring_plane, -METACARPAL_ANGLES[2])
    pinky_plane = _turned(ring_plane, ring, PALM_PLANE_ANGLES[2])
    pinky = _turned(ring, pinky_plane, -METACARPAL_ANGLES[3])
    along = torch.stack([thumb, index, middle, ring, pinky])
    backs = torch.stack([thumb_plane, back, back + ring_plane, ring_plane + pinky_plane, pinky_plane])
    frames = frame(unit_cross(torch.linalg.cross(along, -backs), along), along)
    planes = frame(plane_normals(along), along)
    return CanonicalHand(frames, planes.mT @ frames)


def _turned(vector: Tensor, axis: Tensor, angle: float) -> Tensor:
    return axis_angle_to_matrix(axis * angle) @ vector


def plane_normals(metacarpals: Tensor) -> Tensor:
    """(..., 5, 3) out of the back of the hand, square to each metacarpal; the middle one lies in the index's plane."""
    thumb, index, middle, ring, pinky = metacarpals.unbind(-2)
    pairs = ((index, thumb), (middle, index), (-index, middle), (-middle, ring), (-ring, pinky))
    return torch.stack([unit_cross(neighbour, own) for neighbour, own in pairs], -2)


CANONICAL_HAND = _canonical_hand()

"""HALO's palm frame for batches of hands that a network predicts from: finite and differentiable for any joints.

The same frame as the protocol's (``tasks/two_hands/canonical.py``), where every hand is a right one, its wrist is the
origin, its middle metacarpal points to -x, the back of its hand faces +y, and one unit is 0.4 m. A hand whose joints
span no palm, undefined for the protocol, gets some rotation here.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from methods.layers.implicit.directions import unit_cross, unit_or
from methods.layers.precision import full_precision
from tasks.two_hands.canonical import INDEX_MCP, MIDDLE_MCP, UNIT_M, WRIST

SHORTEST_M = 1e-4
"""Metacarpals under this length have no direction."""


class HandFrames(NamedTuple):
    """The palm frames of H hands; what is made of the keypoints carries their gradient."""

    joints: Tensor
    """(H, 21, 3) the keypoints in their own palm frame, order B, units of 0.4 m."""
    rotation: Tensor
    """(H, 3, 3): rows are the palm's axes in the (mirrored) given frame."""
    mirror: Tensor
    """(H, 1, 3): -1 in x for a left hand, else ones."""
    wrist_m: Tensor
    """(H, 1, 3) in the given frame."""

    @classmethod
    def of(cls, keypoints_m: Tensor, is_left: Tensor) -> "HandFrames":
        """Frames of hands (H, 21, 3), order B, metres, in any right-handed frame; ``is_left`` (H,) bool."""
        mirror = torch.where(is_left[:, None, None], keypoints_m.new_tensor([-1.0, 1.0, 1.0]), 1.0)
        wrist_m = keypoints_m[:, [WRIST]]
        rotation = _rotation((keypoints_m - wrist_m) * mirror)
        frames = cls(keypoints_m, rotation, mirror, wrist_m)
        return frames._replace(joints=frames.to_palm(keypoints_m))

    def to_palm(self, points_m: Tensor) -> Tensor:
        """Points (H, N, 3) of the given frame, metres, in units of 0.4 m from the wrist."""
        with full_precision(points_m):
            return ((points_m - self.wrist_m) * self.mirror) @ self.rotation.mT / UNIT_M

    def from_palm(self, points: Tensor) -> Tensor:
        """Points (H, N, 3) of the palm frames back in the given frame, metres."""
        with full_precision(points):
            return (points * UNIT_M) @ self.rotation * self.mirror + self.wrist_m


def _rotation(relative_m: Tensor) -> Tensor:
    """(H, 3, 3) of right hands (H, 21, 3) about their wrists."""
    middle, index = relative_m[:, MIDDLE_MCP], relative_m[:, INDEX_MCP]
    y = unit_or(-middle, middle.new_tensor([0.0, 1.0, 0.0]), SHORTEST_M)
    z = unit_cross(unit_or(index, torch.zeros_like(index), SHORTEST_M), y)
    return torch.stack([y, z, torch.linalg.cross(y, z)], 1)

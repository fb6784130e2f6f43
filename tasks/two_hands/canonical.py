"""HALO's and Im2Hands' canonical frame: a hand at its wrist, turned by its palm, in units of 0.4 m.

Left hands are mirrored in x first, so that every hand is a right one. Then the middle metacarpal points to -y, the palm
normal (middle x index) to +z, and the axes are cycled, (x, y, z) <- (y, z, x). Source: jyunlee/Im2Hands:
artihand/data; korrawe/halo: halo_base/scripts.
"""

from typing import NamedTuple

import torch
from torch import Tensor

UNIT_M = 0.4
WRIST, INDEX_MCP, MIDDLE_MCP = 0, 5, 9


class CanonicalFrame(NamedTuple):
    """Where one true hand puts the canonical frame; NaN for a hand whose palm spans no plane."""

    rotation: Tensor
    """(3, 3): rows are the canonical axes in the (mirrored) camera frame."""
    mirror: Tensor
    """(3,): -1 in x for a left hand, else ones."""

    def __call__(self, points_m: Tensor, wrist_m: Tensor) -> Tensor:
        """Points (N, 3) of a hand with its wrist at (3,), in units of 0.4 m."""
        return ((points_m - wrist_m) * self.mirror) @ self.rotation.mT / UNIT_M


def canonical_frame(joints_m: Tensor, side: str) -> CanonicalFrame:
    """The frame of a hand with joints (21, 3), finger-major, of the side ``right`` or ``left``."""
    mirror = joints_m.new_tensor([-1.0 if side == "left" else 1.0, 1.0, 1.0])
    relative_m = (joints_m - joints_m[WRIST]) * mirror
    y = -_unit(relative_m[MIDDLE_MCP])
    z = _unit(torch.linalg.cross(relative_m[MIDDLE_MCP], relative_m[INDEX_MCP]))
    return CanonicalFrame(torch.stack([y, z, torch.linalg.cross(y, z)]), mirror)


def _unit(vector: Tensor) -> Tensor:
    return vector / torch.linalg.vector_norm(vector)

"""HALO's canonicalisation layer: from 21 joints to the rigid motions that lay each bone in one canonical hand.

In the canonical hand the metacarpals spread at fixed angles and the fingers are straight; only lengths are the hand's
own. HALO reaches it by turning palm planes and metacarpals one after the other and undoing flexion and abduction
phalanx by phalanx. All of this composes to a frame on each bone: the rotation takes the posed frame to the canonical
one. A metacarpal's frame holds its palm plane's normal; a phalanx's is its parent's, turned by the flexion, about y,
then by the abduction, about the turned x.

Source: Karunratanakul et al., "A Skeleton-Driven Neural Occupancy Representation for Articulated Hands", 3DV 2021;
korrawe/halo: halo/models/halo_adapter. There the frames carry no gradient and angles are kept 0.08 degrees from 0.
"""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from methods.layers.implicit.canonical_hand import CANONICAL_HAND, plane_normals
from methods.layers.implicit.directions import frame, unit_cross, unit_or
from methods.layers.precision import full_precision
from tasks.hands.skeleton import FINGERS, JOINTS_MANO16, MANO_FINGERS, MIDDLE_MCP

PARTS = ("palm", *JOINTS_MANO16[1:])
"""HALO's 16 parts, in the order of MANO's joints: a vertex belongs to the part of its largest skinning weight."""

_KEPT = [0, *(4 * FINGERS.index(finger) + bone for finger in MANO_FINGERS for bone in (2, 3, 4))]
"""The joints, order B, at the far end of the 16 parts' bones; 0 for the palm."""
_KEPT_LENGTHS = [MIDDLE_MCP, *_KEPT[1:]]
_SHORTEST = 1e-4
"""Bones under this share of the length of all have no direction (0.1 mm)."""


class Bones(NamedTuple):
    """What HALO's networks know of H hands, parts in the order of ``PARTS``, in the unit of their joints."""

    transforms: Tensor
    """(H, 16, 4, 4) rigid, posed to canonical."""
    lengths: Tensor
    """(H, 16): wrist to middle knuckle, then the three phalanges of index, middle, pinky, ring and thumb."""


def canonicalise(joints: Tensor) -> Bones:
    """The 16 parts of right hands (H, 21, 3), order B, in any unit, palm-aligned or not.

    Finite, with finite gradients, for any finite joints: a bone without length goes on as its parent does.
    """
    with full_precision(joints):
        transforms, lengths = joint_transforms(joints)
    return Bones(transforms[:, _KEPT], lengths[:, _KEPT_LENGTHS])


def joint_transforms(joints: Tensor) -> tuple[Tensor, Tensor]:
    """Posed-to-canonical transforms (H, 21, 4, 4) and lengths (H, 21), order B, of the bones that end at each joint.

    The wrist's are the palm's rotation about it (the identity for palm-aligned joints) and 0.
    """
    starts = torch.cat([joints[:, :1].expand(-1, 5, -1)[:, :, None], _fingers(joints)[:, :, :3]], 2)
    vectors = _fingers(joints) - starts
    lengths = torch.linalg.vector_norm(vectors, dim=-1)
    canonical = CANONICAL_HAND.frames.to(joints)
    rotation = canonical[:, None] @ _posed_frames(vectors, lengths).mT
    reach = lengths.cumsum(-1) - lengths
    canonical_starts = reach[..., None] * canonical[:, None, :, 2]
    fingers = _rigid(rotation, starts, canonical_starts).flatten(1, 2)
    palm = _rigid(rotation[:, 2, 0], joints[:, 0], torch.zeros_like(joints[:, 0]))
    return torch.cat([palm[:, None], fingers], 1), F.pad(lengths.flatten(1), (1, 0))


def _fingers(joints: Tensor) -> Tensor:
    """(H, 5, 4, 3) without the wrist."""
    return joints[:, 1:].unflatten(1, (5, 4))


def _rigid(rotation: Tensor, start: Tensor, canonical_start: Tensor) -> Tensor:
    """(..., 4, 4) that turns about ``start`` and puts it at ``canonical_start``."""
    shift = canonical_start[..., None] - rotation @ start[..., None]
    last_row = rotation.new_tensor([0.0, 0.0, 0.0, 1.0]).expand(*rotation.shape[:-2], 1, 4)
    return torch.cat([torch.cat([rotation, shift], -1), last_row], -2)


def _posed_frames(vectors: Tensor, lengths: Tensor) -> Tensor:
    """Frames (H, 5, 4, 3, 3) on the bones (H, 5, 4, 3): columns are x towards the palm, y, z along the bone."""
    canonical, turn = (rotations.to(vectors) for rotations in CANONICAL_HAND)
    shortest = (_SHORTEST * lengths.detach().sum((1, 2)))[:, None, None]
    along = unit_or(vectors[:, :, 0], canonical[..., 2], shortest)
    frames = [frame(plane_normals(along), along) @ turn]
    for bone in range(1, 4):
        _, y, z = frames[-1].unbind(-1)
        along = unit_or(vectors[:, :, bone], z, shortest)
        frames.append(frame(unit_cross(y, along), along))
    return torch.stack(frames, 2)

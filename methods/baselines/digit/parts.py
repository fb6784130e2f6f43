"""Labels of the part segmentation: the visible part of each pixel, drawn from the MANO fits of both hands."""

import torch
from torch import Tensor

from tasks.geometry.cameras import scale_intrinsics
from tasks.geometry.rasteriser import rasterise
from tasks.hands.hand import HandModel

N_PARTS = 16
"""Of a hand: one per articulated joint of MANO, in MANO's order."""


class PartPainter:
    """Draws both hands into one depth buffer: 0 is background, 1 to 16 are the right hand's parts, 17 to 32 the left's.

    The part of a face is the one that its corners are bound to most. A left hand's mesh is a right one's mirrored.
    """

    def __init__(self, right: HandModel) -> None:
        data = right.data
        part = torch.from_numpy(data.weights[data.faces].sum(1).argmax(1))
        left_faces = torch.from_numpy(data.mirrored().faces) + data.n_verts
        self.faces = torch.cat([torch.from_numpy(data.faces), left_faces])
        self.classes = torch.cat([part.new_zeros(1), 1 + part, 1 + N_PARTS + part])
        """Of the background, then of each face."""

    def __call__(self, verts_cam_m: Tensor, intrinsics_px: Tensor, image_size_px: int, side: int) -> Tensor:
        """(B, side, side) int64 of vertices (B, 2, V, 3), right hand first, before cameras of square images."""
        scale = side / image_size_px
        intrinsics_px = scale_intrinsics(intrinsics_px, scale, scale)
        seen = rasterise(verts_cam_m.flatten(1, 2), self.faces, intrinsics_px, side)
        return self.classes.to(verts_cam_m.device)[seen.face_index + 1]

"""What the heads of IntagHand's encoder are taught: heatmaps, masks and dense coordinates, drawn from true meshes.

Source: Dw1010/IntagHand: core/Loss.py, utils/defaults.yaml.
"""

from typing import Any, Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from methods.layers.hand_encoder import HandHeads
from methods.layers.hand_pair import HandPair
from tasks.geometry.cameras import project, scale_intrinsics
from tasks.geometry.rasteriser import interpolate, rasterise

MaskLoss = Literal["smooth_l1", "cross_entropy"]
SMOOTH = 0.05
"""Where the smooth absolute error becomes a squared one."""
SIGMA_CELLS = 2.0
"""Of heatmaps, as released."""
WEIGHTS = {"heatmaps": 1.0, "masks": 0.1, "dense": 0.3}
"""Of an encoder that is prepared for hands: IntagHand's over that of heatmaps, but for masks, which are learnt by
cross-entropy here."""


def head_loss(heads: HandHeads, batch: Any, pair: HandPair, image_size_px: int) -> Tensor:
    """One number for all heads, for methods that want an encoder that knows hands: theirs begins from IntagHand's."""
    side = heads.masks.shape[-1]
    target = head_targets(pair, batch.verts_cam_m, batch.intrinsics_px, image_size_px, side, SIGMA_CELLS)
    errors = head_errors(heads, target, "cross_entropy")
    return torch.stack([WEIGHTS[name] * error for name, error in errors.items()]).sum()


def head_errors(heads: HandHeads, target: HandHeads, mask_loss: MaskLoss) -> dict[str, Tensor]:
    """Squared error of heatmaps, that of masks, and a smooth absolute one of dense coordinates inside the masks."""
    inside = target.masks.repeat_interleave(3, 1)
    if mask_loss == "cross_entropy":
        masks = F.binary_cross_entropy_with_logits(heads.masks, target.masks)
    else:
        masks = F.smooth_l1_loss(heads.masks, target.masks, beta=SMOOTH)
    return {
        "heatmaps": F.mse_loss(heads.heatmaps, target.heatmaps),
        "masks": masks,
        "dense": F.smooth_l1_loss(heads.dense * inside, target.dense, beta=SMOOTH),
    }


@torch.no_grad()
def head_targets(
    pair: HandPair,
    verts_cam_m: Tensor,
    intrinsics_px: Tensor,
    image_size_px: int,
    side: int,
    sigma_cells: float,
) -> HandHeads:
    """Targets of ``side`` x ``side`` cells for true vertices (B, 2, V, 3).

    Heatmaps have a peak of 1 at the joints; masks are what is seen of each hand, behind the other it is not; dense
    coordinates are 0 outside the masks.
    """
    intrinsics = scale_intrinsics(intrinsics_px, side / image_size_px, side / image_size_px)
    joints = project(pair.joints(verts_cam_m).flatten(1, 2), intrinsics)
    both = verts_cam_m.flatten(1, 2)
    fragments = rasterise(both, pair.both_faces, intrinsics, side, cull_backfaces=True)
    coordinates = interpolate(fragments, pair.both_faces, pair.coordinates.repeat(2, 1)).permute(0, 3, 1, 2)
    left = fragments.face_index >= len(pair.faces[0])
    masks = torch.stack([fragments.mask & ~left, left], 1).to(coordinates.dtype)
    dense = (masks[:, :, None] * coordinates[:, None]).flatten(1, 2)
    return HandHeads(heatmaps(joints, side, sigma_cells), masks, dense)


def heatmaps(points: Tensor, side: int, sigma_cells: float) -> Tensor:
    """Gaussians (B, N, side, side) of height 1 about points (B, N, 2) in cells; cell (0, 0) covers [0, 1)."""
    centres = torch.arange(side, device=points.device, dtype=points.dtype) + 0.5
    x, y = (torch.exp(-((centres - points[..., i, None]) ** 2) / (2 * sigma_cells**2)) for i in (0, 1))
    return y[..., :, None] * x[..., None, :]

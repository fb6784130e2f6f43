"""What the encoder's heads are taught: heatmaps, masks and dense coordinates, drawn from the true meshes on the fly."""

import torch
from torch import Tensor

from methods.baselines.intaghand.pair import HandPair
from methods.layers.hand_encoder import HandHeads
from tasks.geometry.cameras import project, scale_intrinsics
from tasks.geometry.rasteriser import interpolate, rasterise


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

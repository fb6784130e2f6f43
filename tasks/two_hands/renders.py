"""Pictures of two-hand predictions beside the truth: one row per frame, over the image and from the side."""

from collections.abc import Mapping

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from tasks.geometry.cameras import crop_intrinsics, scale_intrinsics
from tasks.hands.hand import HandModel
from tasks.single_hand.renders import (
    FINE_PX,
    PAPER_RGB,
    bone_mesh,
    compose,
    over,
    shaded,
    side_camera,
    side_view,
)
from tasks.single_hand.texture import render_colours
from tasks.two_hands.dataset import SIDES, TwoHandDataset
from tasks.two_hands.prediction import TwoHandPrediction, whole_hands

BOX_MARGIN = 1.25
TRUTH_RGB = ((0.62, 0.72, 0.84), (0.50, 0.76, 0.68))
PREDICTION_RGB = ((0.95, 0.66, 0.47), (0.93, 0.79, 0.42))
"""Right hand, left hand."""


def render_rows(
    predictions: Mapping[str, np.ndarray],
    dataset: TwoHandDataset,
    indices: Tensor,
    hands: Mapping[str, HandModel],
) -> Image.Image:
    """The picture: the crop, truth and prediction on it, both from the side, each about its own middle.

    Row i of each prediction field belongs to ``indices[i]``. A hand without a mesh is shown by its bones, one without
    joints not at all.
    """
    image, intrinsics_px = crops(dataset, indices)
    paper = image.new_tensor(PAPER_RGB)[:, None, None].expand_as(image)
    true_joints_m = whole_hands(dataset.truth(indices).joints_cam_m)
    predicted = TwoHandPrediction.of(predictions, len(indices))
    true_m, true_faces, true_owner = pair_surface(true_joints_m, dataset.true_verts(indices), hands)
    own_m, own_faces, own_owner = pair_surface(predicted.joints_cam_m, predicted.verts_cam_m, hands)
    true_side_m, own_side_m = (side_view(v, _middle(v)) for v in (true_m, own_m))
    to_centre_m, camera = side_camera(_filled(true_side_m))

    def truth_layer(verts_m: Tensor, k: Tensor) -> Tensor:
        return tinted(verts_m, true_faces, k, torch.tensor(TRUTH_RGB)[true_owner])

    def own_layer(verts_m: Tensor, k: Tensor) -> Tensor:
        return tinted(verts_m, own_faces, k, torch.tensor(PREDICTION_RGB)[own_owner])

    return compose(
        {
            "image": image,
            "truth": over(truth_layer(true_m, intrinsics_px), image),
            "prediction": over(own_layer(own_m, intrinsics_px), image),
            "truth, side": over(truth_layer(true_side_m - to_centre_m, camera), paper),
            "prediction, side": over(own_layer(own_side_m - to_centre_m, camera), paper),
        }
    )


def crops(dataset: TwoHandDataset, indices: Tensor) -> tuple[Tensor, Tensor]:
    """Squares around the hands' boxes (B, 3, S, S) at the size that is drawn, black outside; intrinsics (B, 3, 3)."""
    tiles, intrinsics = [], []
    for index in indices.tolist():
        pixels, intrinsics_px, (x, y, width, height) = dataset.image(index)
        side = max(1, round(BOX_MARGIN * max(width, height)))
        left, top = round(x + (width - side) / 2), round(y + (height - side) / 2)
        square = Image.fromarray(pixels).crop((left, top, left + side, top + side))
        tiles.append(np.asarray(square.resize((FINE_PX, FINE_PX), Image.Resampling.BICUBIC)))
        camera = crop_intrinsics(torch.from_numpy(intrinsics_px), left, top)
        intrinsics.append(scale_intrinsics(camera, FINE_PX / side, FINE_PX / side))
    return torch.from_numpy(np.stack(tiles)).permute(0, 3, 1, 2).float() / 255, torch.stack(intrinsics)


def pair_surface(
    joints_m: Tensor, verts_m: Tensor | None, hands: Mapping[str, HandModel]
) -> tuple[Tensor, Tensor, Tensor]:
    """Both hands as one mesh: vertices (B, N, 3), faces (F, 3) and the hand (0 right, 1 left) of each vertex (N,).

    Meshes where there are any, bones elsewhere; what is not drawn is NaN.
    """
    parts, faces, owner, count = [], [], [], 0
    for i, side in enumerate(SIDES):
        bones_m, bone_faces = bone_mesh(joints_m[:, i].float())
        pieces = [(bones_m, bone_faces)]
        if verts_m is not None:
            mesh_m = verts_m[:, i].float()
            has_mesh = mesh_m.flatten(1).isfinite().all(dim=1)[:, None, None]
            pieces = [(mesh_m, hands[side].faces.cpu()), (bones_m.where(~has_mesh, torch.nan), bone_faces)]
        for piece_m, piece_faces in pieces:
            parts.append(piece_m)
            faces.append(piece_faces + count)
            owner.append(torch.full((piece_m.shape[1],), i))
            count += piece_m.shape[1]
    return torch.cat(parts, dim=1), torch.cat(faces), torch.cat(owner)


def tinted(verts_m: Tensor, faces: Tensor, intrinsics_px: Tensor, rgb: Tensor) -> Tensor:
    """The matt mesh (B, 4, S, S) in the colours (N, 3) of its vertices."""
    white = shaded(verts_m, faces, intrinsics_px, PAPER_RGB)
    colours, _ = render_colours(
        verts_m, rgb.expand(len(verts_m), -1, -1), faces, intrinsics_px, (FINE_PX, FINE_PX)
    )
    return torch.cat([white[:, :3] * colours, white[:, 3:]], dim=1)


def _middle(verts_m: Tensor) -> Tensor:
    """(B, 1, 3): the mean of the vertices that are drawn."""
    return verts_m.nanmean(dim=1, keepdim=True)


def _filled(verts_m: Tensor) -> Tensor:
    """The vertices with their middle in the place of what is not drawn, so that they have bounds."""
    return torch.where(verts_m.isnan(), _middle(verts_m).nan_to_num(), verts_m)

"""Pictures of two-hand predictions beside the truth: a row per frame, over the image, from the side and from above."""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from tasks.geometry.cameras import crop_intrinsics, scale_intrinsics
from tasks.geometry.rasteriser import interpolate, rasterise
from tasks.hands.hand import HandModel
from tasks.ragged import Fields
from tasks.single_hand.renders import FINE_PX, PAPER_RGB, bone_mesh, compose, lit, over, side_camera
from tasks.two_hands.dataset import TwoHandDataset
from tasks.two_hands.prediction import Mesh, TwoHandPrediction, whole_hands

BOX_MARGIN = 1.25
TRUTH_RGB = ((0.62, 0.72, 0.84), (0.50, 0.76, 0.68))
PREDICTION_RGB = ((0.95, 0.66, 0.47), (0.93, 0.79, 0.42))
"""Right hand, left hand."""
SMALLEST_M = 1e-3
"""Half the side of the smallest thing that a view from another side is fitted to."""


class Drawn(NamedTuple):
    """What is drawn of the hands of one frame, as one mesh."""

    verts_m: Tensor
    """(1, N, 3) float32, camera frame, finite."""
    faces: Tensor
    """(F, 3) int64."""
    owner: Tensor
    """(N,) int64: 0 for the right hand, 1 for the left."""


def from_the_side(verts_m: Tensor) -> Tensor:
    """Turned by 90 degrees about the vertical axis: seen from its left."""
    return torch.stack([-verts_m[..., 2], verts_m[..., 1], verts_m[..., 0]], dim=-1)


def from_above(verts_m: Tensor) -> Tensor:
    """Turned by 90 degrees about the horizontal axis: seen from above, what is far from the camera at the top."""
    return torch.stack([verts_m[..., 0], -verts_m[..., 2], verts_m[..., 1]], dim=-1)


VIEWS: dict[str, Callable[[Tensor], Tensor]] = {"side": from_the_side, "above": from_above}


def render_rows(
    predictions: Fields, dataset: TwoHandDataset, indices: Tensor, hands: Mapping[str, HandModel]
) -> Image.Image:
    """The picture: the crop, truth and prediction on it, both from the side and from above, each about its own middle.

    Row i of each prediction field belongs to ``indices[i]``. A hand without a mesh is shown by its bones, one without
    joints not at all.
    """
    images, intrinsics_px = crops(dataset, indices)
    true_joints_m = whole_hands(dataset.truth(indices).joints_cam_m)
    truth = TwoHandPrediction(true_joints_m, true_joints_m[:, 0, 0], dataset.true_verts(indices))
    predicted = TwoHandPrediction.of(predictions, len(indices))
    rows = [
        tiles(images[i : i + 1], intrinsics_px[i : i + 1], *(drawn(p, i, hands) for p in (truth, predicted)))
        for i in range(len(indices))
    ]
    return compose({title: torch.cat([row[title] for row in rows]) for title in rows[0]})


def tiles(image: Tensor, intrinsics_px: Tensor, truth: Drawn, prediction: Drawn) -> dict[str, Tensor]:
    """The tiles of one frame (1, 3, S, S) by title."""
    shown = {"truth": (truth, TRUTH_RGB), "prediction": (prediction, PREDICTION_RGB)}
    found = {"image": image}
    for name, (hands, rgb) in shown.items():
        found[name] = over(tinted(hands, intrinsics_px, rgb), image)
    paper = image.new_tensor(PAPER_RGB)[:, None, None].expand_as(image)
    for view, turn in VIEWS.items():
        turned = {
            name: hands._replace(verts_m=_centred(turn(hands.verts_m))) for name, (hands, _) in shown.items()
        }
        to_centre_m, camera = side_camera(_extent(turned["truth"].verts_m))
        for name, hands in turned.items():
            moved = hands._replace(verts_m=hands.verts_m - to_centre_m)
            found[f"{name}, {view}"] = over(tinted(moved, camera, shown[name][1]), paper)
    return found


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


def drawn(predicted: TwoHandPrediction, frame: int, hands: Mapping[str, HandModel]) -> Drawn:
    """Both hands of a frame: the mesh where there is one, else the bones, else nothing."""
    verts: list[Tensor] = [torch.zeros(0, 3)]
    faces: list[Tensor] = [torch.zeros(0, 3, dtype=torch.int64)]
    owner: list[Tensor] = [torch.zeros(0, dtype=torch.int64)]
    count = 0
    for i, mesh in enumerate(predicted.meshes(frame, hands)):
        verts_m, triangles = mesh or _bones(predicted.joints_cam_m[frame, i])
        verts.append(verts_m.float())
        faces.append(triangles + count)
        owner.append(torch.full((len(verts_m),), i))
        count += len(verts_m)
    return Drawn(torch.cat(verts)[None], torch.cat(faces), torch.cat(owner))


def _bones(joints_m: Tensor) -> Mesh:
    if not joints_m.isfinite().all():
        return joints_m[:0], torch.zeros(0, 3, dtype=torch.int64)
    verts_m, faces = bone_mesh(joints_m[None].float())
    return verts_m[0], faces


def tinted(hands: Drawn, intrinsics_px: Tensor, rgb: Sequence[tuple[float, float, float]]) -> Tensor:
    """The matt mesh (1, 4, S, S), each hand in its colour."""
    if not len(hands.faces):
        return torch.zeros(1, 4, FINE_PX, FINE_PX)
    fragments = rasterise(hands.verts_m, hands.faces, intrinsics_px.float(), FINE_PX)
    colours = interpolate(fragments, hands.faces, torch.tensor(rgb)[hands.owner])
    return lit(fragments, hands.verts_m, hands.faces, colours)


def _centred(verts_m: Tensor) -> Tensor:
    """The vertices (1, N, 3) about the middle of their bounds."""
    return verts_m - _extent(verts_m).mean(dim=1, keepdim=True)


def _extent(verts_m: Tensor) -> Tensor:
    """(1, 2, 3): two opposite corners of what is drawn, never closer than ``SMALLEST_M`` to their middle."""
    if not verts_m.shape[1]:
        return verts_m.new_tensor([[[-SMALLEST_M] * 3, [SMALLEST_M] * 3]])
    low, high = verts_m.amin(dim=1), verts_m.amax(dim=1)
    middle, half = (low + high) / 2, ((high - low) / 2).clamp(min=SMALLEST_M)
    return torch.stack([middle - half, middle + half], dim=1)

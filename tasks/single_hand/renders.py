"""Pictures of predictions beside the truth: one row per sample, for the eye and for the report."""

import math
from collections.abc import Mapping

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor
from torch.nn import functional

from tasks.geometry.cameras import scale_intrinsics
from tasks.geometry.normals import pixel_normals
from tasks.geometry.rasteriser import Fragments, rasterise
from tasks.hands.skeleton import BONES
from tasks.single_hand.dataset import HandDataset
from tasks.single_hand.texture import load_native, render_colours

TILE_PX = 192
SUPERSAMPLING = 2
FINE_PX = TILE_PX * SUPERSAMPLING
GAP_PX = 6
HEADER_PX = 26
TRUTH_RGB = (0.62, 0.72, 0.84)
PREDICTION_RGB = (0.95, 0.66, 0.47)
PAPER_RGB = (1.0, 1.0, 1.0)
SIDE_DISTANCE_M = 0.8
SIDE_FILL = 0.8
BONE_SIDES, BONE_RADIUS_M, BONE_BELT = 6, 0.005, 0.25
"""A bone without flesh is a spindle, thickest at this share of its length."""


def render_rows(
    predictions: Mapping[str, np.ndarray], dataset: HandDataset, indices: Tensor, faces: Tensor
) -> Image.Image:
    """The picture: image, truth, prediction, its texture where there is one, both from the side.

    Row i of each prediction field belongs to ``indices[i]``. A prediction that is not finite shows no mesh; one without
    a mesh on these faces is shown by its bones.
    """
    image, intrinsics_px = enlarged(dataset, indices)
    paper = image.new_tensor(PAPER_RGB)[:, None, None].expand_as(image)
    true_joints_m, true_verts_m = dataset.truth(indices)
    fields = {name: torch.from_numpy(np.asarray(values, np.float32)) for name, values in predictions.items()}
    verts_m, own_faces = _drawn_mesh(fields, true_verts_m.shape[1], faces)

    columns = {
        "image": image,
        "truth": over(shaded(true_verts_m, faces, intrinsics_px, TRUTH_RGB), image),
        "prediction": over(shaded(verts_m, own_faces, intrinsics_px, PREDICTION_RGB), image),
    }
    if "vertex_rgb" in fields:
        colours, seen = render_colours(
            verts_m, fields["vertex_rgb"], faces, intrinsics_px, (FINE_PX, FINE_PX)
        )
        columns["texture"] = over(torch.cat([colours, seen[:, None].float()], dim=1), paper)
    true_side_m, side_m = side_view(true_verts_m, true_joints_m), side_view(verts_m, fields["joints_cam_m"])
    centre_m, camera = side_camera(true_side_m)
    columns["truth, side"] = over(shaded(true_side_m - centre_m, faces, camera, TRUTH_RGB), paper)
    columns["prediction, side"] = over(shaded(side_m - centre_m, own_faces, camera, PREDICTION_RGB), paper)
    return compose(columns)


def _drawn_mesh(fields: Mapping[str, Tensor], n_verts: int, faces: Tensor) -> tuple[Tensor, Tensor]:
    """Vertices and faces that show a prediction."""
    if "verts_cam_m" in fields and fields["verts_cam_m"].shape[1] == n_verts:
        return fields["verts_cam_m"], faces
    return bone_mesh(fields["joints_cam_m"])


def bone_mesh(joints_m: Tensor) -> tuple[Tensor, Tensor]:
    """Each bone of (B, 21, 3) joints as a spindle: vertices (B, 20 * 8, 3) and faces (F, 3)."""
    bones = torch.tensor(BONES)
    start, end = joints_m[:, bones[:, 0]], joints_m[:, bones[:, 1]]
    along = functional.normalize(end - start, dim=-1)
    aside = functional.normalize(torch.linalg.cross(along, along.roll(1, dims=-1)), dim=-1)
    across = torch.linalg.cross(along, aside)
    belt = start + BONE_BELT * (end - start)
    angles = [math.tau * k / BONE_SIDES for k in range(BONE_SIDES)]
    ring = [belt + BONE_RADIUS_M * (math.cos(a) * aside + math.sin(a) * across) for a in angles]
    verts = torch.stack([start, *ring, end], dim=2)
    next_to = [(k, k % BONE_SIDES + 1) for k in range(1, BONE_SIDES + 1)]
    one = torch.tensor([(0, b, a) for a, b in next_to] + [(BONE_SIDES + 1, a, b) for a, b in next_to])
    faces = one + (BONE_SIDES + 2) * torch.arange(len(bones))[:, None, None]
    return verts.flatten(1, 2), faces.flatten(0, 1)


def enlarged(dataset: HandDataset, indices: Tensor) -> tuple[Tensor, Tensor]:
    """The images (B, 3, S, S) at the size that is drawn, and their intrinsics (B, 3, 3)."""
    image, _, intrinsics_px = load_native(dataset, indices)
    intrinsics_px = scale_intrinsics(intrinsics_px, FINE_PX / image.shape[3], FINE_PX / image.shape[2])
    image = functional.interpolate(image, (FINE_PX, FINE_PX), mode="bicubic", antialias=True)
    return image.clamp(0, 1), intrinsics_px


def shaded(
    verts_cam_m: Tensor,
    faces: Tensor,
    intrinsics_px: Tensor,
    colour: tuple[float, float, float],
) -> Tensor:
    """A matt mesh under a soft light from the upper left of the camera: (B, 4, S, S) with opacity last."""
    fragments = rasterise(verts_cam_m.float(), faces, intrinsics_px.float(), FINE_PX)
    return lit(fragments, verts_cam_m, faces, torch.tensor(colour))


def lit(fragments: Fragments, verts_cam_m: Tensor, faces: Tensor, rgb: Tensor) -> Tensor:
    """What is seen of a matt mesh of one colour (3,), or of a colour at each pixel (B, S, S, 3)."""
    normals = pixel_normals(fragments, verts_cam_m.float(), faces)
    light = functional.normalize(torch.tensor([-0.45, -0.55, -1.0]), dim=0)
    diffuse = (normals @ light).clamp(min=0)
    facing = normals[..., 2].neg().clamp(0, 1)
    brightness = 0.30 + 0.62 * diffuse + 0.12 * facing
    highlight = 0.18 * (2 * diffuse * normals[..., 2].neg() - light[2].neg()).clamp(0, 1).pow(24)
    shown = (brightness[..., None] * rgb + highlight[..., None]).clamp(0, 1)
    return torch.cat([shown, fragments.mask[..., None].float()], dim=-1).permute(0, 3, 1, 2)


def over(layer: Tensor, image: Tensor) -> Tensor:
    """An RGBA layer (B, 4, S, S) on an image (B, 3, S, S)."""
    rgb, opacity = layer[:, :3], layer[:, 3:]
    return torch.where(opacity > 0, rgb, image)


def side_view(verts_cam_m: Tensor, joints_cam_m: Tensor) -> Tensor:
    """The mesh relative to its wrist, turned by 90 degrees about the vertical axis: seen from its left."""
    relative = verts_cam_m - joints_cam_m[:, :1]
    return torch.stack([-relative[..., 2], relative[..., 1], relative[..., 0]], dim=-1)


def side_camera(verts_m: Tensor) -> tuple[Tensor, Tensor]:
    """What to subtract (B, 1, 3) and intrinsics (B, 3, 3), so that each mesh fills its picture."""
    low, high = verts_m.amin(dim=1), verts_m.amax(dim=1)
    centre_m = (low + high) / 2 - verts_m.new_tensor([0.0, 0.0, SIDE_DISTANCE_M])
    half_m = (high - low)[:, :2].amax(dim=1) / 2
    camera = torch.eye(3).repeat(len(verts_m), 1, 1)
    camera[:, 0, 0] = camera[:, 1, 1] = SIDE_FILL * (FINE_PX / 2) * SIDE_DISTANCE_M / half_m
    camera[:, :2, 2] = FINE_PX / 2
    return centre_m[:, None], camera


def compose(columns: Mapping[str, Tensor]) -> Image.Image:
    """Tiles (B, 3, S, S) by column title -> one picture with a header."""
    rows = len(next(iter(columns.values())))
    step = TILE_PX + GAP_PX
    picture = Image.new("RGB", (len(columns) * step + GAP_PX, rows * step + HEADER_PX), "white")
    draw, font = ImageDraw.Draw(picture), ImageFont.load_default(15)
    for column, (title, tiles) in enumerate(columns.items()):
        left = GAP_PX + column * step
        draw.text((left + TILE_PX / 2, HEADER_PX / 2), title, fill=(60, 60, 60), font=font, anchor="mm")
        small = functional.avg_pool2d(tiles, SUPERSAMPLING)
        for row, tile in enumerate((255 * small).round().byte().permute(0, 2, 3, 1).numpy()):
            picture.paste(Image.fromarray(tile), (left, HEADER_PX + row * step))
    return picture

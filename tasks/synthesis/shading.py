"""Lights a batch of posed hands, with forearm and object, and returns what the camera sees of them.

Visibility is found at twice the resolution; edges are shaded there and averaged, so that they are smooth. The materials
of a sample lie side by side in one picture: skin on the left, object above and forearm below on the right.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from tasks.geometry.cameras import project
from tasks.geometry.normals import vertex_normals
from tasks.geometry.rasteriser import NEAR_M
from tasks.geometry.visibility import visible_faces
from tasks.hands.model_file import HandModelData
from tasks.layouts.freihand.files import IMAGE_SIZE_PX
from tasks.synthesis.arm import N_RINGS, arm_faces
from tasks.synthesis.objects import AROUND, object_faces, object_uv

SUPERSAMPLING = 2
SKIN_TEXELS = 160
"""Side of a skin picture: a texel is about a pixel of the image."""
SURFACE_TEXELS = 80
"""Side of the pictures of objects and forearms: half of the skin's."""
WRAP = (0.38, 0.24, 0.18)
"""How far light creeps around edges, per colour: red goes deepest into skin."""
MATERIAL_SHAPE = (SKIN_TEXELS, SKIN_TEXELS + SURFACE_TEXELS, 3)
BLOCKERS = 7
"""Every n-th vertex shades its surroundings."""
_DISC_M2 = 2.1e-4
"""Its area: the hand's skin, some 400 cm2 on both sides, shared out."""
_STEP_M = 0.006
"""Faces of one surface that share a pixel differ less in depth."""
_PARTS_M = 100.0
_QUAD = tuple((row, column) for row in range(SUPERSAMPLING) for column in range(SUPERSAMPLING))
"""The fine pixels of one pixel of the image."""


@dataclass(frozen=True)
class Light:
    """Light and gloss of a batch."""

    direction: Tensor
    """(B, 3) unit, towards the light, camera frame."""
    key_rgb: Tensor
    """(B, 3)."""
    ambient_rgb: Tensor
    """(B, 3)."""
    gloss: Tensor
    """(B, 2) strength of the highlight on skin and on the object."""

    def of(self, i: int) -> "Light":
        """The light of one sample, without the batch dimension."""
        return Light(self.direction[i], self.key_rgb[i], self.ambient_rgb[i], self.gloss[i])


@dataclass(frozen=True)
class Picture:
    """What is seen in front of the background, at the image's resolution."""

    rgb: np.ndarray
    """(B, H, W, 3) float32 sRGB in [0, 1], premultiplied by ``alpha``."""
    alpha: np.ndarray
    """(B, H, W) float32."""
    hand: np.ndarray
    """(B, H, W) float32: share of the pixel that shows the hand itself."""


class Stage:
    """The mesh of hand, forearm and object: its faces and texture coordinates are the same for every sample."""

    def __init__(self, hand: HandModelData) -> None:
        if hand.wrist_loop is None:
            raise ValueError(f"hand model '{hand.name}' names no wrist loop")
        self.n_hand_verts, self.loop = hand.n_verts, hand.wrist_loop
        self.object_first = hand.n_verts + len(self.loop) * (N_RINGS - 1)
        parts = [hand.faces, arm_faces(self.loop, hand.n_verts), object_faces() + self.object_first]
        self.faces = torch.from_numpy(np.concatenate(parts))
        self.arm_face, self.object_face = np.cumsum([len(part) for part in parts])[:2].tolist()
        texels = [skin_texels(hand), arm_texels(len(self.loop)), _object_texels()]
        self.texels = torch.from_numpy(np.concatenate(texels).astype(np.float32))
        """(F, 3, 2) column and row of each corner in the picture of ``materials``."""
        self.painted = hand.vt is not None
        """Whether the skin is a picture; else it is a colour per vertex."""

    def shade(
        self,
        verts_m: Tensor,
        intrinsics_px: Tensor,
        materials: Tensor,
        light: Light,
        skin: Tensor,
        size_px: tuple[int, int] = (IMAGE_SIZE_PX, IMAGE_SIZE_PX),
    ) -> Picture:
        """The batch as the camera sees it, in images of ``size_px`` (H, W).

        ``verts_m`` (B, V, 3) hand, forearm, object in the camera frame; ``intrinsics_px`` (B, 3, 3); ``materials``
        (B, *MATERIAL_SHAPE) sRGB; ``skin`` (B, hand's V, 3) sRGB, used where the model has no texture coordinates.
        """
        fine_px = (SUPERSAMPLING * size_px[0], SUPERSAMPLING * size_px[1])
        scaled = intrinsics_px * torch.tensor([SUPERSAMPLING, SUPERSAMPLING, 1.0])[:, None]
        verts_px, depth_m = project(verts_m, scaled), verts_m[..., 2]
        face_index = visible_faces(verts_px, depth_m, self.faces, fine_px, NEAR_M, cull=True)
        normals = self._normals(verts_m)
        vertex = torch.cat([normals, self._openness(verts_m, normals), verts_px, depth_m[..., None]], dim=2)
        layers = [
            self._one(face_index[i], vertex[i], materials[i], light.of(i), skin[i])
            for i in range(len(verts_m))
        ]
        stacked = torch.stack(layers).view(-1, *size_px, 5).numpy()
        return Picture(rgb=stacked[..., :3], alpha=stacked[..., 3], hand=stacked[..., 4])

    def _normals(self, verts_m: Tensor) -> Tensor:
        """(B, V, 3) unit normals, alike on both sides of the object's seam."""
        normals = vertex_normals(verts_m, self.faces)
        grid = normals[:, self.object_first :].unflatten(1, (-1, AROUND + 1))
        grid[:, :, [0, -1]] = functional.normalize(grid[:, :, [0]] + grid[:, :, [-1]], dim=-1)
        return normals

    def _openness(self, verts_m: Tensor, normals: Tensor) -> Tensor:
        """(B, V, 1) of the hand's vertices between hand and object; forearm and object stand free."""
        n_hand = self.n_hand_verts
        blockers = torch.cat([verts_m[:, :n_hand], verts_m[:, self.object_first :]], dim=1)[:, ::BLOCKERS]
        free = verts_m.new_ones((*verts_m.shape[:2], 1))
        free[:, :n_hand, 0] = openness(verts_m[:, :n_hand], normals[:, :n_hand], blockers)
        return free

    def _one(
        self, face_index: Tensor, vertex: Tensor, materials: Tensor, light: Light, skin: Tensor
    ) -> Tensor:
        """(H * W, 5) one image: colour, coverage, and coverage by the hand itself.

        ``vertex`` (V, 7) is normal, openness, place on the fine screen, depth.
        """
        height, width = face_index.shape[0] // SUPERSAMPLING, face_index.shape[1] // SUPERSAMPLING
        pixel, share = self._points(face_index, vertex[:, 6])
        face = face_index.flatten()[pixel]
        corners = self.faces[face]
        places = [vertex[:, 4:].index_select(0, corner) for corner in corners.unbind(1)]
        weight = _barycentrics(pixel, places, face_index.shape[1])
        at_point = _mix(vertex[:, :4], corners, weight)
        albedo = _lookup(materials, (self.texels[face] * weight[..., None]).sum(dim=1))
        is_hand = face < self.arm_face
        if not self.painted:
            albedo[is_hand] = _mix(skin, corners[is_hand], weight[is_hand])
        colour = _lit(albedo, at_point[:, :3], at_point[:, 3:], face >= self.object_face, light)
        covered = torch.ones_like(colour[:, :1])
        values = torch.cat([colour, covered, is_hand[:, None].float()], dim=1) * share[:, None]
        total = torch.zeros((height * width, values.shape[1]))
        return total.index_add_(0, _coarse(pixel, width), values)

    def _points(self, face_index: Tensor, depth_m: Tensor) -> tuple[Tensor, Tensor]:
        """The fine pixels to shade (N,), and the share of its coarse pixel that each stands for.

        Inside a surface one of the four speaks for all; where surfaces meet, or end, each is shaded.
        """
        place = depth_m[self.faces].mean(dim=1)
        place[self.arm_face : self.object_face] += _PARTS_M  # the parts never count as one surface
        place[self.object_face :] -= _PARTS_M
        depth = torch.cat([place, place.new_tensor([torch.inf])])[face_index]
        quad = [depth[row::SUPERSAMPLING, column::SUPERSAMPLING] for row, column in _QUAD]
        low, high = torch.minimum(quad[0], quad[1]), torch.maximum(quad[0], quad[1])
        for part in quad[2:]:
            low, high = torch.minimum(low, part), torch.maximum(high, part)
        even = high - low < _STEP_M  # infinity less infinity is not
        single = [~even & part.isfinite() for part in quad]
        pixel = torch.cat(
            [_fine(even, _QUAD[0]), *(_fine(*each) for each in zip(single, _QUAD, strict=True))]
        )
        share = torch.full((len(pixel),), 1 / len(_QUAD))
        share[: int(even.sum())] = 1.0
        return pixel, share


def openness(verts_m: Tensor, normals: Tensor, blockers_m: Tensor) -> Tensor:
    """(B, V) how much of the light from all around reaches each vertex, 0 to 1.

    Each blocker (B, K, 3) is a small disc that hides part of the sky: its solid angle times the cosine. The hidden
    parts are added up, which counts overlapping discs twice; the exponential bounds that.
    """
    height = torch.baddbmm(-(normals * verts_m).sum(-1, keepdim=True), normals, blockers_m.mT)
    squared = torch.cdist(verts_m, blockers_m).square_().add_(_DISC_M2)
    hidden = height.clamp_(min=0).div_(squared.pow_(1.5)).sum(-1)
    return torch.exp(-_DISC_M2 * hidden)


def _barycentrics(pixel: Tensor, corners: list[Tensor], fine_width: int) -> Tensor:
    """(N, 3) perspective-correct weights of corners (N, 3: x, y, depth) at the centres of fine pixels."""
    centre = torch.stack([pixel % fine_width, pixel // fine_width], dim=1) + 0.5
    (ax, ay), (bx, by), (cx, cy) = ((corner[:, :2] - centre).unbind(1) for corner in corners)
    areas = torch.stack([bx * cy - cx * by, cx * ay - ax * cy, ax * by - bx * ay], dim=1)
    weight = areas / torch.stack([corner[:, 2] for corner in corners], dim=1)
    return weight / weight.sum(dim=1, keepdim=True)


def _fine(wanted: Tensor, within: tuple[int, int]) -> Tensor:
    """Flat indices of the fine pixels at (row, column) ``within`` the wanted pixels (H, W) bool of the image."""
    width = wanted.shape[1]
    pixel = wanted.flatten().nonzero()[:, 0]
    row, column = pixel // width, pixel % width
    return (SUPERSAMPLING * row + within[0]) * SUPERSAMPLING * width + SUPERSAMPLING * column + within[1]


def _coarse(pixel: Tensor, width: int) -> Tensor:
    """The pixels of the image, ``width`` across, that fine pixels lie in."""
    fine_width = SUPERSAMPLING * width
    return pixel // fine_width // SUPERSAMPLING * width + pixel % fine_width // SUPERSAMPLING


def _mix(table: Tensor, corners: Tensor, weight: Tensor) -> Tensor:
    """(N, C) rows of a table (V, C) mixed over three corners (N, 3)."""
    mixed = table[corners[:, 0]] * weight[:, :1]
    for k in (1, 2):
        mixed += table[corners[:, k]] * weight[:, k : k + 1]
    return mixed


def _lookup(picture: Tensor, column_row: Tensor) -> Tensor:
    """(N, 3) a picture (H, W, 3) at continuous places (N, 2), bilinear."""
    height, width, _ = picture.shape
    column = (column_row[:, 0] - 0.5).clamp_(0, width - 1.001)
    row = (column_row[:, 1] - 0.5).clamp_(0, height - 1.001)
    left, top = column.floor(), row.floor()
    along, down = (column - left)[:, None], (row - top)[:, None]
    first = (top * width + left).long()
    flat = picture.reshape(-1, 3)
    upper = torch.lerp(flat[first], flat[first + 1], along)
    lower = torch.lerp(flat[first + width], flat[first + width + 1], along)
    return torch.lerp(upper, lower, down)


def _lit(albedo: Tensor, normal: Tensor, open_share: Tensor, is_object: Tensor, light: Light) -> Tensor:
    """(N, 3) sRGB: wrapped diffuse key light, ambient light from all around, and a highlight (Blinn 1977).

    Light adds up in linear intensities; a square stands for sRGB's curve.
    """
    normal = functional.normalize(normal, dim=1)
    facing = normal @ light.direction
    wrap = torch.tensor(WRAP)
    diffuse = ((facing[:, None] + wrap) / (1 + wrap)).clamp_(min=0)
    half = functional.normalize(light.direction + torch.tensor([0.0, 0.0, -1.0]), dim=0)
    highlight = (normal @ half).clamp_(min=0).pow_(24) * torch.where(
        is_object, light.gloss[1], light.gloss[0]
    )
    sky = 0.75 - 0.25 * normal[:, 1:2]  # a little more from above
    shadow = 0.35 + 0.65 * open_share
    arriving = light.key_rgb * diffuse * shadow + light.ambient_rgb * sky * open_share
    linear = albedo.square() * arriving + highlight[:, None] * light.key_rgb * shadow
    return linear.clamp_(0, 1).sqrt_()


def skin_texels(hand: HandModelData) -> np.ndarray:
    """(F, 3, 2); models without texture coordinates look nowhere in particular."""
    if hand.vt is None or hand.ft is None:
        return np.zeros((len(hand.faces), 3, 2))
    return hand.vt[hand.ft] * [SKIN_TEXELS, -SKIN_TEXELS] + [0, SKIN_TEXELS]


def arm_texels(ring: int) -> np.ndarray:
    """(F, 3, 2) into the lower right square: around, from the wrist downwards, one row of texels per ring."""
    around, along = np.meshgrid(np.arange(ring), np.arange(N_RINGS - 1))
    a = np.stack([around, along], axis=-1).reshape(N_RINGS - 1, ring, 2)
    right, below, both = (a + np.array(step) for step in ([1, 0], [0, 1], [1, 1]))
    faces = [
        part
        for k in range(N_RINGS - 1)
        for part in (np.stack([right[k], a[k], below[k]], 1), np.stack([right[k], below[k], both[k]], 1))
    ]
    inside = SURFACE_TEXELS - 2
    return np.concatenate(faces) * [inside / ring, inside / (N_RINGS - 1)] + [
        SKIN_TEXELS + 1,
        SURFACE_TEXELS + 1,
    ]


def _object_texels() -> np.ndarray:
    """(F, 3, 2) into the upper right square."""
    return object_uv()[object_faces()] * (SURFACE_TEXELS - 2) + [SKIN_TEXELS + 1, 1]

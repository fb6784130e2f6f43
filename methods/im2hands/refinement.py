"""Two-hand refinement: each hand's occupancy again, in view of the image, of its own surface and of the other hand.

Anchors are points of both initial surfaces. A network that both hands share turns each hand's anchors, with the image
features they project to, into fewer anchors with features and a code z. The context latent c_s mixes a hand's code with
the other's and with the image; from it a query asks its nearest anchors. Everything is in camera axes, y up and z back,
about the middle of both hands, in metres or, for the networks, in units of ``unit_m``.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from methods.im2hands.config import RefinementConfig
from methods.layers.hand_encoder import HandEncoder, HandHeads
from methods.layers.implicit.palm_frame import HandFrames
from methods.layers.point_transformer import CloudEncoder, QueryAttention
from methods.layers.sampling import sample_map
from tasks.geometry.cameras import project

SIDES = 2
UP_AND_BACK = (1.0, -1.0, -1.0)
"""From OpenCV's axes to the released ones."""
LOGIT_FLOOR = 1e-3
"""Initial occupancies are taken to be this far from 0 and 1, so that a surface can still be moved."""


class Context(NamedTuple):
    """What queries of K hands in each of B images are asked in: computed once, however many they are."""

    pixel_map: Tensor
    """(B, C, h, w)."""
    intrinsics_px: Tensor
    """(B, 3, 3)."""
    middle_m: Tensor
    """(B, 1, 3): of the box around both hands' anchors, camera frame."""
    anchors: Tensor
    """(B, K, A, 3): those that a hand's queries may attend to."""
    features: Tensor
    """(B, K, A, C)."""
    image_code: Tensor
    """(B, D)."""
    latent: Tensor
    """(B, K, C): c_s."""

    def one(self, image: int, side: int) -> "Context":
        """A single hand of them."""
        b, k = slice(image, image + 1), slice(side, side + 1)
        return Context(
            self.pixel_map[b],
            self.intrinsics_px[b],
            self.middle_m[b],
            self.anchors[b, k],
            self.features[b, k],
            self.image_code[b],
            self.latent[b, k],
        )


class RefinementModule(nn.Module):
    """``forward``: logits (B, 2, N) of each hand at its own queries, of the other hand at them, and the heads."""

    def __init__(self, config: RefinementConfig, image_size_px: int) -> None:
        super().__init__()
        self.config, self.image_size_px = config, image_size_px
        self.encoder = HandEncoder(config.image, image_size_px, config.head_weight > 0, with_features=False)
        width = config.image.decoder_width
        self.pixel = nn.Conv2d(2 * width, config.pixel_channels, 1)
        coarsest = self.encoder.map_sizes[0]
        self.collapse = nn.ModuleList(nn.Conv2d(width, width, coarsest) for _ in range(2))
        self.cloud = CloudEncoder(
            config.pixel_channels + SIDES,
            config.width,
            config.first_width,
            config.kept,
            config.neighbours,
            config.full_layers,
        )
        self.fuse = nn.Linear(2 * config.width + 2 * width, config.width)
        self.ask = QueryAttention(config.width, config.query_width, config.query_neighbours)
        self.head = OccupancyHead(config)

    def forward(
        self,
        image: Tensor,
        intrinsics_px: Tensor,
        keypoints_cam_m: Tensor,
        anchors: Tensor,
        queries: Tensor,
        initial: Tensor,
    ) -> tuple[Tensor, Tensor, HandHeads | None]:
        """Of images (B, 3, S, S), keypoints (B, 2, 21, 3) in the camera frame, anchors (B, 2, A, 3) and queries
        (B, 2, N, 3) in the hands' palm frames, and the initial occupancy (B, 2, N, 2) of each hand's queries in its own
        field and in the other's."""
        context, heads = self._encode(image, intrinsics_px, keypoints_cam_m, anchors)
        queries_cam_m = from_palms(keypoints_cam_m, queries)
        own = self.occupancy(context, queries_cam_m, initial[..., 0])
        if self.config.fusing == "twice":
            context = context._replace(latent=self._latent(context.latent, context.image_code))
        other = self.occupancy(context, queries_cam_m.flip(1), initial.flip(1)[..., 1]).flip(1)
        return own, other, heads

    def encode(
        self, image: Tensor, intrinsics_px: Tensor, keypoints_cam_m: Tensor, anchors: Tensor
    ) -> Context:
        """What all queries of these images share."""
        return self._encode(image, intrinsics_px, keypoints_cam_m, anchors)[0]

    def _encode(
        self, image: Tensor, intrinsics_px: Tensor, keypoints_cam_m: Tensor, anchors: Tensor
    ) -> tuple[Context, HandHeads | None]:
        anchors_cam_m = from_palms(keypoints_cam_m, anchors)
        maps = self.encoder(image)
        pixel_map = self.pixel(torch.cat([maps.heatmap_maps[-1], maps.dense_maps[-1]], 1))
        both = anchors_cam_m.flatten(1, 2)
        middle_m = (both.amin(1, keepdim=True) + both.amax(1, keepdim=True)) / 2
        side = torch.eye(SIDES, device=image.device)[:, None].expand(
            len(image), -1, anchors_cam_m.shape[2], -1
        )
        seen = self._pixels(pixel_map, intrinsics_px, anchors_cam_m)
        placed = self._placed(anchors_cam_m, middle_m).flatten(0, 1)
        kept, features, z = self.cloud(placed, torch.cat([seen, side], 3).flatten(0, 1))
        coarse = zip(self.collapse, (maps.heatmap_maps[0], maps.dense_maps[0]), strict=True)
        image_code = torch.cat([layer(m).flatten(1) for layer, m in coarse], 1)
        kept, features, z = (part.unflatten(0, (-1, SIDES)) for part in (kept, features, z))
        latent = self._latent(z, image_code)
        if self.config.anchors_of == "both":
            kept, features = (torch.cat([part, part.flip(1)], 2) for part in (kept, features))
        context = Context(pixel_map, intrinsics_px, middle_m, kept, features, image_code, latent)
        return context, maps.heads

    def occupancy(self, context: Context, queries_cam_m: Tensor, initial: Tensor) -> Tensor:
        """Logits (B, K, N) of each hand's field at queries of its own (B, K, N, 3).

        ``initial`` (B, K, N) is what the first stage says there."""
        hands = queries_cam_m.shape[1]
        seen = self._pixels(context.pixel_map, context.intrinsics_px, queries_cam_m).flatten(0, 1)
        placed = self._placed(queries_cam_m, context.middle_m).flatten(0, 1)
        anchors, features = context.anchors.flatten(0, 1), context.features.flatten(0, 1)
        asked = self.ask(placed, context.latent.flatten(0, 1), anchors, features)
        logits = self.head(asked, seen, initial.flatten(0, 1))
        if self.config.initial == "residual":
            logits = logits + initial.flatten(0, 1).logit(eps=LOGIT_FLOOR)
        return logits.unflatten(0, (-1, hands))

    def _latent(self, z: Tensor, image: Tensor) -> Tensor:
        """c_s (B, 2, C) of the codes (B, 2, C) and the image's (B, D)."""
        other = z.flip(1) * (self.config.context != "without_other")
        image = image * (self.config.context != "without_image")
        return self.fuse(torch.cat([z, other, image[:, None].expand(-1, SIDES, -1)], 2))

    def _placed(self, points_cam_m: Tensor, middle_m: Tensor) -> Tensor:
        """(B, 2, N, 3) points about the middle of both hands, y up and z back, in units of ``unit_m``."""
        axes = points_cam_m.new_tensor(UP_AND_BACK) / self.config.unit_m
        return (points_cam_m - middle_m[:, None]) * axes

    def _pixels(self, pixel_map: Tensor, intrinsics_px: Tensor, points_cam_m: Tensor) -> Tensor:
        """(B, K, N, C): what the map shows where points (B, K, N, 3) project to."""
        pixels = project(points_cam_m.flatten(1, 2), intrinsics_px)
        seen = sample_map(pixel_map, pixels, self.image_size_px)
        return seen.unflatten(1, (points_cam_m.shape[1], -1))


class OccupancyHead(nn.Module):
    """From what a query was told, what it sees and what was thought before, to one logit."""

    def __init__(self, config: RefinementConfig) -> None:
        super().__init__()
        hidden, told = config.head_hidden, config.query_width
        self.copies = config.initial_copies
        self.first = nn.Linear(told + config.pixel_channels + self.copies, hidden)
        self.again = nn.ModuleList(nn.Linear(told, hidden) for _ in range(config.head_blocks))
        self.blocks = nn.ModuleList(ResidualLayer(hidden) for _ in range(config.head_blocks))
        self.last = nn.Linear(hidden, 1)
        if config.initial == "residual":
            nn.init.zeros_(self.last.weight)
            nn.init.zeros_(self.last.bias)

    def forward(self, told: Tensor, seen: Tensor, initial: Tensor) -> Tensor:
        x = self.first(torch.cat([told, seen, initial[..., None].expand(*initial.shape, self.copies)], -1))
        for again, block in zip(self.again, self.blocks, strict=True):
            x = block(x + again(told))
        return self.last(x)[..., 0]


class ResidualLayer(nn.Module):
    """Two layers with the activation before each; begins as the identity (Niemeyer et al., ONet's decoder)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.linear1, self.linear2 = nn.Linear(width, width), nn.Linear(width, width)
        nn.init.zeros_(self.linear2.weight)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.linear2(F.relu(self.linear1(F.relu(x))))


def from_palms(keypoints_cam_m: Tensor, points: Tensor) -> Tensor:
    """Points (B, 2, N, 3) of both hands' palm frames in the camera frame, metres."""
    is_left = torch.tensor([False, True], device=points.device).repeat(len(points))
    frames = HandFrames.of(keypoints_cam_m.flatten(0, 1), is_left)
    return frames.from_palm(points.flatten(0, 1)).unflatten(0, (-1, SIDES))

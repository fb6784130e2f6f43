"""The texture branch (sheet 2.6): reverse interpolation from the feature maps to the vertices, then a colour net.

Usual texturing carries colours from the mesh to the pixels. Here every vertex is projected into the image and fetches
the features that lie there.
"""

import torch
from torch import Tensor, nn

from methods.amvur.config import TextureConfig
from methods.layers.attention import AttentionBlock
from methods.layers.backbone import IMAGENET_MEAN, IMAGENET_STD
from methods.layers.coarse_mesh import CoarseMesh
from methods.layers.sampling import sample_normalised

N_CONTEXT = 21


def reverse_interpolate(maps: list[Tensor], points: Tensor, rule: str, image_size_px: int) -> Tensor:
    """Bilinear samples (B, N, sum C) of maps (B, C, h, w) at points (B, N, 2) in [-1, 1] image units.

    ``aligned``: the same place of the image in every map. ``released``: pixel coordinates are read as if they were
    cells of the map, so that all points beyond its first ``w`` pixels collapse onto its border.
    """
    samples = []
    for feature_map in maps:
        grid = points
        if rule == "released":
            size = points.new_tensor([feature_map.shape[-1], feature_map.shape[-2]])
            grid = (points + 1) * image_size_px / size - 1
        samples.append(sample_normalised(feature_map, grid))
    return torch.cat(samples, -1)


class TextureNet(nn.Module):
    """Features at projected vertices to a colour per vertex; joints are the keys of the cross-attention."""

    upsampling: Tensor
    coarse: Tensor

    def __init__(
        self,
        config: TextureConfig,
        features: int,
        map_channels: tuple[int, ...],
        mesh: CoarseMesh,
        image_size_px: int,
    ) -> None:
        super().__init__()
        self.config, self.image_size_px = config, image_size_px
        self.register_buffer("coarse", mesh.vertices, persistent=False)
        self.register_buffer("upsampling", mesh.upsampling, persistent=False)
        self.global_features = (
            None if config.features == "shallow" else nn.Linear(features, config.global_features)
        )
        n_verts = len(mesh.upsampling) if config.vertices == "all" else len(mesh.vertices)
        local = 0 if config.features == "global" else sum(map_channels)
        self.net = AttentionBlock(
            local + 3 * config.pixels + config.global_features * (config.features != "shallow"),
            config.width, 3,
            feed_forward=config.feed_forward, heads=config.heads, layers=config.layers,
            n_context=N_CONTEXT, positions=N_CONTEXT + n_verts, dropout=config.dropout,
        )  # fmt: skip

    def forward(
        self, image: Tensor, maps: list[Tensor], features: Tensor, verts_2d: Tensor, joints_2d: Tensor
    ) -> Tensor:
        """Colours (B, V, 3), in [0, 1] or ImageNet-normalised, of points (B, V, 2) and (B, 21, 2) in image units."""
        points = verts_2d if self.config.vertices == "all" else verts_2d[:, self.coarse]
        with_joints = self.config.context == "joints"
        if with_joints:
            points = torch.cat([joints_2d, points], 1)
        rgb = self._colours(image, maps, features, points)[:, N_CONTEXT if with_joints else 0 :]
        return rgb if self.config.vertices == "all" else self.upsampling @ rgb

    def _colours(self, image: Tensor, maps: list[Tensor], features: Tensor, points: Tensor) -> Tensor:
        shared = None if self.global_features is None else self.global_features(features)
        local = [] if self.config.features == "global" else maps
        if self.config.pixels:
            local = [image, *local]
        tokens = points.new_zeros((*points.shape[:2], 0))
        if local:
            tokens = reverse_interpolate(local, points, self.config.sampling, self.image_size_px)
        _, raw = self.net(tokens, shared)
        if self.config.colours == "imagenet":
            return raw
        seen = tokens[..., :3].clamp(0.02, 0.98).logit() if self.config.pixels else 0.0
        return torch.sigmoid(raw + seen)


def to_imagenet(rgb: Tensor) -> Tensor:
    """[0, 1] colours (..., 3) to ImageNet-normalised ones."""
    return (rgb - rgb.new_tensor(IMAGENET_MEAN)) / rgb.new_tensor(IMAGENET_STD)


def from_imagenet(rgb: Tensor) -> Tensor:
    """ImageNet-normalised colours (..., 3) back to [0, 1], clamped."""
    return (rgb * rgb.new_tensor(IMAGENET_STD) + rgb.new_tensor(IMAGENET_MEAN)).clamp(0, 1)

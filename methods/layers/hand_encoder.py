"""The image encoder of IntagHand, which Im2Hands shares: an image network and two decoders from its coarsest map.

One decoder learns heatmaps of both hands' joints, the other their masks and dense coordinates; what lies below these
heads is what the rest of a method reads. All lists of maps are **coarsest first**, level by level of one resolution;
hands are right, then left. Source: Dw1010/IntagHand: models/encoder.py.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from methods.layers.backbone import Backbone
from methods.layers.hand_encoder_config import HandEncoderConfig
from methods.layers.initialisation import xavier

N_HEATMAPS, N_MASKS, N_DENSE = 42, 2, 6


@dataclass(frozen=True)
class HandHeads:
    """What the decoders say of the image at their finest level, without activation."""

    heatmaps: Tensor
    """(B, 42, h, w)."""
    masks: Tensor
    """(B, 2, h, w)."""
    dense: Tensor
    """(B, 6, h, w): three coordinates of the right, three of the left hand's surface."""


@dataclass(frozen=True)
class HandEncoding:
    """What an image became."""

    features: Tensor
    """(B, F), global."""
    image_maps: list[Tensor]
    """The image network's own maps: with ResNet-50 2048 @S/32, 1024 @S/16, 512 @S/8, 256 @S/4."""
    heatmap_maps: list[Tensor]
    """``decoder_width`` channels at each of these resolutions."""
    dense_maps: list[Tensor]
    heads: HandHeads | None


class HandEncoder(nn.Module):
    """``forward(image (B, 3, S, S) in [0, 1]) -> HandEncoding``.

    ``heads`` is None unless asked for at the start, and ``features`` may have no length where only maps are read.
    """

    def __init__(
        self, config: HandEncoderConfig, image_size_px: int, with_heads: bool, with_features: bool = True
    ) -> None:
        super().__init__()
        pooling = config.backbone.pooling if with_features else "none"
        self.backbone = Backbone(config.backbone.model_copy(update={"pooling": pooling}), image_size_px)
        channels, width = self.backbone.map_channels, config.decoder_width
        self.features = self.backbone.features
        self.image_channels = tuple(reversed(channels))
        self.decoder_width = width
        self.map_sizes = _map_sizes(self.backbone, image_size_px)
        self.heatmap_decoder = MapDecoder(self.image_channels, width, config.skips)
        self.dense_decoder = MapDecoder(self.image_channels, width, config.skips)
        self.heatmap_head = nn.Conv2d(width, N_HEATMAPS, 1) if with_heads else None
        self.dense_head = nn.Conv2d(width, N_MASKS + N_DENSE, 1) if with_heads else None

    def forward(self, image: Tensor) -> HandEncoding:
        features, maps = self.backbone(image)
        maps = maps[::-1]
        heatmap_maps, dense_maps = self.heatmap_decoder(maps), self.dense_decoder(maps)
        return HandEncoding(
            features, maps, heatmap_maps, dense_maps, self._heads(heatmap_maps[-1], dense_maps[-1])
        )

    def _heads(self, heatmap_map: Tensor, dense_map: Tensor) -> HandHeads | None:
        if self.heatmap_head is None or self.dense_head is None:
            return None
        masks, dense = self.dense_head(dense_map).split((N_MASKS, N_DENSE), 1)
        return HandHeads(self.heatmap_head(heatmap_map), masks, dense)


class MapDecoder(nn.Module):
    """From the coarsest map upwards: a 1x1 convolution, then one 3x3 convolution per finer level on the enlarged map.

    As released it reads the coarsest map alone, and the sizes of the others say how far to enlarge; with ``skips`` each
    finer map is reduced and added to the enlarged one.
    """

    def __init__(self, channels: tuple[int, ...], width: int, skips: bool) -> None:
        """``channels`` of the maps, coarsest first."""
        super().__init__()
        inputs = (channels[0], *[width] * (len(channels) - 1))
        self.levels = nn.ModuleList(
            _conv_relu_bn(channels, width, kernel=1 if i == 0 else 3) for i, channels in enumerate(inputs)
        ).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.skips = nn.ModuleList(nn.Conv2d(finer, width, 1, bias=False) for finer in channels[1:] if skips)
        xavier(self)

    def forward(self, maps: list[Tensor]) -> list[Tensor]:
        decoded = [self.levels[0](maps[0])]
        for i, finer in enumerate(maps[1:]):
            x = decoded[-1]
            if x.shape[-2:] != finer.shape[-2:]:
                x = F.interpolate(x, finer.shape[-2:], mode="bilinear", align_corners=False)
            if self.skips:
                x = x + self.skips[i](finer)
            decoded.append(self.levels[i + 1](x))
        return decoded


def _conv_relu_bn(channels_in: int, channels: int, kernel: int) -> nn.Sequential:
    """The norm comes last, as released."""
    convolution = nn.Conv2d(channels_in, channels, kernel, 1, kernel // 2, bias=False)
    return nn.Sequential(convolution, nn.ReLU(), nn.BatchNorm2d(channels))


def _map_sizes(backbone: Backbone, image_size_px: int) -> tuple[int, ...]:
    """Sides of the maps, coarsest first, found by one dark image; leaves the random state as it was."""
    was_training = backbone.training
    with torch.no_grad():
        _, maps = backbone.eval()(torch.zeros(1, 3, image_size_px, image_size_px))
    backbone.train(was_training)
    return tuple(feature_map.shape[-1] for feature_map in reversed(maps))

"""What an image tells the queries of a hand's field: the features where they project to, or those they attend to."""

import torch
from torch import Tensor, nn

from methods.layers.hand_encoder import HandEncoder, HandHeads
from methods.layers.hand_encoder_config import HandEncoderConfig
from methods.layers.image_attention import ImageAttention
from methods.layers.implicit.config import PixelConfig, QueryAttentionConfig
from methods.layers.implicit.hand_field import SIDES, Condition, Hands
from methods.layers.sampling import sample_map
from tasks.geometry.cameras import project


class ReducedMap(nn.Module):
    """An image network whose finest two decoded maps are joined and reduced to a few channels."""

    def __init__(self, image: HandEncoderConfig, channels: int, image_size_px: int, with_heads: bool) -> None:
        super().__init__()
        self.encoder = HandEncoder(image, image_size_px, with_heads, with_features=False)
        self.map_size = self.encoder.map_sizes[-1]
        self.reduce = nn.Conv2d(2 * image.decoder_width, channels, 1)

    def forward(self, image: Tensor) -> tuple[Tensor, HandHeads | None]:
        """(B, channels, h, w) of images (B, 3, S, S), and what the encoder's heads say where it has any."""
        encoded = self.encoder(image)
        finest = torch.cat([encoded.heatmap_maps[-1], encoded.dense_maps[-1]], 1)
        return self.reduce(finest), encoded.heads


class PixelAligned(Condition):
    """HALO*: the map's features where a query projects to, whatever its depth."""

    def __init__(
        self, image: HandEncoderConfig, settings: PixelConfig, image_size_px: int, with_heads: bool
    ) -> None:
        super().__init__()
        self.channels, self.layer, self.image_size_px = settings.channels, settings.layer, image_size_px
        self.map = ReducedMap(image, settings.channels, image_size_px, with_heads)

    def look(self, image: Tensor) -> tuple[Tensor, HandHeads | None]:
        seen, heads = self.map(image)
        return seen[:, None].expand(-1, SIDES, -1, -1, -1), heads

    def features(self, hands: Hands, points_cam_m: Tensor) -> Tensor:
        assert hands.seen is not None
        return sample_map(hands.seen, project(points_cam_m, hands.intrinsics_px), self.image_size_px)


class QueryImageAttention(Condition):
    """Im2Hands: each query attends to itself and a grid of image tokens; each side by networks of its own."""

    def __init__(
        self,
        image: HandEncoderConfig,
        settings: QueryAttentionConfig,
        networks: int,
        image_size_px: int,
        with_heads: bool,
    ) -> None:
        super().__init__()
        self.channels, self.layer = 3 + settings.point_code, settings.layer
        self.relative_to = settings.depth
        self.map = ReducedMap(image, settings.channels, image_size_px, with_heads)
        self.points = nn.ModuleList(
            nn.Sequential(
                nn.Linear(3, settings.point_hidden),
                nn.ReLU(),
                nn.Dropout(settings.dropout),
                nn.Linear(settings.point_hidden, settings.point_code),
            )
            for _ in range(networks)
        )
        self.attention = nn.ModuleList(
            ImageAttention(
                settings.channels,
                self.map.map_size,
                width=self.channels,
                cells=settings.grid,
                grid_width=settings.channels,
                heads=settings.heads,
                dropout=settings.dropout,
                together=False,
                blocks=settings.blocks,
            )
            for _ in range(networks)
        )

    def look(self, image: Tensor) -> tuple[Tensor, HandHeads | None]:
        seen, heads = self.map(image)
        grids = [attention.encode(seen) for attention in self.attention]  # type: ignore[operator]
        return torch.stack([grids[side % len(grids)] for side in range(SIDES)], 1), heads

    def features(self, hands: Hands, points_cam_m: Tensor) -> Tensor:
        """f_x^phi."""
        assert hands.seen is not None
        placed = self._relative(hands, points_cam_m)
        if len(self.attention) == 1:
            return self._side(0, placed, hands.seen)
        sides = [(~hands.is_left).nonzero()[:, 0], hands.is_left.nonzero()[:, 0]]
        found = [self._side(i, placed[at], hands.seen[at]) for i, at in enumerate(sides)]
        return torch.cat(found)[torch.cat(sides).argsort()]

    def _side(self, network: int, placed: Tensor, grid: Tensor) -> Tensor:
        tokens = torch.cat([placed, self.points[network](placed)], -1)
        return self.attention[network].look(tokens, grid)  # type: ignore[operator]

    def _relative(self, hands: Hands, points_cam_m: Tensor) -> Tensor:
        """Camera coordinates with the depth made relative."""
        from_m = hands.frames.wrist_m if self.relative_to == "wrist" else points_cam_m[:, :1]
        return torch.cat([points_cam_m[..., :2], points_cam_m[..., 2:] - from_m[..., 2:]], -1)

"""The interacting attention graph: both hands' vertices side by side, from few to more.

On each level vertices go through graph convolutions of their own hand, attend to the image, and attend to the other
hand. Lists are right hand, then left. Source: Dw1010/IntagHand: models/model_attn.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from methods.baselines.intaghand.config import GraphConfig
from methods.baselines.intaghand.hierarchy import GraphLevel
from methods.layers.attention import attend
from methods.layers.graph import GraphBlocks
from methods.layers.image_attention import EPSILON, ImageAttention, PreNormBlock, ResidualFeedForward
from methods.layers.initialisation import xavier

HANDS = 2


class HandAttention(nn.Module):
    """Each hand's vertices among themselves, then over the other hand's, by projections that both directions share."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads, self.dropout = heads, dropout
        inner = heads * (width // heads)
        self.own = nn.ModuleList(PreNormBlock(width, heads, width, dropout) for _ in range(HANDS))
        self.norms = nn.ModuleList(nn.LayerNorm(width, EPSILON) for _ in range(HANDS))
        self.query, self.key, self.value = (nn.Linear(width, inner) for _ in range(3))
        self.project = nn.Linear(inner, width)
        self.after = nn.ModuleList(ResidualFeedForward(width, width, dropout) for _ in range(HANDS))
        xavier(self)

    def forward(self, hands: list[Tensor]) -> list[Tensor]:
        """Two of (B, n, width)."""
        hands = [block(hand) for block, hand in zip(self.own, hands, strict=True)]
        normed = [norm(hand) for norm, hand in zip(self.norms, hands, strict=True)]
        seen = [self._from(mine, other) for mine, other in zip(normed, reversed(normed), strict=True)]
        return [after(hand + message) for after, hand, message in zip(self.after, hands, seen, strict=True)]

    def _from(self, mine: Tensor, other: Tensor) -> Tensor:
        dropout = self.dropout if self.training else 0.0
        mixed = attend(self.query(mine), self.key(other), self.value(other), self.heads, dropout)
        return F.dropout(self.project(mixed), self.dropout, self.training)


class DecoderLevel(nn.Module):
    """More vertices than before, learned places, which the hands share, then graph, image and the other hand."""

    nearest_coarser: Tensor

    def __init__(
        self, config: GraphConfig, index: int, graph: GraphLevel, map_channels: int, map_size: int
    ) -> None:
        super().__init__()
        width_in, width = config.widths[index : index + 2]
        self.register_buffer("nearest_coarser", graph.nearest_coarser, persistent=False)
        self.places = nn.Embedding(len(graph.vertices), width_in)
        self.graphs = nn.ModuleList(
            GraphBlocks(width_in, width, graph.matrix, blocks=config.blocks, dropout=config.dropout)
            for _ in range(HANDS)
        )
        looks = HANDS if config.image_attention else 0
        self.looks = nn.ModuleList(
            ImageAttention(
                map_channels, map_size, width=width, cells=config.cells, grid_width=config.grid_widths[index],
                heads=config.heads, dropout=config.dropout, together=True,
            )
            for _ in range(looks)
        )  # fmt: skip
        self.across = HandAttention(width, config.heads, config.dropout) if config.hand_attention else None

    def forward(self, hands: list[Tensor], feature_map: Tensor) -> list[Tensor]:
        if len(self.nearest_coarser):
            hands = [hand.index_select(1, self.nearest_coarser) for hand in hands]
        hands = [graph(hand + self.places.weight) for graph, hand in zip(self.graphs, hands, strict=True)]
        if self.looks:
            hands = [look(hand, feature_map) for look, hand in zip(self.looks, hands, strict=True)]
        return hands if self.across is None else self.across(hands)


class GraphDecoder(nn.Module):
    """The global vector (B, F) and a map per level, coarsest first, to features (B, n, widths[-1]) of each hand's
    vertices on the last level."""

    start: Tensor

    def __init__(
        self,
        config: GraphConfig,
        levels: list[GraphLevel],
        coordinates: Tensor,
        features: int,
        map_channels: int,
        map_sizes: tuple[int, ...],
    ) -> None:
        """``coordinates`` (V, 3) in [0, 1] tell the first level's vertices apart."""
        super().__init__()
        width = config.widths[0] - 3
        self.enter = nn.ModuleList(
            nn.Sequential(nn.Linear(features, width), nn.LayerNorm(width, EPSILON)) for _ in range(HANDS)
        )
        xavier(self.enter)
        self.register_buffer("start", 2 * coordinates[levels[0].vertices] - 1, persistent=False)
        self.levels = nn.ModuleList(
            DecoderLevel(config, i, level, map_channels, size)
            for i, (level, size) in enumerate(zip(levels, map_sizes, strict=True))
        )

    def forward(self, features: Tensor, maps: list[Tensor]) -> list[Tensor]:
        hands = [self._entered(enter(features)) for enter in self.enter]
        for level, feature_map in zip(self.levels, maps, strict=True):
            hands = level(hands, feature_map)
        return hands

    def _entered(self, vector: Tensor) -> Tensor:
        batch, n = len(vector), len(self.start)
        return torch.cat([vector[:, None].expand(-1, n, -1), self.start.expand(batch, -1, -1)], -1)

"""Attention of tokens with an image: a feature map cut into a few grid tokens, which points of a hand look at.

Two forms. **Together**: all tokens and the grid in one self-attention (IntagHand). **Alone**: each token in a sequence
of its own with the grid, so that it depends on no other token and on nothing but its place (Im2Hands' query-image
attention). Source: Dw1010/IntagHand and jyunlee/Im2Hands: models/model_attn.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from methods.layers.attention import attend
from methods.layers.initialisation import xavier
from tasks.errors import RequestError

EPSILON = 1e-6


class ResidualFeedForward(nn.Module):
    """Norm, a wider layer with ReLU and back, added to what came in."""

    def __init__(self, width: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.dropout = dropout
        self.norm = nn.LayerNorm(width, EPSILON)
        self.widen, self.narrow = nn.Linear(width, hidden), nn.Linear(hidden, width)
        xavier(self)

    def forward(self, tokens: Tensor) -> Tensor:
        hidden = F.dropout(F.relu(self.widen(self.norm(tokens))), self.dropout, self.training)
        return tokens + F.dropout(self.narrow(hidden), self.dropout, self.training)


class PreNormBlock(nn.Module):
    """Self-attention behind a norm, inside a residual, then a ``ResidualFeedForward``.

    A head is ``width // heads`` wide, so the heads together may be narrower than the tokens.
    """

    def __init__(self, width: int, heads: int, feed_forward: int, dropout: float) -> None:
        super().__init__()
        self.heads, self.dropout = heads, dropout
        self.head_width = width // heads
        inner = heads * self.head_width
        self.norm = nn.LayerNorm(width, EPSILON)
        self.query, self.key, self.value = (nn.Linear(width, inner) for _ in range(3))
        self.project = nn.Linear(inner, width)
        xavier(self)
        self.feed_forward = ResidualFeedForward(width, feed_forward, dropout)

    def forward(self, tokens: Tensor) -> Tensor:
        """Tokens (B, N, width) among themselves."""
        normed = self.norm(tokens)
        dropout = self.dropout if self.training else 0.0
        mixed = attend(self.query(normed), self.key(normed), self.value(normed), self.heads, dropout)
        return self._after(tokens, mixed)

    def alone(self, tokens: Tensor, grid: Tensor) -> Tensor:
        """Each token (B, N, width) with itself and the grid (B, K, width): what ``forward`` gives for the first token
        of the N sequences [token; grid], without writing the grid N times."""
        normed, normed_grid = self.norm(tokens), self.norm(grid)
        query, own_key, own_value = (
            self._split(linear(normed)) for linear in (self.query, self.key, self.value)
        )
        key, value = self._split(self.key(normed_grid)), self._split(self.value(normed_grid))
        own = (query * own_key).sum(-1, keepdim=True)
        logits = torch.cat([own, query @ key.mT], -1) * self.head_width**-0.5
        weights = F.dropout(logits.softmax(-1), self.dropout, self.training)
        mixed = weights[..., :1] * own_value + weights[..., 1:] @ value
        return self._after(tokens, mixed.transpose(1, 2).flatten(-2))

    def _split(self, values: Tensor) -> Tensor:
        """(B, N, inner) -> (B, heads, N, head width)."""
        return values.unflatten(-1, (self.heads, -1)).transpose(1, 2)

    def _after(self, tokens: Tensor, mixed: Tensor) -> Tensor:
        return self.feed_forward(tokens + F.dropout(self.project(mixed), self.dropout, self.training))


class ImageGrid(nn.Module):
    """A map (B, C, s, s) to ``cells`` x ``cells`` tokens (B, cells^2, width), row by row.

    Patches by a strided convolution, ReLU, a learned place for each, and, unless ``attention`` is off, one block among
    themselves. Raises RequestError where the map cannot be cut into so many cells.
    """

    def __init__(
        self,
        channels: int,
        map_size: int,
        cells: int,
        width: int,
        heads: int,
        dropout: float,
        attention: bool = True,
    ) -> None:
        super().__init__()
        if map_size % cells:
            raise RequestError(
                f"a map of {map_size} cells a side cannot be cut into a grid of {cells}: the grid must divide it."
            )
        patch = map_size // cells
        self.patches = nn.Conv2d(channels, width, patch, patch)
        self.places = nn.Embedding(cells**2, width)
        self.block = PreNormBlock(width, heads, width, dropout) if attention else None
        xavier(self.patches)

    def forward(self, feature_map: Tensor) -> Tensor:
        tokens = F.relu(self.patches(feature_map)).flatten(2).mT + self.places.weight
        return tokens if self.block is None else self.block(tokens)


class ImageAttention(nn.Module):
    """Tokens (B, N, width) look at a map through its grid; ``blocks`` times.

    ``together`` says whether tokens see each other. Alone, every block reads the same grid.
    """

    def __init__(
        self,
        channels: int,
        map_size: int,
        *,
        width: int,
        cells: int,
        grid_width: int,
        heads: int,
        dropout: float,
        together: bool,
        blocks: int = 1,
    ) -> None:
        super().__init__()
        self.together = together
        self.grid = ImageGrid(channels, map_size, cells, grid_width, heads, dropout)
        self.project = nn.Linear(grid_width, width)
        self.blocks = nn.ModuleList(PreNormBlock(width, heads, width, dropout) for _ in range(blocks))
        xavier(self.project)

    def forward(self, tokens: Tensor, feature_map: Tensor) -> Tensor:
        return self.look(tokens, self.encode(feature_map))

    def encode(self, feature_map: Tensor) -> Tensor:
        """The grid tokens (B, cells^2, width) of a map, which any number of tokens can look at."""
        return self.project(self.grid(feature_map))

    def look(self, tokens: Tensor, grid: Tensor) -> Tensor:
        """Tokens (B, N, width) after looking at an encoded map."""
        if not self.together:
            for block in self.blocks:
                tokens = block.alone(tokens, grid)  # type: ignore[operator]
            return tokens
        both = torch.cat([tokens, grid], 1)
        for block in self.blocks:
            both = block(both)
        return both[:, : tokens.shape[1]]

"""Attention layers of AMVUR's regressor and texture net."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def attend(query: Tensor, key: Tensor, value: Tensor, heads: int, dropout: float) -> Tensor:
    """Scaled dot-product attention of (B, N, C) queries over (B, M, C) keys and values."""
    q, k, v = (x.unflatten(-1, (heads, -1)).transpose(1, 2) for x in (query, key, value))
    mixed = F.scaled_dot_product_attention(q, k, v, dropout_p=dropout)
    return mixed.transpose(1, 2).flatten(-2)


class CrossAttention(nn.Module):
    """One plain layer: Q, K, V maps and nothing after; no output projection, no norm, no feed-forward."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads, self.dropout = heads, dropout
        self.query, self.key, self.value = (nn.Linear(width, width) for _ in range(3))

    def forward(self, tokens: Tensor, context: Tensor) -> Tensor:
        dropout = self.dropout if self.training else 0.0
        return attend(self.query(tokens), self.key(context), self.value(context), self.heads, dropout)


class SelfAttentionLayer(nn.Module):
    """BERT's layer: attention and feed-forward, each with a residual and the norm after it."""

    def __init__(self, width: int, heads: int, feed_forward: int, dropout: float) -> None:
        super().__init__()
        self.heads, self.dropout = heads, dropout
        self.qkv = nn.Linear(width, 3 * width)
        self.project = nn.Linear(width, width)
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.feed_forward = nn.Sequential(
            nn.Linear(width, feed_forward), nn.GELU(), nn.Linear(feed_forward, width)
        )

    def forward(self, tokens: Tensor) -> Tensor:
        dropout = self.dropout if self.training else 0.0
        q, k, v = self.qkv(tokens).chunk(3, -1)
        mixed = self.project(attend(q, k, v, self.heads, dropout))
        tokens = self.norm1(tokens + F.dropout(mixed, dropout))
        return self.norm2(tokens + F.dropout(self.feed_forward(tokens), dropout))


def linear_on_both(linear: nn.Linear, tokens: Tensor, shared: Tensor | None) -> Tensor:
    """``linear`` of each token (B, N, C) joined with one vector (B, G) that all tokens share.

    The same as concatenating, without computing the shared part N times.
    """
    if shared is None:
        return linear(tokens)
    width = tokens.shape[-1]
    return F.linear(tokens, linear.weight[:, :width]) + F.linear(
        shared, linear.weight[:, width:], linear.bias
    ).unsqueeze(1)


class AttentionBlock(nn.Module):
    """Embed, cross-attention of the others over the first ``n_context`` tokens, self-attention among the others.

    The context tokens leave as they were embedded. ``forward`` returns (hidden (B, N, width), mean (B, N, outputs)):
    mean = Linear(hidden) + Linear(input).
    """

    def __init__(
        self,
        inputs: int,
        width: int,
        outputs: int,
        *,
        feed_forward: int,
        heads: int,
        layers: int,
        n_context: int,
        positions: int,
        cross_attention: bool = True,
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        self.n_context, self.dropout = n_context, dropout
        self.embed = nn.Linear(inputs, width)
        self.position = nn.Embedding(positions, width) if positions else None
        self.cross = CrossAttention(width, heads, dropout) if cross_attention else None
        self.layers = nn.ModuleList(
            SelfAttentionLayer(width, heads, feed_forward, dropout) for _ in range(layers)
        )
        self.mean = nn.Linear(width, outputs)
        self.residual = nn.Linear(inputs, outputs)

    def forward(self, tokens: Tensor, shared: Tensor | None = None) -> tuple[Tensor, Tensor]:
        embedded = linear_on_both(self.embed, tokens, shared)
        if self.position is not None:
            embedded = embedded + self.position.weight[: tokens.shape[1]]
        embedded = F.dropout(embedded, self.dropout, self.training)
        context, others = embedded[:, : self.n_context], embedded[:, self.n_context :]
        if self.cross is not None:
            others = others + self.cross(others, context)
        for layer in self.layers:
            others = layer(others)
        hidden = torch.cat([context, others], 1)
        return hidden, self.mean(hidden) + linear_on_both(self.residual, tokens, shared)

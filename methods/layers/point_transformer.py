"""Attention in point clouds: AIR-Net's encoder, from many points to few anchors, and attention from queries to anchors.

Vector attention weighs every channel by itself, by the difference of query and key and the offset between the points
(Zhao et al., Point Transformer, ICCV 2021; Giebenhain and Goldluecke, AIR-Nets, 3DV 2021).
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class CloudEncoder(nn.Module):
    """``forward(points (B, N, 3), features (B, N, C)) -> (anchors (B, A, 3), features (B, A, width), z (B, width))``.

    Local attention in the whole cloud, then one set abstraction with local attention for every entry of ``kept``, then
    attention among all anchors. ``z`` is a global code.
    """

    def __init__(
        self,
        inputs: int,
        width: int,
        first_width: int,
        kept: Sequence[int],
        neighbours: int,
        full_layers: int,
    ) -> None:
        super().__init__()
        self.embed = nn.Linear(inputs, first_width)
        self.first = VectorAttention(first_width, neighbours)
        widths = [first_width, *[width] * (len(kept) - 1)]
        self.down = nn.ModuleList(
            Abstraction(count, neighbours, w_in, width) for count, w_in in zip(kept, widths, strict=True)
        )
        self.attention = nn.ModuleList(VectorAttention(width, None) for _ in range(full_layers))
        self.mlps = nn.ModuleList(PointMlp(width) for _ in range(full_layers))
        self.code = nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, width))

    def forward(self, points: Tensor, features: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        features = self.first(points, self.embed(features))
        for layer in self.down:
            points, features = layer(points, features)
        for attention, mlp in zip(self.attention, self.mlps, strict=True):
            features = mlp(attention(points, features))
        return points, features, self.code(features.amax(dim=1))


class Abstraction(nn.Module):
    """Fewer points, each of which gathers its neighbourhood, then local attention among those that are left."""

    def __init__(self, kept: int, neighbours: int, width_in: int, width: int) -> None:
        super().__init__()
        self.gather = AttentiveSetAbstraction(kept, neighbours, width_in)
        self.before = PointMlp(width_in)
        self.attention = VectorAttention(width_in, neighbours)
        self.widen = nn.Linear(width_in, width) if width_in != width else nn.Identity()
        self.after = PointMlp(width)

    def forward(self, points: Tensor, features: Tensor) -> tuple[Tensor, Tensor]:
        points, features = self.gather(points, features)
        features = self.attention(points, self.before(features))
        return points, self.after(self.widen(features))


class VectorAttention(nn.Module):
    """Each point attends to its nearest ones (to all for None), with a residual and a batch norm."""

    def __init__(self, width: int, neighbours: int | None) -> None:
        super().__init__()
        self.neighbours = neighbours
        self.offset, self.weight = offset_mlp(width), weight_mlp(width)
        self.query, self.key, self.value = (nn.Linear(width, width, bias=False) for _ in range(3))
        self.norm = nn.BatchNorm1d(width)

    def forward(self, points: Tensor, features: Tensor) -> Tensor:
        near = nearest(points, points, self.neighbours or points.shape[1])
        offset = self.offset(points[:, :, None] - rows(points, near))
        key, value = rows(self.key(features), near), rows(self.value(features), near)
        mixed = vector_attend(self.weight, self.query(features)[:, :, None], key, value, offset)
        return norm_points(self.norm, mixed + features)


class AttentiveSetAbstraction(nn.Module):
    """The farthest points of a cloud, each of which attends twice to its neighbourhood in the whole cloud."""

    def __init__(self, kept: int, neighbours: int, width: int) -> None:
        super().__init__()
        self.kept, self.neighbours = kept, neighbours
        self.offset = offset_mlp(width)
        self.weight1, self.weight2 = weight_mlp(width), weight_mlp(width)
        self.query1, self.key1, self.value1 = (nn.Linear(width, width, bias=False) for _ in range(3))
        self.query2, self.key2, self.value2 = (nn.Linear(width, width, bias=False) for _ in range(3))
        self.linear1, self.linear2 = nn.Linear(width, width), nn.Linear(width, width)
        self.norm_mlp, self.norm1, self.norm2, self.norm3 = (nn.BatchNorm1d(width) for _ in range(4))

    def forward(self, points: Tensor, features: Tensor) -> tuple[Tensor, Tensor]:
        chosen = farthest_points(points, self.kept)
        centres, own = rows(points, chosen), rows(features, chosen)
        near = nearest(centres, points, min(self.neighbours, points.shape[1]))
        offset = self.offset(rows(points, near) - centres[:, :, None])
        key, value = rows(self.key1(features), near), rows(self.value1(features), near)
        first = vector_attend(self.weight1, self.query1(own)[:, :, None], key, value, offset)
        first = first + self.linear2(F.relu(norm_points(self.norm_mlp, self.linear1(first))))
        first = norm_points(self.norm1, first)
        key, value = rows(self.key2(features), near), rows(self.value2(features), near)
        second = vector_attend(self.weight2, self.query2(first)[:, :, None], key, value, offset)
        return centres, norm_points(self.norm3, norm_points(self.norm2, first + second) + own)


class PointMlp(nn.Module):
    """Two layers on each point, with batch norms and a residual."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.linear1, self.linear2 = nn.Linear(width, width), nn.Linear(width, width)
        self.norm1, self.norm2, self.norm3 = (nn.BatchNorm1d(width) for _ in range(3))

    def forward(self, features: Tensor) -> Tensor:
        inner = F.relu(norm_points(self.norm1, self.linear1(features)))
        inner = F.relu(norm_points(self.norm2, self.linear2(inner)))
        return norm_points(self.norm3, features + inner)


class QueryAttention(nn.Module):
    """Queries attend to their nearest anchors and to one more token, made of a code as the attention's query is.

    ``forward(queries (B, Q, 3), code (B, C), anchors (B, A, 3), features (B, A, C)) -> (B, Q, width)``. A query's own
    features take no part: what it asks for depends on the code and on where it lies.
    """

    def __init__(self, inputs: int, width: int, neighbours: int) -> None:
        super().__init__()
        self.neighbours = neighbours
        self.offset, self.weight = offset_mlp(width), weight_mlp(width)
        self.query, self.key, self.value = (nn.Linear(inputs, width, bias=False) for _ in range(3))
        self.code_key, self.code_value = (nn.Linear(inputs, width, bias=False) for _ in range(2))

    def forward(self, queries: Tensor, code: Tensor, anchors: Tensor, features: Tensor) -> Tensor:
        near = nearest(queries, anchors, min(self.neighbours, anchors.shape[1]))
        offset = self.offset(queries[:, :, None] - rows(anchors, near))
        key, value = rows(self.key(features), near), rows(self.value(features), near)

        def with_code(tokens: Tensor, last: Tensor | None) -> Tensor:
            shape = (*tokens.shape[:2], 1, tokens.shape[3])
            own = tokens.new_zeros(shape) if last is None else last[:, None, None].expand(shape)
            return torch.cat([tokens, own], dim=2)

        return vector_attend(
            self.weight,
            self.query(code)[:, None, None],
            with_code(key, self.code_key(code)),
            with_code(value, self.code_value(code)),
            with_code(offset, None),
        )


def vector_attend(weight: nn.Module, query: Tensor, key: Tensor, value: Tensor, offset: Tensor) -> Tensor:
    """(B, N, C): sum over K of softmax(weight(query - key + offset)) * (value + offset), channel by channel."""
    share = weight(query - key + offset).softmax(dim=2)
    return (share * (value + offset)).sum(dim=2)


def offset_mlp(width: int) -> nn.Sequential:
    """From an offset in space to an encoding."""
    return nn.Sequential(nn.Linear(3, width), nn.ReLU(), nn.Linear(width, width))


def weight_mlp(width: int) -> nn.Sequential:
    """From a difference of features to the attention's logits."""
    return nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, width))


def norm_points(norm: nn.BatchNorm1d, features: Tensor) -> Tensor:
    """A batch norm over all points of a batch: (B, N, C)."""
    return norm(features.flatten(0, 1)).view_as(features)


def rows(values: Tensor, index: Tensor) -> Tensor:
    """(B, ..., C) rows of (B, N, C) by an index (B, ...)."""
    flat = index.flatten(1)[..., None].expand(-1, -1, values.shape[-1])
    return values.gather(1, flat).view(*index.shape, values.shape[-1])


@torch.no_grad()
def nearest(source: Tensor, target: Tensor, count: int) -> Tensor:
    """(B, N, count) int64: the nearest points of (B, M, 3) to each of (B, N, 3), nearest first."""
    return torch.cdist(source, target).topk(count, largest=False).indices


@torch.no_grad()
def farthest_points(points: Tensor, count: int) -> Tensor:
    """(B, count) int64: from the first point on, always the one farthest from all that are chosen."""
    chosen = torch.zeros((len(points), count), dtype=torch.int64, device=points.device)
    gap = points.new_full(points.shape[:2], torch.inf)
    for k in range(1, count):
        last = rows(points, chosen[:, k - 1 : k])
        gap = torch.minimum(gap, (points - last).square().sum(dim=-1))
        chosen[:, k] = gap.argmax(dim=1)
    return chosen

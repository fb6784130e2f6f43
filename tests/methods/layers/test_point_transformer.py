"""Attention in point clouds, held against plain loops over points."""

import pytest
import torch
from torch import nn

from methods.layers.point_transformer import (
    AttentiveSetAbstraction,
    CloudEncoder,
    QueryAttention,
    VectorAttention,
    farthest_points,
    nearest,
)


def cloud(
    batch: int = 2, count: int = 20, width: int = 6, seed: int = 0
) -> tuple[torch.Tensor, torch.Tensor]:
    noise = torch.Generator().manual_seed(seed)
    points = torch.randn(batch, count, 3, generator=noise)
    return points, torch.randn(batch, count, width, generator=noise)


def parameters(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def test_vector_attention_is_the_papers_sum_over_neighbours() -> None:
    points, features = cloud()
    layer = VectorAttention(6, 4).eval()
    expected = torch.empty_like(features)
    for b in range(2):
        for i in range(20):
            near = (points[b] - points[b, i]).norm(dim=1).argsort()[:4]
            logits, values = [], []
            for j in near.tolist():
                offset = layer.offset(points[b, i] - points[b, j])
                logits.append(layer.weight(layer.query(features[b, i]) - layer.key(features[b, j]) + offset))
                values.append(layer.value(features[b, j]) + offset)
            share = torch.stack(logits).softmax(dim=0)
            expected[b, i] = features[b, i] + (share * torch.stack(values)).sum(dim=0)
    torch.testing.assert_close(layer(points, features), expected / (1 + 1e-5) ** 0.5, atol=1e-5, rtol=1e-4)


def test_queries_attend_to_their_anchors_and_to_the_code() -> None:
    anchors, features = cloud(batch=1, count=7)
    queries, code = torch.randn(1, 5, 3), torch.randn(1, 6)
    layer = QueryAttention(6, 8, 3).eval()
    found = layer(queries, code, anchors, features)
    for i in range(5):
        near = (anchors[0] - queries[0, i]).norm(dim=1).argsort()[:3].tolist()
        offsets = [layer.offset(queries[0, i] - anchors[0, j]) for j in near] + [torch.zeros(8)]
        keys = [layer.key(features[0, j]) for j in near] + [layer.code_key(code[0])]
        values = [layer.value(features[0, j]) for j in near] + [layer.code_value(code[0])]
        logits = [layer.weight(layer.query(code[0]) - k + o) for k, o in zip(keys, offsets, strict=True)]
        share = torch.stack(logits).softmax(dim=0)
        expected = sum(share[j] * (values[j] + offsets[j]) for j in range(4))
        torch.testing.assert_close(found[0, i], expected, atol=1e-5, rtol=1e-4)


def test_a_query_does_not_depend_on_the_others() -> None:
    anchors, features = cloud(batch=1, count=7)
    queries, code = torch.randn(1, 5, 3), torch.randn(1, 6)
    layer = QueryAttention(6, 8, 3).eval()
    torch.testing.assert_close(
        layer(queries, code, anchors, features)[:, 2:3], layer(queries[:, 2:3], code, anchors, features)
    )


def test_the_order_of_the_points_does_not_matter() -> None:
    """But for the first one, where the choice of the farthest begins."""
    points, features = cloud()
    layer = AttentiveSetAbstraction(5, 4, 6).eval()
    order = torch.cat([torch.zeros(1, dtype=torch.int64), 1 + torch.randperm(19)])
    for ours, theirs in zip(
        layer(points, features), layer(points[:, order], features[:, order]), strict=True
    ):
        torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-4)


def test_the_farthest_points_are_chosen_one_after_the_other() -> None:
    points, _ = cloud(count=30)
    chosen = farthest_points(points, 6)
    for b in range(2):
        kept = [0]
        while len(kept) < 6:
            gap = torch.cdist(points[b], points[b, kept]).amin(dim=1)
            kept.append(int(gap.argmax()))
        assert chosen[b].tolist() == kept


def test_the_nearest_come_first() -> None:
    source, _ = cloud(count=4)
    target, _ = cloud(count=9, seed=1)
    expected = torch.cdist(source, target).argsort(dim=2)[:, :, :3]
    assert torch.equal(nearest(source, target, 3), expected)


@pytest.mark.parametrize("full_layers", [0, 2])
def test_an_encoder_gives_anchors_features_and_a_code(full_layers: int) -> None:
    points, features = cloud(count=32, width=5)
    encoder = CloudEncoder(
        5, width=12, first_width=8, kept=(16, 6), neighbours=4, full_layers=full_layers
    ).eval()
    anchors, found, code = encoder(points, features)
    assert anchors.shape == (2, 6, 3)
    assert found.shape == (2, 6, 12)
    assert code.shape == (2, 12)
    alone = encoder(points[1:], features[1:])
    torch.testing.assert_close(alone[1], found[1:], atol=1e-5, rtol=1e-4)


def test_the_papers_encoder_has_the_released_ones_parameters() -> None:
    """Counted from the released layers: linear maps with biases, attention maps without, norms with two numbers."""

    def linear(a: int, b: int) -> int:
        return a * b + b

    def attention(d: int) -> int:
        return linear(3, d) + linear(d, d) + 2 * linear(d, d) + 3 * d * d + 2 * d

    def mlp(d: int) -> int:
        return 2 * linear(d, d) + 6 * d

    def abstraction(d: int) -> int:
        return 2 * linear(d, d) + linear(3, d) + linear(d, d) + 4 * linear(d, d) + 6 * d * d + 8 * d

    expected = linear(34, 120) + attention(120)
    expected += abstraction(120) + mlp(120) + attention(120) + linear(120, 256) + mlp(256)
    expected += abstraction(256) + mlp(256) + attention(256) + mlp(256)
    expected += 3 * (attention(256) + mlp(256)) + 2 * linear(256, 256)
    encoder = CloudEncoder(34, 256, 120, kept=(256, 128), neighbours=16, full_layers=3)
    assert parameters(encoder) == expected == 3_798_592
    cross = linear(3, 200) + linear(200, 200) + 2 * linear(200, 200) + 5 * 256 * 200
    assert parameters(QueryAttention(256, 200, 9)) == cross == 377_400

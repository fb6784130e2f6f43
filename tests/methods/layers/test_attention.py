import math

import pytest
import torch
from torch import Tensor, nn

from methods.layers.attention import AttentionBlock, CrossAttention, SelfAttentionLayer, linear_on_both


def reference_attention(q: Tensor, k: Tensor, v: Tensor, heads: int) -> Tensor:
    """One head and one query at a time."""
    width = q.shape[-1] // heads
    out = torch.zeros_like(q)
    for h in range(heads):
        part = slice(h * width, (h + 1) * width)
        for b in range(len(q)):
            for i in range(q.shape[1]):
                scores = torch.stack([(q[b, i, part] * k[b, j, part]).sum() for j in range(k.shape[1])])
                weights = (scores / math.sqrt(width)).exp()
                out[b, i, part] = (weights / weights.sum()) @ v[b, :, part]
    return out


def test_cross_attention_is_plain_attention_of_vertices_over_joints() -> None:
    torch.manual_seed(0)
    layer = CrossAttention(8, heads=2, dropout=0.0)
    verts, joints = torch.randn(2, 5, 8), torch.randn(2, 3, 8)
    expected = reference_attention(layer.query(verts), layer.key(joints), layer.value(joints), 2)
    torch.testing.assert_close(layer(verts, joints), expected)


def test_self_attention_layer_equals_torchs_post_norm_encoder_layer() -> None:
    torch.manual_seed(0)
    ours = SelfAttentionLayer(8, heads=2, feed_forward=16, dropout=0.0)
    theirs = nn.TransformerEncoderLayer(8, 2, 16, 0.0, "gelu", batch_first=True)
    theirs.self_attn.in_proj_weight.data = ours.qkv.weight.data
    theirs.self_attn.in_proj_bias.data = ours.qkv.bias.data
    theirs.self_attn.out_proj.load_state_dict(ours.project.state_dict())
    theirs.linear1.load_state_dict(ours.feed_forward[0].state_dict())
    theirs.linear2.load_state_dict(ours.feed_forward[2].state_dict())
    tokens = torch.randn(2, 5, 8)
    torch.testing.assert_close(ours(tokens), theirs(tokens), atol=1e-5, rtol=1e-4)


def test_a_shared_vector_acts_as_if_concatenated_to_every_token() -> None:
    torch.manual_seed(0)
    linear, tokens, shared = nn.Linear(3 + 5, 4), torch.randn(2, 6, 3), torch.randn(2, 5)
    joined = torch.cat([tokens, shared[:, None].expand(-1, 6, -1)], -1)
    torch.testing.assert_close(linear_on_both(linear, tokens, shared), linear(joined))


def block(**changes: object) -> AttentionBlock:
    torch.manual_seed(0)
    settings: dict = {
        "feed_forward": 16, "heads": 2, "layers": 1, "n_context": 3, "positions": 7, "dropout": 0.0
    }  # fmt: skip
    return AttentionBlock(5, 8, 4, **(settings | changes))


def test_context_tokens_leave_as_they_were_embedded() -> None:
    module, tokens = block(), torch.randn(2, 7, 5)
    hidden, mean = module(tokens)
    assert module.position is not None
    expected = module.embed(tokens) + module.position.weight
    torch.testing.assert_close(hidden[:, :3], expected[:, :3])
    torch.testing.assert_close(mean, module.mean(hidden) + module.residual(tokens))


@pytest.mark.parametrize(("changes", "reaches"), [({}, True), ({"cross_attention": False}, False)])
def test_vertices_see_joints_through_cross_attention_alone(changes: dict, reaches: bool) -> None:
    module, tokens = block(**changes), torch.randn(1, 7, 5)
    moved = tokens.clone()
    moved[:, :3] += 1
    change = (module(moved)[1] - module(tokens)[1])[:, 3:].abs().max().item()
    assert (change > 1e-4) is reaches


def test_without_self_attention_vertices_do_not_see_each_other() -> None:
    tokens = torch.randn(1, 7, 5)
    moved = tokens.clone()
    moved[:, 6] += 1
    for layers, seen in ((0, False), (1, True)):
        module = block(layers=layers)
        change = (module(moved)[1] - module(tokens)[1])[:, 3:6].abs().max().item()
        assert (change > 1e-5) is seen


def test_dropout_acts_in_training_alone() -> None:
    module, tokens = block(dropout=0.5), torch.randn(1, 7, 5)
    assert not torch.equal(module(tokens)[1], module(tokens)[1])
    module.eval()
    assert torch.equal(module(tokens)[1], module(tokens)[1])

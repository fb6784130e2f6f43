import pytest
import torch
from torch import nn

from methods.layers.image_attention import ImageAttention, ImageGrid, PreNormBlock
from tasks.errors import RequestError


def torchs_own(block: PreNormBlock, width: int, heads: int, feed_forward: int) -> nn.Module:
    """The same layer as torch has it, with the same weights."""
    layer = nn.TransformerEncoderLayer(
        width, heads, feed_forward, dropout=0.0, norm_first=True, batch_first=True, layer_norm_eps=1e-6
    )
    projections = (block.query, block.key, block.value)
    layer.self_attn.in_proj_weight.data = torch.cat([p.weight for p in projections])
    layer.self_attn.in_proj_bias.data = torch.cat([p.bias for p in projections])
    pairs = {
        layer.self_attn.out_proj: block.project,
        layer.linear1: block.feed_forward.widen,
        layer.linear2: block.feed_forward.narrow,
        layer.norm1: block.norm,
        layer.norm2: block.feed_forward.norm,
    }
    for theirs, ours in pairs.items():
        theirs.load_state_dict(ours.state_dict())
    return layer.eval()


def shaken(module: nn.Module) -> nn.Module:
    """Biases and norms away from their zeros and ones."""
    for parameter in module.parameters():
        parameter.data += 0.1 * torch.randn_like(parameter)
    return module.eval()


def test_the_block_is_torchs_pre_norm_encoder_layer() -> None:
    torch.manual_seed(0)
    block = shaken(PreNormBlock(24, 4, 40, 0.1))
    tokens = torch.randn(2, 7, 24)
    with torch.no_grad():
        torch.testing.assert_close(block(tokens), torchs_own(block, 24, 4, 40)(tokens))


@pytest.mark.parametrize(("width", "heads"), [(24, 4), (19, 2)])
def test_a_token_alone_is_the_first_of_its_own_sequence(width: int, heads: int) -> None:
    torch.manual_seed(1)
    block = shaken(PreNormBlock(width, heads, width, 0.1))
    tokens, grid = torch.randn(3, 11, width), torch.randn(3, 16, width)
    sequences = torch.cat([tokens[:, :, None], grid[:, None].expand(-1, 11, -1, -1)], 2).flatten(0, 1)
    naive = block(sequences)[:, 0].unflatten(0, (3, 11))
    torch.testing.assert_close(block.alone(tokens, grid), naive)


def attention(together: bool, blocks: int = 1) -> ImageAttention:
    torch.manual_seed(2)
    made = ImageAttention(
        5, 8, width=19, cells=4, grid_width=12, heads=2, dropout=0.1, together=together, blocks=blocks
    )
    shaken(made)
    return made


@pytest.mark.parametrize("blocks", [1, 3])
def test_alone_no_token_sees_another(blocks: int) -> None:
    module, tokens, feature_map = attention(False, blocks), torch.randn(2, 6, 19), torch.randn(2, 5, 8, 8)
    whole = module(tokens, feature_map)
    grid = module.encode(feature_map)
    parts = torch.cat([module.look(tokens[:, :1], grid), module.look(tokens[:, 1:], grid)], 1)
    torch.testing.assert_close(whole, parts)


def test_together_every_token_sees_the_others_and_the_grid() -> None:
    module, tokens, feature_map = attention(True), torch.randn(2, 6, 19), torch.randn(2, 5, 8, 8)
    out = module(tokens, feature_map)
    sequence = torch.cat([tokens, module.encode(feature_map)], 1)
    torch.testing.assert_close(out, module.blocks[0](sequence)[:, :6])
    changed = tokens.clone()
    changed[:, 5] = -changed[:, 5]
    assert (module(changed, feature_map)[:, 0] - out[:, 0]).abs().max() > 1e-5


def test_grid_tokens_are_the_patches_row_by_row() -> None:
    torch.manual_seed(3)
    grid = ImageGrid(5, 8, 4, 12, heads=2, dropout=0.0, attention=False)
    feature_map = torch.randn(1, 5, 8, 8)
    row, column = 2, 1
    patch = feature_map[0, :, 4:6, 2:4]
    by_hand = torch.einsum("ocij,cij->o", grid.patches.weight, patch) + grid.patches.bias
    token = by_hand.relu() + grid.places.weight[4 * row + column]
    torch.testing.assert_close(grid(feature_map)[0, 4 * row + column], token)


def test_a_grid_that_does_not_divide_the_map_is_refused() -> None:
    with pytest.raises(RequestError, match="grid must divide it"):
        ImageGrid(5, 6, 4, 12, heads=2, dropout=0.0)

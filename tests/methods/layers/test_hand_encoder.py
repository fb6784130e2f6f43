import pytest
import torch

from methods.layers.backbone_config import BackboneConfig
from methods.layers.hand_encoder import HandEncoder
from methods.layers.hand_encoder_config import HandEncoderConfig

SMALL = HandEncoderConfig(
    backbone=BackboneConfig(widths=(8, 12, 16), blocks=(1, 1, 1), features=20), decoder_width=10
)
RESNET = HandEncoderConfig(backbone=BackboneConfig(kind="resnet50"))


def test_all_maps_are_coarsest_first_and_lie_level_by_level() -> None:
    encoding = HandEncoder(RESNET, 128, with_heads=True)(torch.rand(1, 3, 128, 128))
    sides = [4, 8, 16, 32]
    assert [m.shape[1] for m in encoding.image_maps] == [2048, 1024, 512, 256]
    for maps in (encoding.image_maps, encoding.heatmap_maps, encoding.dense_maps):
        assert [m.shape[-1] for m in maps] == sides
    assert {m.shape[1] for m in (*encoding.heatmap_maps, *encoding.dense_maps)} == {128}
    assert encoding.heads is not None
    assert tuple(encoding.heads.heatmaps.shape) == (1, 42, 32, 32)
    assert tuple(encoding.heads.masks.shape) == (1, 2, 32, 32)
    assert tuple(encoding.heads.dense.shape) == (1, 6, 32, 32)


@pytest.mark.parametrize("size", [64, 72])
def test_a_small_network_and_sizes_that_do_not_halve_work_too(size: int) -> None:
    encoder = HandEncoder(SMALL, size, with_heads=False)
    encoding = encoder(torch.rand(2, 3, size, size))
    assert tuple(m.shape[-1] for m in encoding.heatmap_maps) == encoder.map_sizes
    assert tuple(m.shape[1] for m in encoding.image_maps) == encoder.image_channels == (16, 12, 8)
    assert encoding.features.shape == (2, encoder.features)
    assert encoding.heads is None


def test_the_paper_sized_encoder_has_the_parameters_of_its_parts() -> None:
    decoder = 2048 * 128 + 3 * 9 * 128 * 128 + 4 * 2 * 128
    heads = 42 * 129 + 8 * 129
    parameters = sum(p.numel() for p in HandEncoder(RESNET, 64, with_heads=True).parameters())
    assert parameters == 23_508_032 + 2 * decoder + heads


def test_the_two_decoders_are_apart_and_read_the_coarsest_map_alone() -> None:
    torch.manual_seed(0)
    encoder = HandEncoder(SMALL, 64, with_heads=True).eval()
    maps = [torch.rand(1, c, s, s, requires_grad=True) for c, s in ((16, 4), (12, 8), (8, 16))]
    encoder.heatmap_decoder(maps)[-1].sum().backward()
    assert maps[0].grad is not None
    assert maps[1].grad is None
    assert all(p.grad is None for p in encoder.dense_decoder.parameters())


def test_with_skips_a_decoder_sees_the_finer_maps_where_they_are_and_no_other_place() -> None:
    torch.manual_seed(0)
    decoder = HandEncoder(SMALL.model_copy(update={"skips": True}), 64, with_heads=False).eval().dense_decoder
    maps = [torch.rand(1, c, s, s, requires_grad=True) for c, s in ((16, 4), (12, 8), (8, 16))]
    decoder(maps)[-1][0, :, 9, 9].sum().backward()
    finest = maps[2].grad
    assert finest is not None
    rows, columns = finest[0].abs().sum(0).nonzero().T
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (8, 10, 8, 10)
    assert maps[1].grad is not None
    assert maps[1].grad.abs().sum() > 0


def test_samples_do_not_mix_in_evaluation() -> None:
    torch.manual_seed(0)
    encoder = HandEncoder(SMALL, 64, with_heads=True).eval()
    images = torch.rand(3, 3, 64, 64)
    whole, alone = encoder(images), encoder(images[1:2])
    torch.testing.assert_close(whole.heatmap_maps[-1][1:2], alone.heatmap_maps[-1])
    torch.testing.assert_close(whole.features[1:2], alone.features)

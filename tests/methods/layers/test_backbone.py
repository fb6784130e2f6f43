from pathlib import Path

import pytest
import torch

from methods.layers.backbone import Backbone
from methods.layers.backbone_config import BackboneConfig
from methods.layers.hrnet import HRNet
from tasks.errors import RequestError

SMALL = BackboneConfig(widths=(8, 12, 16), blocks=(1, 1, 1), features=20)
CLASSIFIER = 2048 * 1000 + 1000


def size_of(network: torch.nn.Module) -> int:
    return sum(p.numel() for p in network.parameters())


def conv(channels_in: int, channels: int, kernel: int) -> int:
    """Parameters of a convolution without a bias and of the batch norm after it."""
    return channels_in * channels * kernel**2 + 2 * channels


@pytest.mark.parametrize("pooling", ["average", "grid"])
@pytest.mark.parametrize("size", [64, 72])
def test_the_residual_network_returns_a_vector_and_a_pyramid(pooling: str, size: int) -> None:
    config = SMALL.model_copy(update={"pooling": pooling})
    features, maps = Backbone(config, size)(torch.rand(2, 3, size, size))
    assert features.shape == (2, 20)
    sides = [size // 4, -(-size // 8), -(-size // 16)]
    assert [tuple(m.shape[1:]) for m in maps] == [(c, s, s) for c, s in zip((8, 12, 16), sides, strict=True)]


@pytest.mark.parametrize(("pooling", "knows"), [("average", False), ("grid", True)])
def test_grid_pooling_alone_knows_where_a_feature_was(pooling: str, knows: bool) -> None:
    torch.manual_seed(0)
    pool = Backbone(SMALL.model_copy(update={"pooling": pooling}), 64).network.pool
    last_map = torch.rand(1, 16, 4, 4)
    change = (pool(last_map) - pool(last_map.roll(1, 3))).abs().max().item()
    assert (change > 1e-4) is knows


@pytest.mark.parametrize(("width", "published"), [(32, 41_232_680), (64, 128_059_944)])
def test_hrnet_has_the_published_parameter_count(width: int, published: int) -> None:
    assert size_of(HRNet(width)) + CLASSIFIER == published


def test_hrnet_for_the_finest_map_lacks_the_head_and_the_last_fusions_to_coarser_maps() -> None:
    """The difference from the whole network, counted by hand: biases only in the head, two numbers per batch norm."""

    def fused(source: int, target: int) -> int:
        if source > target:
            return conv(32 << source, 32 << target, 1)
        between = (target - source - 1) * conv(32 << source, 32 << source, 3)
        return between + conv(32 << source, 32 << target, 3)

    fusions = sum(fused(source, target) for target in (1, 2, 3) for source in range(4) if source != target)
    widened = sum(
        conv(width, head, 1) + conv(head, head, 3) + conv(head, 4 * head, 1) + conv(width, 4 * head, 1)
        for width, head in ((32, 32), (64, 64), (128, 128), (256, 256))
    )
    downsampled = sum(conv(4 * head, 8 * head, 3) + 8 * head for head in (32, 64, 128))
    head = widened + downsampled + conv(1024, 2048, 1) + 2048
    assert size_of(HRNet(32)) - size_of(HRNet(32, pooled=False)) == fusions + head
    assert round(size_of(HRNet(32, pooled=False)) / 1e6, 1) == 28.5  # as published for human pose


def test_hrnet_for_the_finest_map_trains_all_of_its_parameters() -> None:
    network = Backbone(BackboneConfig(kind="hrnet_w32", pooling="none"), 64)
    features, (finest,) = network(torch.rand(2, 3, 64, 64))
    assert (network.features, network.map_channels) == (0, (32,))
    assert features.shape == (2, 0)
    assert finest.shape == (2, 32, 16, 16)
    finest.sum().backward()
    assert all(p.grad is not None for p in network.parameters())


def test_whole_weights_start_a_network_for_the_finest_map(tmp_path: Path) -> None:
    torch.save(HRNet(32).state_dict(), tmp_path / "weights.pt")
    config = BackboneConfig(kind="hrnet_w32", pooling="none", weights=str(tmp_path / "weights.pt"))
    state, loaded = torch.load(tmp_path / "weights.pt"), Backbone(config, 64).network.state_dict()
    assert all(torch.equal(value, state[name]) for name, value in loaded.items())


def test_without_pooling_there_is_no_global_vector() -> None:
    network = Backbone(SMALL.model_copy(update={"pooling": "none"}), 64)
    features, maps = network(torch.rand(2, 3, 64, 64))
    assert network.features == features.shape[1] == 0
    assert len(maps) == 3
    assert not list(network.network.pool.parameters())


def test_hrnet_w64_keeps_the_official_names() -> None:
    names = HRNet(64).state_dict()
    for name, shape in {
        "layer1.0.downsample.0.weight": (256, 64, 1, 1),
        "transition1.1.0.0.weight": (128, 256, 3, 3),
        "transition3.3.0.0.weight": (512, 256, 3, 3),
        "stage2.0.fuse_layers.1.0.0.0.weight": (128, 64, 3, 3),
        "stage4.2.fuse_layers.3.0.2.0.weight": (512, 64, 3, 3),
        "stage4.2.branches.3.3.conv2.weight": (512, 512, 3, 3),
        "incre_modules.3.0.conv3.weight": (1024, 256, 1, 1),
        "downsamp_modules.2.0.bias": (1024,),
        "final_layer.0.weight": (2048, 1024, 1, 1),
    }.items():
        assert tuple(names[name].shape) == shape


def test_saved_weights_are_loaded_and_a_classifier_is_ignored(tmp_path: Path) -> None:
    source = Backbone(SMALL, 64)
    state = source.network.state_dict() | {"classifier.weight": torch.zeros(3, 3)}
    torch.save({"state_dict": state}, tmp_path / "weights.pt")
    loaded = Backbone(SMALL.model_copy(update={"weights": str(tmp_path / "weights.pt")}), 64)
    for mine, theirs in zip(loaded.parameters(), source.parameters(), strict=True):
        assert torch.equal(mine, theirs)


def test_weights_that_are_missing_damaged_foreign_or_code_are_refused(tmp_path: Path) -> None:
    torch.save({"a": torch.zeros(1)}, tmp_path / "foreign.pt")
    torch.save(SMALL, tmp_path / "code.pt")
    whole = tmp_path / "whole.pt"
    torch.save(Backbone(SMALL, 64).network.state_dict(), whole)
    (tmp_path / "cut.pt").write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    (tmp_path / "text.pt").write_text("no weights")
    torch.save([1, 2], tmp_path / "list.pt")
    for name in ("absent", "foreign", "code", "cut", "text", "list"):
        config = SMALL.model_copy(update={"weights": str(tmp_path / f"{name}.pt")})
        with pytest.raises(RequestError, match=f"{name}.pt") as caught:
            Backbone(config, 64)
        assert "\n" not in str(caught.value)


def test_weights_of_another_size_are_refused(tmp_path: Path) -> None:
    torch.save(Backbone(SMALL, 64).network.state_dict(), tmp_path / "weights.pt")
    config = SMALL.model_copy(update={"weights": str(tmp_path / "weights.pt"), "widths": (8, 12, 24)})
    with pytest.raises(RequestError, match=r"weights\.pt"):
        Backbone(config, 64)


def test_widths_and_blocks_must_agree() -> None:
    with pytest.raises(RequestError, match="differ in length"):
        Backbone(SMALL.model_copy(update={"blocks": (1, 1)}), 64)

from pathlib import Path

import pytest
import torch

from methods.layers.backbone import Backbone
from methods.layers.backbone_config import BackboneConfig
from methods.layers.hrnet import HRNetW64
from tasks.errors import RequestError

SMALL = BackboneConfig(widths=(8, 12, 16), blocks=(1, 1, 1), features=20)
CLASSIFIER = 2048 * 1000 + 1000


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


def test_hrnet_w64_has_the_published_parameter_count() -> None:
    parameters = sum(p.numel() for p in HRNetW64().parameters())
    assert parameters + CLASSIFIER == 128_059_944


def test_hrnet_w64_keeps_the_official_names() -> None:
    names = HRNetW64().state_dict()
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

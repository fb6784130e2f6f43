from dataclasses import fields

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from methods.baselines.digit.config import DigitConfig
from methods.baselines.digit.model import DigitModule, DigitOutput, soft_depth, soft_joints
from methods.config import resolve_config
from methods.registry import load_preset
from tasks.errors import RequestError
from tests.methods.baselines.digit.small import SMALL

FUSIONS = ("logits", "probabilities", "labels", "none")


def module(**changes: object) -> DigitModule:
    torch.manual_seed(0)
    return DigitModule(DigitConfig.model_validate({**SMALL, **changes}))


def tensors(out: DigitOutput) -> dict[str, torch.Tensor]:
    return {field.name: getattr(out, field.name) for field in fields(out)}


@pytest.mark.parametrize(("row", "column", "xy"), [(0, 0, (2.0, 2.0)), (3, 10, (42.0, 14.0))])
def test_a_sharp_heatmap_gives_the_middle_of_its_cell_and_the_depth_there(
    row: int, column: int, xy: tuple[float, float]
) -> None:
    """On 16 x 16 cells of the map, each 4 of the 64 of the crop; the depth map is in half ranges, of 32."""
    heatmap, depth = torch.zeros(1, 1, 16, 16), torch.randn(1, 1, 16, 16)
    heatmap[0, 0, row, column] = 100
    joint = soft_joints(heatmap, depth)[0, 0]
    torch.testing.assert_close(joint, torch.tensor([*xy, 32 * depth[0, 0, row, column]]))


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**31), st.sampled_from([(4, 4), (6, 3)]))
def test_joints_are_means_under_the_heatmap(seed: int, size: tuple[int, int]) -> None:
    noise = np.random.default_rng(seed)
    heatmaps, depths = noise.normal(0, 3, (2, 2, 5, *size))
    joints = soft_joints(torch.from_numpy(heatmaps), torch.from_numpy(depths))
    for index in np.ndindex(2, 5):
        p = np.exp(heatmaps[index]) / np.exp(heatmaps[index]).sum()
        x = sum(p[r, c] * (c + 0.5) * 64 / size[1] for r, c in np.ndindex(size))
        y = sum(p[r, c] * (r + 0.5) * 64 / size[0] for r, c in np.ndindex(size))
        np.testing.assert_allclose(joints[index], [x, y, 32 * (p * depths[index]).sum()], rtol=1e-9)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**31))
def test_mirrored_heatmaps_give_mirrored_joints(seed: int) -> None:
    noise = torch.Generator().manual_seed(seed)
    heatmaps, depths = torch.randn(2, 1, 3, 8, 8, generator=noise, dtype=torch.float64)
    mirror = torch.tensor([-1.0, 1.0, 1.0], dtype=torch.float64)
    expected = soft_joints(heatmaps, depths) * mirror + torch.tensor([64.0, 0, 0])
    torch.testing.assert_close(soft_joints(heatmaps.flip(3), depths.flip(3)), expected)


def test_a_depth_is_the_mean_of_its_bins_about_the_middle_of_the_range() -> None:
    assert soft_depth(torch.zeros(1, 64)).item() == pytest.approx(0, abs=1e-5)
    sharp = torch.zeros(1, 64)
    sharp[0, 3] = 100
    assert soft_depth(sharp).item() == pytest.approx(3.5 - 32)
    assert soft_depth(torch.eye(4)[:1] * 100).item() == pytest.approx(8 - 32)


@pytest.mark.parametrize("fusion", FUSIONS)
def test_every_head_has_its_shape_and_every_parameter_a_gradient(fusion: str) -> None:
    out = module(fusion=fusion)(torch.rand(2, 3, 64, 64))
    shapes = {name: tuple(value.shape) for name, value in tensors(out).items()}
    assert shapes == {
        "joints": (2, 2, 21, 3),
        "relative_root": (2,),
        "handedness": (2, 2),
        "log_crop_width": (2, 2),
        "segmentation": (2, 33, 32, 32),
    }
    network = module(fusion=fusion)
    sum(value.sum() for value in tensors(network(torch.rand(2, 3, 64, 64))).values()).backward()
    assert all(p.grad is not None for p in network.parameters())


@pytest.mark.parametrize(
    ("fusion", "sees"), [("logits", True), ("probabilities", True), ("labels", True), ("none", False)]
)
def test_joints_see_the_segmentation_where_it_is_fused(fusion: str, sees: bool) -> None:
    network, image = module(fusion=fusion).eval(), torch.rand(1, 3, 64, 64)
    before = network(image).joints
    with torch.no_grad():
        network.segmentation[-1].bias[5] += 50
    assert (not torch.equal(network(image).joints, before)) is sees


@pytest.mark.parametrize(
    ("fusion", "learns"), [("logits", True), ("probabilities", True), ("labels", False), ("none", False)]
)
def test_joints_teach_the_segmentation_unless_they_see_labels_or_nothing(fusion: str, learns: bool) -> None:
    network = module(fusion=fusion)
    network(torch.rand(2, 3, 64, 64)).joints.square().sum().backward()
    gradient = network.segmentation[-1].weight.grad
    assert (gradient is not None and bool(gradient.any())) is learns


def test_samples_do_not_mix_and_evaluation_repeats() -> None:
    network, images = module().eval(), torch.rand(3, 3, 64, 64)
    whole, again, alone = (tensors(network(x)) for x in (images, images, images[1:2]))
    for name, value in whole.items():
        assert torch.equal(value, again[name])
        torch.testing.assert_close(value[1:2], alone[name], atol=1e-5, rtol=1e-4)


def test_sizes_that_do_not_halve_evenly_are_taken() -> None:
    out = module(image_size_px=72)(torch.rand(2, 3, 72, 72))
    assert out.segmentation.shape[-1] == 36
    assert out.joints.isfinite().all()


def test_heatmaps_may_be_as_fine_as_a_coarser_map() -> None:
    assert module(heatmap_level=1)(torch.rand(2, 3, 64, 64)).segmentation.shape[-1] == 16
    with pytest.raises(RequestError, match="heatmap_level is 2, and the image network has 2 maps"):
        module(heatmap_level=2)


def conv(channels_in: int, channels: int, kernel: int = 3, norm: bool = False) -> int:
    """Parameters of a convolution with a bias, and of a batch norm after it."""
    return channels_in * channels * kernel**2 + channels + 2 * channels * norm


def double(channels_in: int, middle: int, channels: int) -> int:
    return conv(channels_in, middle, norm=True) + conv(middle, channels, norm=True)


def test_the_paper_preset_has_the_released_sizes() -> None:
    """Counted by hand from the released code's layers; the image network is HRNet-W32 for human pose."""
    config = resolve_config(DigitConfig, load_preset("digit", "paper"), {})
    with torch.device("meta"):
        network = DigitModule(config)
    sizes = {name: sum(p.numel() for p in child.parameters()) for name, child in network.named_children()}
    seen = 32 + 512
    assert sizes == {
        "backbone": 28_535_552,
        "features": 0,
        "segmentation": double(32, 16, 64) + conv(64, 33, norm=True) + conv(33, 33),
        "parts": conv(33, 64) + conv(64, 512),
        "merge": double(seen, 64, 64) + double(64, 128, 128) + double(128, 256, 256) + double(256, 256, 256)
        + double(512, 256, 128) + double(256, 128, 64) + double(128, 64, 64) + conv(64, seen, 1),
        "heatmaps": conv(seen, 42, 1),
        "depths": conv(seen, 42, 1),
        "glance": conv(seen, 64) + conv(64, 128) + conv(128, 256) + conv(256, 512) + 2 * conv(512, 512),
        "relative_root": conv(512, 512, 1) + conv(512, 64, 1),
        "handedness": conv(512, 512, 1) + conv(512, 2, 1),
        "log_crop_width": conv(512, 512, 1) + conv(512, 2, 1),
    }  # fmt: skip
    assert network.segmentation[0].scale_factor == 2

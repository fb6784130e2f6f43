"""Two-hand refinement: what reaches a hand's field, and what does not."""

import pytest
import torch

from methods.im2hands.refinement import RefinementModule, from_palms
from tests.methods.im2hands.small import SIZE, small_config
from tests.methods.pairs import pairs_batch

N = 20


@pytest.fixture(scope="module")
def batch():
    return pairs_batch(2, SIZE)


def module(**changes) -> RefinementModule:
    torch.manual_seed(3)
    return RefinementModule(small_config(refinement=changes).refinement, SIZE).eval()


def inputs(batch, seed: int = 0) -> dict:
    noise = torch.Generator().manual_seed(seed)
    return {
        "image": batch.image,
        "intrinsics_px": batch.intrinsics_px,
        "keypoints_cam_m": batch.keypoints_cam_m,
        "anchors": 0.2 * torch.randn(2, 2, 32, 3, generator=noise),
        "queries": 0.2 * torch.randn(2, 2, N, 3, generator=noise),
        "initial": torch.rand(2, 2, N, 2, generator=noise),
    }


def changed(given: dict, name: str, side: int | None = None) -> dict:
    """The inputs with fresh noise in one of them, of one hand or of all."""
    other = {**given, name: given[name].clone()}
    at = slice(None) if side is None else (slice(None), side)
    other[name][at] = torch.rand_like(other[name][at])
    return other


def moved(before: torch.Tensor, after: torch.Tensor) -> bool:
    return bool((before - after).abs().max() > 1e-5)


def test_the_other_hand_reaches_a_field_through_the_context(batch):
    """Its anchors are not among those that queries attend to, but their code is in c_s."""
    given = inputs(batch)
    near = changed(given, "anchors", side=1)
    near["anchors"][:, 1] = given["anchors"][:, 1].flip(1)
    net = module(context="full")
    before, after = net(**given)[0], net(**near)[0]
    assert moved(before[:, 1], after[:, 1])
    assert moved(before[:, 0], after[:, 0])


def test_without_the_other_hand_nothing_of_it_does_but_the_common_middle(batch):
    """The same points in another order have the same middle, and other codes: the first of a cloud is always kept."""
    given = inputs(batch)
    near = changed(given, "anchors", side=1)
    near["anchors"][:, 1] = given["anchors"][:, 1].flip(1)
    net = module(context="without_other")
    torch.testing.assert_close(net(**given)[0][:, 0], net(**near)[0][:, 0], atol=1e-5, rtol=1e-4)


def test_with_the_anchors_of_both_the_other_hand_is_asked_as_well(batch):
    given = inputs(batch)
    net = module(anchors_of="both", context="without_other")
    names = ("image", "intrinsics_px", "keypoints_cam_m", "anchors")
    context = net.encode(*(given[k] for k in names))
    assert context.anchors.shape == (2, 2, 16, 3)
    torch.testing.assert_close(context.anchors[:, 0, :8], context.anchors[:, 1, 8:])


def test_another_unit_is_another_scale_of_the_weights_that_see_offsets(batch):
    given = inputs(batch)
    metres, units = module(), module(unit_m=0.02)
    offsets = {name: w for name, w in units.state_dict().items() if name.endswith("offset.0.weight")}
    assert len(offsets) == 7
    assert moved(metres(**given)[0], units(**given)[0])
    units.load_state_dict({name: 0.02 * w for name, w in offsets.items()}, strict=False)
    torch.testing.assert_close(metres(**given)[0], units(**given)[0], atol=1e-4, rtol=1e-3)


def test_the_image_reaches_a_field_through_pixels_and_context(batch):
    given = inputs(batch)
    for context in ("full", "without_image"):
        net = module(context=context)
        assert moved(net(**given)[0], net(**changed(given, "image"))[0])


def test_one_hand_by_itself_is_the_same_as_in_its_batch(batch):
    given = inputs(batch)
    net = module()
    own, _, _ = net(**given)
    names = ("image", "intrinsics_px", "keypoints_cam_m", "anchors")
    context = net.encode(*(given[k] for k in names))
    queries_cam_m = from_palms(batch.keypoints_cam_m, given["queries"])
    for image in range(2):
        for side in range(2):
            alone = net.occupancy(
                context.one(image, side),
                queries_cam_m[image, side, :5][None, None],
                given["initial"][image, side, :5, 0][None, None],
            )
            torch.testing.assert_close(alone[0, 0], own[image, side, :5], atol=1e-5, rtol=1e-4)


def test_both_fields_are_asked_at_the_same_points(batch):
    """The second answer is the other hand's field at a hand's own queries."""
    given = inputs(batch)
    net = module()
    _, other, _ = net(**given)
    names = ("image", "intrinsics_px", "keypoints_cam_m", "anchors")
    context = net.encode(*(given[k] for k in names))
    queries_cam_m = from_palms(batch.keypoints_cam_m, given["queries"])
    expected = net.occupancy(context.one(0, 1), queries_cam_m[:1, :1], given["initial"][:1, :1, :, 1])
    torch.testing.assert_close(other[0, 0], expected[0, 0], atol=1e-5, rtol=1e-4)


def test_codes_are_fused_once_unless_asked_to_as_released(batch):
    given = inputs(batch)
    once, twice = module(fusing="once"), module(fusing="twice")
    torch.testing.assert_close(once(**given)[0], twice(**given)[0])
    assert moved(once(**given)[1], twice(**given)[1])


def test_a_residual_refinement_begins_as_the_initial_occupancy(batch):
    given = inputs(batch)
    own, other, _ = module(initial="residual")(**given)
    torch.testing.assert_close(own.sigmoid(), given["initial"][..., 0].clamp(1e-3, 1 - 1e-3))
    torch.testing.assert_close(other.sigmoid(), given["initial"][..., 1].clamp(1e-3, 1 - 1e-3))


def test_the_papers_sizes_have_the_released_parameters():
    """Head: 264 to 32, five times 200 to 32 and two layers of 32, 32 to 1; latent: 768 to 256."""
    from methods.im2hands.config import Im2HandsConfig
    from methods.registry import load_preset

    config = Im2HandsConfig.model_validate(load_preset("im2hands", "paper"))
    net = RefinementModule(config.refinement, config.image_size_px)

    def count(part) -> int:
        return sum(p.numel() for p in part.parameters())

    head = 264 * 32 + 32 + 5 * (200 * 32 + 32 + 2 * (32 * 32 + 32)) + 33
    assert count(net.head) == head
    assert count(net.fuse) == 768 * 256 + 256
    assert count(net.pixel) == 256 * 32 + 32
    assert count(net.collapse) == 2 * (128 * 128 * 64 + 128)
    assert count(net.cloud) == 3_798_592
    assert count(net.ask) == 377_400

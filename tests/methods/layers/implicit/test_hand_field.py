"""Fields of hands: one by one as in a batch, by keypoints alone or in view of an image."""

import pytest
import torch

from methods.layers.backbone_config import BackboneConfig
from methods.layers.hand_encoder_config import HandEncoderConfig
from methods.layers.implicit.conditions import PixelAligned, QueryImageAttention
from methods.layers.implicit.config import PartsConfig, PixelConfig, QueryAttentionConfig
from methods.layers.implicit.hand_field import HandField
from tasks.geometry.cameras import project
from tasks.hands.hand import load_hand
from tests.methods.pairs import pairs_batch

SIZE = 32
IMAGE = HandEncoderConfig(
    backbone=BackboneConfig(stem_stride=2, widths=(8, 12), blocks=(1, 1)), decoder_width=8
)
PARTS = PartsConfig(hidden=12)


def condition(kind: str, depth: str = "wrist"):
    if kind == "pixel":
        return PixelAligned(IMAGE, PixelConfig(channels=5), SIZE, False)
    if kind == "attention":
        settings = QueryAttentionConfig(channels=8, grid=4, point_code=5, depth=depth, dropout=0.0)
        return QueryImageAttention(IMAGE, settings, 2, SIZE, False)
    return None


def field(kind: str, **more) -> HandField:
    torch.manual_seed(1)
    return HandField(PARTS, load_hand(), condition(kind, **more)).eval()


def logits(of: HandField, *arguments) -> torch.Tensor:
    return of(*arguments)[0]


@pytest.fixture(scope="module")
def batch():
    return pairs_batch(3, SIZE)


@pytest.fixture(scope="module")
def queries():
    return 0.2 * torch.randn(3, 2, 40, 3, generator=torch.Generator().manual_seed(2))


@pytest.mark.parametrize("kind", ["none", "pixel", "attention"])
def test_a_hand_by_itself_is_the_same_as_in_its_batch(batch, queries, kind):
    whole = field(kind)
    with torch.inference_mode():
        together = logits(whole, batch.image, batch.intrinsics_px, batch.keypoints_cam_m, queries)
        hands = whole.hands(batch.image, batch.intrinsics_px, batch.keypoints_cam_m)
        for hand in range(6):
            alone = whole.logits(hands.one(hand), queries.flatten(0, 1)[hand : hand + 1, :7])
            torch.testing.assert_close(alone[0], together.flatten(0, 1)[hand, :7], atol=1e-4, rtol=1e-4)


def test_without_a_condition_the_image_does_not_matter(batch, queries):
    whole = field("none")
    first = logits(whole, batch.image, batch.intrinsics_px, batch.keypoints_cam_m, queries)
    torch.testing.assert_close(
        first, logits(whole, 1 - batch.image, batch.intrinsics_px, batch.keypoints_cam_m, queries)
    )


@pytest.mark.parametrize("kind", ["pixel", "attention"])
def test_with_one_it_does(batch, queries, kind):
    whole = field(kind)
    first = logits(whole, batch.image, batch.intrinsics_px, batch.keypoints_cam_m, queries)
    other = logits(whole, 1 - batch.image, batch.intrinsics_px, batch.keypoints_cam_m, queries)
    assert (first - other).abs().max() > 1e-4


def test_a_field_turns_with_its_hands(batch, queries):
    """Queries are in the palm frames, so a rotation of the scene changes nothing where no image is looked at."""
    angle = torch.tensor(0.7)
    c, s = angle.cos(), angle.sin()
    turn = torch.tensor([[c, -s, 0], [s, c, 0], [0, 0, 1.0]])
    whole = field("none")
    first = logits(whole, batch.image, batch.intrinsics_px, batch.keypoints_cam_m, queries)
    turned = logits(whole, batch.image, batch.intrinsics_px, batch.keypoints_cam_m @ turn.mT + 0.1, queries)
    torch.testing.assert_close(turned, first, atol=1e-3, rtol=1e-3)


def test_pixel_aligned_features_are_those_of_the_pixel_whatever_the_depth(batch):
    seen = condition("pixel")
    whole = HandField(PARTS, load_hand(), seen).eval()
    hands = whole.hands(batch.image, batch.intrinsics_px, batch.keypoints_cam_m)
    near = batch.keypoints_cam_m.flatten(0, 1)
    found = seen.features(hands, near)
    torch.testing.assert_close(seen.features(hands, 1.3 * near), found, atol=1e-5, rtol=1e-4)
    pixels = project(near, batch.intrinsics_px.repeat_interleave(2, 0))
    assert ((pixels > 0) & (pixels < SIZE)).all()
    assert found.std() > 0


def test_a_query_does_not_depend_on_the_others_unless_asked_to_as_released(batch, queries):
    for depth, depends in (("wrist", False), ("first_query", True)):
        whole = field("attention", depth=depth)
        with torch.inference_mode():
            first = logits(whole, batch.image, batch.intrinsics_px, batch.keypoints_cam_m, queries)
            order = torch.arange(39, -1, -1)
            again = logits(
                whole, batch.image, batch.intrinsics_px, batch.keypoints_cam_m, queries[:, :, order]
            )
        same = torch.allclose(again[:, :, order], first, atol=1e-4)
        assert same is not depends

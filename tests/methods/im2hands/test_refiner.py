"""Keypoint refinement: what it moves, and what it leaves where it was."""

import pytest
import torch

from methods.im2hands.refiner import KeypointRefiner
from tasks.hands.skeleton import MIDDLE_MCP
from tests.methods.im2hands.small import SIZE, small_config
from tests.methods.pairs import pairs_batch


@pytest.fixture(scope="module")
def batch():
    return pairs_batch(2, SIZE)


def refiner(**changes) -> KeypointRefiner:
    torch.manual_seed(5)
    return KeypointRefiner(small_config(refiner=changes).refiner, SIZE).eval()


def test_offsets_begin_as_the_given_keypoints(batch):
    found = refiner(output="offsets").refined(batch.image, batch.keypoints_cam_m)
    torch.testing.assert_close(found, batch.keypoints_cam_m, atol=1e-5, rtol=1e-4)


def test_each_middle_knuckle_stays_where_it_was_given(batch):
    found = refiner().refined(batch.image, batch.keypoints_cam_m)
    torch.testing.assert_close(found[:, :, MIDDLE_MCP], batch.keypoints_cam_m[:, :, MIDDLE_MCP])
    assert not torch.allclose(found, batch.keypoints_cam_m, atol=1e-3)


def test_no_hand_sees_the_other_one(batch):
    """But for the origin that both are read about, the left middle knuckle."""
    other = batch.keypoints_cam_m.clone()
    other[:, 0] += 0.01 * torch.randn_like(other[:, 0])
    net = refiner()
    before, after = net(batch.image, batch.keypoints_cam_m)[0], net(batch.image, other)[0]
    torch.testing.assert_close(before[:, 1], after[:, 1])
    assert not torch.allclose(before[:, 0], after[:, 0])


def test_the_released_form_reads_both_hands_by_the_left_regressor(batch):
    net = refiner(regressors="left")
    assert sum(p.numel() for p in net.parameters()) == sum(p.numel() for p in refiner().parameters())
    net.hands[0].regress.requires_grad_(False)
    with torch.no_grad():
        before = net(batch.image, batch.keypoints_cam_m)[0]
        for p in net.hands[0].regress.parameters():
            p.add_(1.0)
        after = net(batch.image, batch.keypoints_cam_m)[0]
    torch.testing.assert_close(before, after)


@pytest.mark.parametrize(("graph", "spreads"), [("laplacian", True), ("directed", False)])
def test_a_parent_reaches_its_child_on_the_laplacian_alone(graph, spreads):
    """With the directed matrix features go from child to parent only."""
    net = refiner(graph=graph)
    blocks = net.hands[0].graphs[0]
    tokens = torch.zeros(1, 21, 48)
    changed = tokens.clone()
    changed[0, 9] = 1.0
    difference = (blocks(changed) - blocks(tokens)).abs().amax(dim=2)[0]
    assert bool(difference[10] > 1e-6) is spreads
    assert difference[0] > 1e-6


def test_the_papers_tokens_grow_from_48_to_112():
    from methods.im2hands.config import Im2HandsConfig
    from methods.registry import load_preset

    config = Im2HandsConfig.model_validate(load_preset("im2hands", "paper"))
    net = KeypointRefiner(config.refiner, config.image_size_px)
    hand = net.hands[0]
    assert [look.project.out_features for look in hand.looks] == [64, 80, 96, 112]
    assert [look.grid.places.embedding_dim for look in hand.looks] == [64, 82, 96, 112]
    assert hand.regress[0].in_features == 112
    assert sum(p.numel() for p in hand.point.parameters()) == 3 * 32 + 32 + 32 * 32 + 32
    assert sum(p.numel() for p in net.map.parameters()) == 512 * 256 + 256

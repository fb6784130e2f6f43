from dataclasses import replace

import pytest
import torch

from methods.baselines.intaghand.config import IntagHandConfig, LossWeights
from methods.baselines.intaghand.hierarchy import mesh_hierarchy
from methods.baselines.intaghand.losses import intaghand_loss, truth
from methods.baselines.intaghand.model import IntagHandOutput
from methods.layers.hand_maps import head_targets
from methods.layers.hand_pair import HandPair, mean_palm
from tasks.geometry.cameras import translation_to_weak
from tasks.hands.hand import HandModel
from tasks.two_hands.batch import TwoHandBatch
from tests.methods.baselines.intaghand.small import GRAPH, SMALL, small

MESH_TERMS = (
    "verts",
    "joints",
    "normals",
    "edges",
    "coarse_verts",
    "relative_root",
    "heatmaps",
    "masks",
    "dense",
)


@pytest.fixture(scope="module")
def pair(hand: HandModel) -> HandPair:
    return HandPair(hand)


@pytest.fixture(scope="module")
def coarse(hand: HandModel) -> torch.Tensor:
    return mesh_hierarchy(hand, GRAPH.vertices)[-1].vertices


def perfect(
    batch: TwoHandBatch, pair: HandPair, coarse: torch.Tensor, config: IntagHandConfig
) -> IntagHandOutput:
    """What a network that knows the truth gives."""
    true, roots_m = truth(batch, pair, config), pair.roots(batch.verts_cam_m)[:, :, 0]
    cameras = translation_to_weak(roots_m, batch.intrinsics_px[:, None], config.image_size_px)
    heads = head_targets(pair, batch.verts_cam_m, batch.intrinsics_px, config.image_size_px, 16, 2.0)
    return IntagHandOutput(
        verts=true.verts,
        coarse_verts=true.verts[:, :, coarse],
        cameras=cameras,
        relative_root=true.relative_root if config.relative_root == "head" else None,
        log_palm=true.log_palm if config.size == "unit_palm" else None,
        heads=heads,
    )


def test_the_truth_has_no_error_but_that_of_the_weak_camera(
    pair_batch: TwoHandBatch, pair: HandPair, coarse: torch.Tensor
) -> None:
    terms = intaghand_loss(
        perfect(pair_batch, pair, coarse, SMALL), pair_batch, pair, coarse, SMALL, fraction=1.0
    )
    for name in MESH_TERMS:
        bound = 1e-3 if name != "normals" else 1e-2
        assert terms[name] < bound, name
    assert terms["points_2d"] < 0.2
    torch.testing.assert_close(terms["total"], sum(v for k, v in terms.items() if k != "total"))


def test_a_shift_costs_what_the_published_weights_say(
    pair_batch: TwoHandBatch, pair: HandPair, coarse: torch.Tensor
) -> None:
    out = perfect(pair_batch, pair, coarse, SMALL)
    shifted = replace(
        out,
        verts=out.verts + 0.003,
        relative_root=out.relative_root + torch.tensor([0.0, 0.0, 0.006]),  # type: ignore[operator]
    )
    terms = intaghand_loss(shifted, pair_batch, pair, coarse, SMALL, fraction=1.0)
    assert terms["verts"] == pytest.approx(0.3, rel=1e-3)
    assert terms["joints"] == pytest.approx(0.3, rel=1e-3)
    assert terms["relative_root"] == pytest.approx(0.2, rel=1e-3)
    assert terms["edges"] < 1e-2


def test_a_swollen_hand_has_longer_edges_in_the_same_planes(
    pair_batch: TwoHandBatch, pair: HandPair, coarse: torch.Tensor
) -> None:
    out = perfect(pair_batch, pair, coarse, SMALL)
    swollen = replace(out, verts=1.1 * out.verts)
    terms = intaghand_loss(swollen, pair_batch, pair, coarse, SMALL, fraction=1.0)
    lengths = [
        (v[:, f] - v[:, f.roll(-1, 1)]).norm(dim=-1)
        for v, f in zip(out.verts.unbind(1), pair.faces, strict=True)
    ]
    assert terms["edges"] == pytest.approx(2000 * 0.1 * torch.stack(lengths).mean().item(), rel=1e-3)
    assert terms["normals"] < 1e-2


def test_edges_begin_when_a_quarter_of_training_is_over(
    pair_batch: TwoHandBatch, pair: HandPair, coarse: torch.Tensor
) -> None:
    out = perfect(pair_batch, pair, coarse, SMALL)
    swollen = replace(out, verts=1.1 * out.verts)
    before, after = (
        intaghand_loss(swollen, pair_batch, pair, coarse, SMALL, fraction)["edges"]
        for fraction in (0.24, 0.25)
    )
    assert before == 0
    assert after > 1


def test_with_a_unit_palm_both_hands_have_95_mm_on_average(pair_batch: TwoHandBatch, pair: HandPair) -> None:
    config = small(size="unit_palm")
    true = truth(pair_batch, pair, config)
    torch.testing.assert_close(mean_palm(pair.joints(true.verts)), torch.full((5,), 0.095))
    metres = truth(pair_batch, pair, SMALL)
    factor = true.log_palm.exp()
    torch.testing.assert_close(true.verts * factor[:, None, None, None], metres.verts)
    torch.testing.assert_close(true.relative_root * factor[:, None], metres.relative_root)


def test_as_released_the_right_hand_is_counted_from_the_left_root(
    pair_batch: TwoHandBatch, pair: HandPair
) -> None:
    true = truth(pair_batch, pair, small(relative_root="in_vertices"))
    roots = pair.roots(true.verts)[:, :, 0]
    torch.testing.assert_close(roots[:, 1], torch.zeros(5, 3), atol=1e-6, rtol=0)
    torch.testing.assert_close(roots[:, 0], true.relative_root, atol=1e-6, rtol=0)


@pytest.mark.parametrize("mask_loss", ["smooth_l1", "cross_entropy"])
def test_empty_masks_cost_more_than_true_ones(
    pair_batch: TwoHandBatch, pair: HandPair, coarse: torch.Tensor, mask_loss: str
) -> None:
    config = small(mask_loss=mask_loss, weights=LossWeights(masks=1.0))
    out = perfect(pair_batch, pair, coarse, config)
    right = out.heads.masks if mask_loss == "smooth_l1" else 20 * (out.heads.masks - 0.5)
    wrong = right.min().expand_as(right)
    true, empty = (
        intaghand_loss(
            replace(out, heads=replace(out.heads, masks=masks)), pair_batch, pair, coarse, config, 1.0
        )["masks"]
        for masks in (right, wrong)
    )
    assert true < 1e-3 < 0.05 < empty

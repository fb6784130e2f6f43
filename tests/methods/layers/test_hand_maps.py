import pytest
import torch

from methods.layers.hand_encoder import HandHeads
from methods.layers.hand_maps import head_targets, heatmaps
from methods.layers.hand_pair import HandPair
from tasks.geometry.cameras import project
from tasks.geometry.rasteriser import rasterise
from tasks.hands.hand import HandModel
from tasks.two_hands.batch import TwoHandBatch

SIZE, SIDE = 64, 32


@pytest.fixture(scope="module")
def pair(hand: HandModel) -> HandPair:
    return HandPair(hand)


@pytest.fixture(scope="module")
def targets(pair: HandPair, pair_batch: TwoHandBatch) -> HandHeads:
    return head_targets(pair, pair_batch.verts_cam_m, pair_batch.intrinsics_px, SIZE, SIDE, 2.0)


def test_a_heatmap_is_a_gaussian_of_height_one_about_its_joint() -> None:
    maps = heatmaps(torch.tensor([[[3.5, 7.5]]]), 12, 2.0)
    assert maps[0, 0, 7, 3] == 1.0
    assert maps[0, 0, 7, 5] == pytest.approx(torch.tensor(-0.5).exp().item())
    assert maps[0, 0, 9, 5] == pytest.approx(torch.tensor(-1.0).exp().item())


def test_heatmaps_are_the_right_hands_joints_then_the_left_ones(
    targets: HandHeads, pair_batch: TwoHandBatch
) -> None:
    joints_px = project(pair_batch.keypoints_cam_m.flatten(1, 2), pair_batch.intrinsics_px)
    flat = targets.heatmaps.flatten(2)
    peaks = torch.stack([flat.argmax(2) % SIDE, flat.argmax(2) // SIDE], -1) + 0.5
    inside = ((joints_px > 0) & (joints_px < SIZE)).all(-1)
    assert inside.float().mean() > 0.8
    assert (peaks * SIZE / SIDE - joints_px)[inside].abs().max() <= 0.5 * SIZE / SIDE + 1e-3


def test_masks_are_what_is_seen_of_each_hand(
    pair: HandPair, targets: HandHeads, pair_batch: TwoHandBatch
) -> None:
    intrinsics = pair_batch.intrinsics_px.clone()
    intrinsics[:, :2] *= SIDE / SIZE
    alone = [
        rasterise(pair_batch.verts_cam_m[:, i], pair.faces[i], intrinsics, SIDE, cull_backfaces=True)
        for i in (0, 1)
    ]
    nearer = alone[0].depth_m < alone[1].depth_m
    right, left = targets.masks.unbind(1)
    assert torch.equal(right.bool(), alone[0].mask & nearer)
    assert torch.equal(left.bool(), alone[1].mask & ~nearer)
    assert (right.sum() > 100) & (left.sum() > 100)


def test_a_hand_in_front_hides_the_other(pair: HandPair, pair_batch: TwoHandBatch) -> None:
    verts, roots = pair_batch.verts_cam_m, pair.roots(pair_batch.verts_cam_m)
    left = verts[:, 1] - roots[:, 1] + roots[:, 0]

    def right_cells(left_is_nearer_by_m: float) -> torch.Tensor:
        both = torch.stack([verts[:, 0], left - torch.tensor([0.0, 0.0, left_is_nearer_by_m])], 1)
        return head_targets(pair, both, pair_batch.intrinsics_px, SIZE, SIDE, 2.0).masks[:, 0].sum((1, 2))

    assert (right_cells(0.3) < 0.9 * right_cells(-0.3)).all()


def test_dense_coordinates_say_which_part_of_the_surface_a_cell_shows(
    pair: HandPair, targets: HandHeads, pair_batch: TwoHandBatch
) -> None:
    sample, hand = 0, 1
    px = project(pair_batch.verts_cam_m[sample, hand], pair_batch.intrinsics_px[sample]) * SIDE / SIZE
    row, column = (x.item() for x in targets.masks[sample, hand].nonzero()[40])
    found = targets.dense[sample, 3 * hand : 3 * hand + 3, row, column]
    near = (px - torch.tensor([column + 0.5, row + 0.5])).norm(dim=1) < 2.0
    distance = (pair.coordinates[near] - found).norm(dim=1).min()
    assert distance < 0.1


def test_dense_coordinates_are_zero_outside_their_hands_mask(targets: HandHeads) -> None:
    outside = ~targets.masks.bool().repeat_interleave(3, 1)
    assert not targets.dense[outside].any()
    assert targets.dense[~outside].max() > 0.8

"""Part networks that begin as ellipsoids: before any training they are most of the hand."""

import pytest
import torch

from methods.layers.implicit.config import PartsConfig
from methods.layers.implicit.ellipsoids import STEEPNESS, part_ellipsoids, spread_directions
from methods.layers.implicit.hand_field import HandField
from methods.layers.implicit.part_occupancy import PartOccupancy
from tasks.hands.hand import load_hand
from tasks.two_hands.labelled_queries import draw_queries
from tests.methods.pairs import pairs_batch


def test_directions_add_up_to_lengths() -> None:
    directions = spread_directions(32)
    torch.testing.assert_close(directions.norm(dim=1), torch.ones(32))
    points = torch.randn(200, 3, generator=torch.Generator().manual_seed(0))
    total = (points @ directions.mT).relu().mean(dim=1)
    torch.testing.assert_close(total, 0.25 * points.norm(dim=1), rtol=0.06, atol=0)


def test_each_part_is_an_ellipsoid_about_its_vertices() -> None:
    ellipsoids = part_ellipsoids(load_hand())
    half_axes_mm = 400 / torch.linalg.svdvals(ellipsoids.to_unit)
    fingers = half_axes_mm[1:]
    assert (fingers > 7).all()
    assert (fingers < 22).all()
    assert 30 < half_axes_mm[0].amax() < 80, "the palm"


@pytest.mark.parametrize("networks", ["shared", "per_side"])
def test_an_untrained_field_covers_most_of_a_posed_hand(networks: str) -> None:
    torch.manual_seed(0)
    batch = pairs_batch()
    parts = PartsConfig(hidden=32, networks=networks)
    field = HandField(parts, load_hand()).eval()
    queries = draw_queries(batch, range(4), 2000, 0.0, 0.02)
    with torch.inference_mode():
        logits, _ = field(batch.image, batch.intrinsics_px, batch.keypoints_cam_m, queries.points)
    inside, truth = logits > 0, queries.occupied
    iou = ((inside & truth).sum(2) / (inside | truth).sum(2)).mean()
    assert float(iou) > 0.5
    assert float(logits.max()) < 1.5 * STEEPNESS


def test_a_random_start_is_the_networks_own() -> None:
    torch.manual_seed(0)
    field = HandField(PartsConfig(start="random"), load_hand())
    torch.manual_seed(0)
    bare = PartOccupancy()
    for ours, theirs in zip(field.parts.parameters(), bare.parameters(), strict=True):
        assert torch.equal(ours, theirs)

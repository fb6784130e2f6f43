import pytest
import torch

from methods.layers.implicit.losses import occupancy_loss, penetration_loss


def test_the_squared_error_is_the_mean_of_each_side_added() -> None:
    logits, occupied = torch.randn(3, 2, 5), torch.rand(3, 2, 5) > 0.5
    there = torch.tensor([[True, True], [True, False], [False, True]])
    total = 0.0
    for side in range(2):
        errors = [
            float((logits[b, side].sigmoid() - occupied[b, side].float()).square().mean())
            for b in range(3)
            if there[b, side]
        ]
        total += sum(errors) / len(errors)
    assert float(occupancy_loss(logits, occupied, there, "mse")) == pytest.approx(total, rel=1e-5)


def test_the_cross_entropy_counts_inside_points_more() -> None:
    there = torch.ones(1, 2, dtype=torch.bool)
    wrong_in = occupancy_loss(
        torch.full((1, 2, 4), -2.0), torch.ones(1, 2, 4, dtype=torch.bool), there, "bce"
    )
    wrong_out = occupancy_loss(
        torch.full((1, 2, 4), 2.0), torch.zeros(1, 2, 4, dtype=torch.bool), there, "bce"
    )
    assert float(wrong_in / wrong_out) == pytest.approx(8 / 3, rel=1e-5)


def test_no_hand_is_no_error() -> None:
    logits, occupied = torch.randn(2, 2, 3), torch.zeros(2, 2, 3, dtype=torch.bool)
    assert float(occupancy_loss(logits, occupied, torch.zeros(2, 2, dtype=torch.bool), "mse")) == 0


def test_hands_penetrate_where_both_are_sure() -> None:
    own, other = torch.tensor([[0.9, 0.5, 0.1]]), torch.tensor([[0.8, 0.2, 0.9]])
    assert float(penetration_loss(own, other)) == pytest.approx((0.72 + 0.1 + 0.09) / 3)
    assert float(penetration_loss(own, other, threshold=0.2)) == pytest.approx(0.72 / 3)


def test_the_default_weight_is_the_released_sum_at_its_sizes() -> None:
    from methods.im2hands.config import PenetrationConfig

    own, other = torch.rand(2, 2, 2048), torch.rand(2, 2, 2048)
    released = 0.001 * (own * other).sum()
    ours = PenetrationConfig().weight * penetration_loss(own, other)
    assert float(ours) == pytest.approx(float(released), rel=2e-3)

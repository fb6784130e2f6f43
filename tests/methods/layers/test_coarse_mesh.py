import numpy as np
import pytest
import torch

from methods.layers.coarse_mesh import coarse_mesh, fitted_upsampling
from tasks.hands.hand import HandModel, load_hand
from tasks.hands.open_hand.pose_space import sample_poses
from tasks.hands.skeleton import Side, mirror_pose


def likely_hands(hand: HandModel) -> torch.Tensor:
    rng = np.random.default_rng(3)
    angles = sample_poses(60, rng).reshape(60, 45)
    pose_aa = torch.zeros(60, 48)
    pose_aa[:, 3:] = torch.from_numpy(angles if hand.side == "right" else mirror_pose(angles)).float()
    return hand(pose_aa, torch.from_numpy(rng.normal(size=(60, 10))).float(), flat_hand_mean=True)[0]


@pytest.mark.parametrize("n", [64, 252])
@pytest.mark.parametrize("side", ["right", "left"])
def test_fitted_weights_bring_hands_they_were_not_fitted_to_far_closer(n: int, side: Side) -> None:
    right = load_hand("right")
    mesh = coarse_mesh(right, n)
    weights = fitted_upsampling(right, mesh)
    verts = likely_hands(load_hand(side))

    def error_mm(upsampling: torch.Tensor) -> float:
        return 1000 * float((upsampling @ verts[:, mesh.vertices] - verts).norm(dim=-1).mean())

    assert error_mm(weights) < 0.25 * error_mm(mesh.upsampling)
    assert error_mm(weights) < 1.5


def test_a_hand_may_be_anywhere() -> None:
    hand = load_hand()
    weights = fitted_upsampling(hand, coarse_mesh(hand, 64))
    torch.testing.assert_close(weights.sum(1), torch.ones(hand.n_verts))


def test_the_fit_is_the_same_every_time_and_leaves_the_global_generator_alone() -> None:
    hand = load_hand()
    mesh = coarse_mesh(hand, 32)
    state = torch.get_rng_state()
    first = fitted_upsampling(hand, mesh)
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(first, fitted_upsampling(hand, mesh))

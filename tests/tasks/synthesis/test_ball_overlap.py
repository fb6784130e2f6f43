import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn.functional import huber_loss

from tasks.synthesis.ball_overlap import MEETING_M, STIFF_M, meeting_distance_m, push


def cloud(rng: np.random.Generator, count: int, spread_m: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Balls (1, count)."""
    centres, radii = rng.normal(0, spread_m, (1, count, 3)), rng.uniform(0.004, 0.012, (1, count))
    return torch.tensor(centres), torch.tensor(radii)


@given(seed=st.integers(0, 10_000))
def test_the_push_is_the_gradient_of_squared_depths_that_grow_no_steeper_than_stiff(seed: int) -> None:
    rng = np.random.default_rng(seed)
    first, second = cloud(rng, 7, 0.02), cloud(rng, 5, 0.02)
    reach = first[1][:, :, None] + second[1][:, None]
    centres = [balls[0].clone().requires_grad_() for balls in (first, second)]
    ours = torch.autograd.grad(
        push((centres[0], first[1]), (centres[1], second[1]), 1 / (2 * reach)), centres
    )
    distance = (centres[0][:, :, None] - centres[1][:, None]).square().sum(dim=-1)
    depth = ((reach.square() - distance) / (2 * reach)).clamp(min=0)
    energy = 2 * huber_loss(depth, torch.zeros_like(depth), reduction="sum", delta=STIFF_M)
    for own, true in zip(ours, torch.autograd.grad(energy, centres), strict=True):
        torch.testing.assert_close(own, true)


@given(seed=st.integers(0, 10_000))
def test_hands_that_approach_stop_where_they_meet(seed: int) -> None:
    rng = np.random.default_rng(seed)
    first, second = cloud(rng, 30, 0.02), cloud(rng, 25, 0.02)
    direction = torch.tensor(rng.normal(0, 1, (1, 3)))
    direction /= direction.norm()
    least = torch.tensor([0.005])
    far = meeting_distance_m(first, second, direction, least.double())
    overlap = [deepest(first, (second[0] + (far + more) * direction, second[1])) for more in (0, -1e-4)]
    assert overlap[0] <= MEETING_M + 1e-9
    assert far == least or overlap[1] > MEETING_M


def deepest(first: tuple[torch.Tensor, torch.Tensor], second: tuple[torch.Tensor, torch.Tensor]) -> float:
    apart = (first[0][:, :, None] - second[0][:, None]).norm(dim=-1)
    return float((first[1][:, :, None] + second[1][:, None] - apart).max())

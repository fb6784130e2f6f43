"""How clouds of balls overlap, batch by batch: depths, the push that parts them, and where approaching clouds meet."""

import torch
from torch import Tensor

STIFF_M = 0.01
"""Deeper overlaps push no harder."""
MEETING_M = 0.004
"""Overlap at which clouds meet that approach each other."""

Balls = tuple[Tensor, Tensor]
"""Centres (B, n, 3) and radii (B, n)."""


def push(first: Balls, second: Balls, scale: Tensor) -> Tensor:
    """A number whose gradient is that of the sum of squared depths of all pairs (1st order only).

    The depth of a pair is (reach^2 - distance^2) / (2 reach), which near contact is the overlap of the balls: one
    matrix product gives it for all pairs, without a root. ``scale`` (B, n, m) is 1 / (2 reach), or 0 for pairs that do
    not count. Beyond ``STIFF_M`` the gradient grows no more.
    """
    with torch.no_grad():
        (a, _), (b, _) = first, second
        depth = torch.bmm(_lifted(*first), _lifted(*second, dual=True).mT).mul_(scale).clamp_(0, STIFF_M)
        depth.mul_(scale)
        on_first, on_second = _force(depth, a, b), _force(depth.mT, b, a)
    return (on_first * a).sum() + (on_second * b).sum()


def _force(weight: Tensor, own: Tensor, other: Tensor) -> Tensor:
    """(B, n, 3) sum over the others of 4 weight (other - own)."""
    together = torch.bmm(weight, torch.cat([other, torch.ones_like(other[..., :1])], dim=-1))
    return 4 * (together[..., :3] - together[..., 3:] * own)


def _lifted(centres: Tensor, radii: Tensor, dual: bool = False) -> Tensor:
    """(B, n, 6) whose products with dual ones are reach^2 - distance^2."""
    power = (radii.square() - centres.square().sum(dim=-1))[..., None]
    ball, one = torch.cat([centres, radii[..., None]], dim=-1), torch.ones_like(power)
    return torch.cat([2 * ball, one, power] if dual else [ball, power, one], dim=-1)


def overlaps_m(first: Balls, second: Balls) -> Tensor:
    """(B, n, m) how deep balls overlap, negative where there is a gap."""
    return first[1][:, :, None] + second[1][:, None] - torch.cdist(first[0], second[0])


def meeting_distance_m(first: Balls, second: Balls, direction: Tensor, at_least_m: Tensor) -> Tensor:
    """(B,) how far the second hands must move, at least so far, until no balls overlap by more than ``MEETING_M``.

    Moving in a unit direction (B, 3), a ball overlaps another one on one interval of the way; the way goes on to the
    end of every interval that it is in.
    """
    between = second[0][:, None] - first[0][:, :, None]
    along = (between * direction[:, None, None]).sum(dim=-1)
    reach = first[1][:, :, None] + second[1][:, None] - MEETING_M
    half = (reach.square() - between.square().sum(dim=-1) + along.square()).clamp(min=0).sqrt()
    enter, leave = -along - half, -along + half
    while True:
        way = at_least_m[:, None, None]
        farther = torch.where((enter < way) & (way < leave), leave, way).amax(dim=(1, 2))
        if torch.equal(farther, at_least_m):
            return farther
        at_least_m = farther

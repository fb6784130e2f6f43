"""Which points of two clouds lie within given distances of the other cloud: exact, and fast for many small clouds.

All distances of a pair of clouds come from one float32 product; the few that rounding could have carried across a limit
are measured again in float64. For hands of 778 vertices this takes half the time of k-d trees.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

_ROUNDINGS = 64 * 2.0**-24
"""Bounds the float32 error of half a squared distance, in squares of the largest norm: some 40 roundings by 2^-24."""
_RECHECKED = 64
_VECTOR = 16


def within(first: Tensor, second: Tensor, limits: Sequence[float]) -> tuple[Tensor, Tensor]:
    """Whether each point of (B, N, 3) is closer (``<``) than a limit to (B, M, 3): (B, N, T) bool, and the reverse.

    Both float64, finite and not empty.
    """
    middle = second.mean(dim=1, keepdim=True)
    clouds = [(cloud - middle).float() for cloud in (first, second)]
    nearest = half_squares(*clouds)
    largest = torch.stack([cloud.double().square().sum(dim=2).amax(dim=1) for cloud in clouds]).amax(dim=0)
    error = (_ROUNDINGS * largest)[:, None]
    near, reverse = (
        _decided(*pair, half.double(), error, limits)
        for pair, half in zip(((first, second), (second, first)), nearest, strict=True)
    )
    return near, reverse


def half_squares(first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
    """Half the squared distance to the other cloud's nearest point, (B, N) and (B, M), up to float32 rounding."""
    sizes = first.shape[1], second.shape[1]
    left, right = _augmented(first), _augmented(second)[..., [0, 1, 2, 4, 3]].mT
    found = left.new_empty(left.shape[:2]), left.new_empty(len(right), right.shape[2])
    product = left.new_empty(left.shape[1], right.shape[2])
    for a, b, to_second, to_first in zip(left, right, *found, strict=True):
        torch.mm(a, b, out=product)
        torch.amax(product, 1, out=to_second)
        torch.amax(product, 0, out=to_first)
    return -found[0][:, : sizes[0]], -found[1][:, : sizes[1]]


def _augmented(points: Tensor) -> Tensor:
    """(B, N', 5): x, 1, -|x|^2 / 2; the product with another cloud's, its last two swapped, is minus half the square.

    The last point is repeated until the processor's vectors are full: products are a quarter faster.
    """
    points = torch.cat([points, points[:, -1:].expand(-1, -points.shape[1] % _VECTOR, -1)], dim=1)
    return torch.cat(
        [points, torch.ones_like(points[..., :1]), -0.5 * points.square().sum(-1, keepdim=True)], -1
    )


def _decided(source: Tensor, target: Tensor, half: Tensor, error: Tensor, limits: Sequence[float]) -> Tensor:
    answers = []
    for limit in limits:
        inside = half < limit**2 / 2 - error
        unsure = ~inside & (half <= limit**2 / 2 + error)
        inside[unsure] = _nearest(source, target, unsure) < limit
        answers.append(inside)
    return torch.stack(answers, dim=2)


def _nearest(source: Tensor, target: Tensor, chosen: Tensor) -> Tensor:
    """Exact distances (K,) from the chosen (B, N) points to their clouds' nearest."""
    cloud, _ = chosen.nonzero().unbind(dim=1)
    planes = target.mT.contiguous()  # sums over three planes are many times faster than over triples
    parts = zip(source[chosen].split(_RECHECKED), cloud.split(_RECHECKED), strict=True)
    found = [
        planes.index_select(0, c).sub_(p[..., None]).square_().sum(dim=1).amin(dim=1).sqrt() for p, c in parts
    ]
    return torch.cat(found) if found else source.new_zeros(0)

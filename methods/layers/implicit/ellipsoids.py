"""A start for part networks: each one an ellipsoid about its part of the hand model in use, instead of noise.

With random weights the 16 parts must first agree who is where, which takes most of a short training. The idea is that
of geometric initialisation (Atzmon and Lipman, SAL, CVPR 2020): ReLUs along directions spread over the sphere add up to
a length. Only first weights differ; the networks are the paper's.
"""

import math
from typing import NamedTuple, cast

import torch
from torch import Tensor

from methods.layers.implicit.canonicalisation import canonicalise
from methods.layers.implicit.palm_frame import HandFrames
from methods.layers.implicit.part_occupancy import N_PARTS, PartLinear, PartOccupancy
from tasks.hands.hand import HandModel

STEEPNESS = 6.0
"""The logit at an ellipsoid's centre: a finger's surface is a millimetre or two thick."""
LEFT_OF_NOISE = 0.1
"""Share of their random start that all other weights keep, so that they differ; those of queries' features as well."""
RELU_MEAN = 0.25
"""Of the positive part of the projection of a unit vector on a random direction in space."""


class Ellipsoids(NamedTuple):
    """One about each part, in the canonical hand."""

    centre: Tensor
    """(16, 3)."""
    to_unit: Tensor
    """(16, 3, 3): takes offsets from the centre to those in the unit ball."""


def part_ellipsoids(hand: HandModel) -> Ellipsoids:
    """Those that have the spread of the template's vertices, in units of 0.4 m."""
    verts_m = torch.as_tensor(hand.data.v_template, dtype=torch.float32)[None]
    keypoints_m = hand.joint_regressor21("intaghand").cpu() @ verts_m
    frames = HandFrames.of(keypoints_m, torch.tensor([hand.side == "left"]))
    bones = canonicalise(frames.joints)
    verts = frames.to_palm(verts_m)[0]
    part = torch.as_tensor(hand.data.weights).argmax(dim=1)
    centre, to_unit = torch.empty(N_PARTS, 3), torch.empty(N_PARTS, 3, 3)
    for k in range(N_PARTS):
        own = verts[part == k] @ bones.transforms[0, k, :3, :3].mT + bones.transforms[0, k, :3, 3]
        centre[k] = own.mean(dim=0)
        spread, axes = torch.linalg.eigh((own - centre[k]).mT.cov())
        to_unit[k] = (3 * spread).rsqrt()[
            :, None
        ] * axes.mT  # a sphere's points vary by a third of its radius squared
    return Ellipsoids(centre, to_unit)


@torch.no_grad()
def start_as_ellipsoids(parts: PartOccupancy, ellipsoids: Ellipsoids) -> None:
    """Set the networks' weights so that each part's logit is STEEPNESS times 1 minus the length in its ellipsoid."""
    first, *between, last = cast(list[PartLinear], list(parts.linear))
    hidden = last.weight.shape[2]
    toward = spread_directions(hidden) @ ellipsoids.to_unit
    first.weight[:, :, :3] = toward.mT
    first.weight[:, :, 3:] *= LEFT_OF_NOISE
    first.bias[:] = -(toward @ ellipsoids.centre[:, :, None])[..., 0]
    for layer in between:
        layer.weight.mul_(LEFT_OF_NOISE)
        layer.bias.zero_()
    last.weight[:] = -STEEPNESS / (RELU_MEAN * hidden)
    last.bias[:] = STEEPNESS


def spread_directions(count: int) -> Tensor:
    """(count, 3) unit vectors, evenly over the sphere (a Fibonacci lattice)."""
    turn = math.pi * (3 - math.sqrt(5)) * torch.arange(count)
    z = 1 - (2 * torch.arange(count) + 1) / count
    ring = (1 - z.square()).sqrt()
    return torch.stack([ring * turn.cos(), ring * turn.sin(), z], dim=1)

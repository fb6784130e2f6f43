"""HALO's 16 part occupancy networks as batched matrix products: a point is in the hand where any part says so.

Each part sees the query where its bone's canonical transform puts it, its bone's length, a code of all lengths, and its
own linear code of the 16 transforms' translations. Sources: korrawe/halo and jyunlee/Im2Hands: artihand/nasa/models.

Three things are never computed as they are written. The first layer is affine in the query, so it is composed with the
transforms and the codes once per hand. A residual layer's identity is added to its weights. The sigmoid, being
monotone, comes after the maximum. Queries pass in blocks whose activations stay in a CPU's cache.
"""

import math
from collections.abc import Iterator
from itertools import pairwise
from typing import NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from methods.layers.implicit.canonicalisation import PARTS, Bones
from methods.layers.precision import full_precision
from tasks.errors import RequestError

N_PARTS = len(PARTS)
SLOPE = 0.1
CPU_BLOCK, DEVICE_BLOCK = 512, 131_072
"""Queries at a time: 2 MiB per layer of 16 x 64 channels on a CPU; other devices want more work at once."""


class PartLinear(nn.Module):
    """Linear layers side by side: weights (networks, parts, inputs, outputs), biases (networks, parts, outputs)."""

    def __init__(self, networks: int, parts: int, inputs: int, outputs: int) -> None:
        super().__init__()
        limit = math.sqrt(6 / (inputs + outputs))  # Xavier, uniform
        self.weight = nn.Parameter(torch.empty(networks, parts, inputs, outputs).uniform_(-limit, limit))
        self.bias = nn.Parameter(torch.full((networks, parts, outputs), 0.01))

    def forward(self, network: int, x: Tensor) -> Tensor:
        """(parts or 1, N, inputs) -> (parts, N, outputs)."""
        weight, bias = self.weight[network], self.bias[network, :, None]
        return torch.baddbmm(bias, x.expand(len(weight), -1, -1), weight)


class Queries(NamedTuple):
    """H hands and what is asked of them."""

    points: Tensor
    """(H, N, 3) in the palm frames."""
    feature: Tensor
    """(H, N, F)."""
    transforms: Tensor
    """(H, 16, 4, 4)."""
    lengths: Tensor
    """(H, 16)."""


class Block(NamedTuple):
    """Queries of h hands, and the first layer, which differs from hand to hand."""

    points: Tensor
    """(h, n, 3)."""
    feature: Tensor
    """(h, n, F)."""
    product: Tensor
    """(h, 16, 3, C): what the first layer multiplies a point by."""
    constant: Tensor
    """(h, 16, 1, C): what it adds."""

    def split(self, size: int) -> Iterator[list["Block"]]:
        """Per hand, or several where they have few queries, blocks of at most ``size`` of them."""
        hands = max(1, size // max(1, self.points.shape[1]))
        for points, feature, *first in zip(*(x.split(hands) for x in self), strict=True):
            queries = zip(points.split(size, 1), feature.split(size, 1), strict=True)
            yield [Block(*few, *first) for few in queries]


class Layers(NamedTuple):
    """The layers after the first, the same for all hands."""

    weights: list[Tensor]
    """(16, C, C') each."""
    biases: list[Tensor]
    """(16, 1, C') each."""
    feature_weight: Tensor
    """(16, F, C')."""
    feature_layer: int
    """Which of them takes the queries' feature, from 0."""


class PartOccupancy(nn.Module):
    """16 networks of ``layers`` linear layers for the right hand and 16 for the left, or one set for both.

    Hidden layers after the first add their input before the LeakyReLU. ``feature_size`` numbers per query, the same
    for all parts, join the input of the linear layer ``feature_layer``, counted from 1 (Im2Hands: 19 numbers before
    the third layer; HALO*: 32 before the second).

    The maximum trains one part per query. From Xavier's weights one part wins everywhere and the others stay behind
    for more than a thousand steps: see ``ellipsoids`` for another start.

    Raises RequestError for a ``feature_layer`` that is the first or does not exist.
    """

    def __init__(
        self,
        *,
        hidden: int = 64,
        layers: int = 5,
        length_hidden: int = 40,
        length_code: int = 16,
        pose_code: int = 8,
        feature_size: int = 0,
        feature_layer: int = 3,
        n_networks: int = 2,
    ) -> None:
        super().__init__()
        if feature_size and not 2 <= feature_layer <= layers:
            raise RequestError(
                f"feature_layer is {feature_layer}; expected 2 to {layers}, one after the first."
            )
        self.n_networks, self.feature_size = n_networks, feature_size
        self.feature_layer = feature_layer if feature_size else 2
        self.length_hidden = PartLinear(n_networks, 1, N_PARTS, length_hidden)
        self.length_code = PartLinear(n_networks, 1, length_hidden, length_code)
        self.pose_code = PartLinear(n_networks, N_PARTS, 3 * N_PARTS, pose_code)
        widths = [3 + 1 + length_code + pose_code, *[hidden] * (layers - 1), 1]
        self.linear = nn.ModuleList(
            PartLinear(n_networks, N_PARTS, inputs + feature_size * (k == feature_layer), outputs)
            for k, (inputs, outputs) in enumerate(pairwise(widths), start=1)
        )

    def forward(
        self,
        points: Tensor,
        bones: Bones,
        is_left: Tensor,
        query_feature: Tensor | None = None,
        *,
        logits: bool = False,
    ) -> Tensor:
        """Occupancy probabilities (H, N), or their logits, of queries (H, N, 3) in the hands' palm frames.

        ``bones`` of the H hands in the queries' unit, ``is_left`` (H,) bool, ``query_feature`` (H, N, F).
        Raises RequestError for a feature that is not of ``feature_size`` numbers per query.
        """
        queries = self._queries(points, bones, query_feature)
        with full_precision(points):
            occupancy = self._by_side(queries, is_left, strongest=True)
        return occupancy if logits else occupancy.sigmoid()

    def part_logits(
        self, points: Tensor, bones: Bones, is_left: Tensor, query_feature: Tensor | None = None
    ) -> Tensor:
        """(H, N, 16) logits, parts in the order of ``PARTS``; ``.max(-1)`` gives the hand's logit and its part."""
        queries = self._queries(points, bones, query_feature)
        with full_precision(points):
            return self._by_side(queries, is_left, strongest=False)

    def _queries(self, points: Tensor, bones: Bones, feature: Tensor | None) -> Queries:
        feature = points[..., :0] if feature is None else feature
        if feature.shape != (*points.shape[:2], self.feature_size):
            raise RequestError(
                f"points of shape {tuple(points.shape)} came with query features of shape {tuple(feature.shape)}; "
                f"expected {self.feature_size} numbers per point: pass them, or change feature_size."
            )
        return Queries(points, feature.to(points), *bones)

    def _by_side(self, queries: Queries, is_left: Tensor, strongest: bool) -> Tensor:
        """Each hand through its side's networks, in the given order."""
        if self.n_networks == 1:
            return self._one_side(0, queries, strongest)
        sides = [(~is_left).nonzero()[:, 0], is_left.nonzero()[:, 0]]
        values = [
            self._one_side(i, Queries(*(x[hands] for x in queries)), strongest)
            for i, hands in enumerate(sides)
        ]
        return torch.cat(values)[torch.cat(sides).argsort()]

    def _one_side(self, network: int, queries: Queries, strongest: bool) -> Tensor:
        layers = self._later_layers(network)
        product, constant = self._first_layer(network, queries.transforms, queries.lengths)
        size = CPU_BLOCK if queries.points.device.type == "cpu" else DEVICE_BLOCK
        hands = Block(queries.points, queries.feature, product, constant).split(size)
        return torch.cat(
            [torch.cat([_values(block, layers, strongest) for block in blocks], 1) for blocks in hands]
        )

    def _first_layer(self, network: int, transforms: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """W [T x, codes] + b as its product with a query x (H, 16, 3, C) and what that adds to (H, 16, 1, C)."""
        starts = transforms[..., :3, 3]
        length_code = self.length_code(network, self.length_hidden(network, lengths[None]).relu())
        pose_code = self.pose_code(network, starts.flatten(1)[None])
        own = torch.cat([starts, lengths[..., None]], -1).transpose(0, 1)
        codes = torch.cat([own, length_code.expand(N_PARTS, -1, -1), pose_code], -1)
        first = self._linear()[0]
        constant = first(network, codes).transpose(0, 1)[:, :, None]
        return transforms[..., :3, :3].mT @ first.weight[network, :, :3], constant

    def _linear(self) -> list[PartLinear]:
        return cast("list[PartLinear]", list(self.linear))

    def _later_layers(self, network: int) -> Layers:
        """Residual layers with their identities; the feature's rows apart."""
        weights = [linear.weight[network] for linear in self._linear()[1:]]
        at = self.feature_layer - 2
        weights[at], feature_weight = weights[at].split(
            [weights[at].shape[1] - self.feature_size, self.feature_size], 1
        )
        identity = torch.eye(weights[0].shape[1]).to(feature_weight)
        residual = [weight + identity for weight in weights[:-1]]
        biases = [linear.bias[network, :, None] for linear in self._linear()[1:]]
        return Layers([*residual, weights[-1]], biases, feature_weight, at)


def _values(block: Block, layers: Layers, strongest: bool) -> Tensor:
    """The parts' logits (h, n, 16) of a block, or the largest (h, n)."""
    product, constant = (x.transpose(0, 1).flatten(0, 1) for x in (block.product, block.constant))
    points = block.points.expand(N_PARTS, -1, -1, -1).flatten(0, 1)
    x = F.leaky_relu_(torch.baddbmm(constant, points, product), SLOPE)
    x = x.view(N_PARTS, block.points.shape[:2].numel(), x.shape[-1])
    for k, (weight, bias) in enumerate(zip(layers.weights, layers.biases, strict=True), start=1):
        x = torch.baddbmm(bias, x, weight)
        if k - 1 == layers.feature_layer and block.feature.shape[-1]:
            x = x.baddbmm_(block.feature.flatten(0, 1).expand(N_PARTS, -1, -1), layers.feature_weight)
        if k < len(layers.weights):
            F.leaky_relu_(x, SLOPE)
    logits = x.view(N_PARTS, *block.points.shape[:2])
    return logits.max(0).values if strongest else logits.movedim(0, -1)

"""How many occupancy queries a second the 16 part networks answer, beside a loop over parts, in one run.

``python -m tests.benchmarks.bench_part_occupancy [--hands 32] [--queries 512] [--hidden 64 32] [--rounds 7]``

The loop is HALO's as released: every query carries its hand's codes, and each part's layers run over all queries of a
side, one part after the other. Both have the same weights and one thread. Rounds alternate, so that whatever else the
machine does slows both; tables show medians.
"""

import argparse
import statistics
import time
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from methods.layers.implicit.canonicalisation import Bones, canonicalise
from methods.layers.implicit.palm_frame import HandFrames
from methods.layers.implicit.part_occupancy import SLOPE, PartLinear, PartOccupancy
from tasks.hands.hand import load_hand
from tasks.hands.open_hand.pose_space import sample_poses

FEATURE_SIZE, FEATURE_LAYER = 19, 3


class LoopOverParts(nn.Module):
    """One side's 16 networks with the weights of ours."""

    def __init__(self, ours: PartOccupancy, side: int) -> None:
        super().__init__()
        self.lengths = nn.Sequential(
            plain_linear(ours.length_hidden, side, 0), nn.ReLU(), plain_linear(ours.length_code, side, 0)
        )
        self.pose = nn.ModuleList(plain_linear(ours.pose_code, side, part) for part in range(16))
        self.parts = nn.ModuleList(
            nn.ModuleList(plain_linear(layer, side, part) for layer in ours.linear) for part in range(16)
        )

    def forward(self, points: Tensor, bones: Bones, feature: Tensor) -> Tensor:
        hands, n, _ = points.shape
        transforms, lengths = (x.repeat_interleave(n, 0) for x in bones)
        everywhere = torch.cat([points, torch.ones_like(points[..., :1])], -1).flatten(0, 1)
        own = (transforms @ everywhere[:, None, :, None])[..., :3, 0]
        starts, length_code = transforms[..., :3, 3].flatten(1), self.lengths(lengths)
        feature, results = feature.flatten(0, 1), []
        for part, layers in enumerate(self.parts):
            x = torch.cat([own[:, part], lengths[:, [part]], length_code, self.pose[part](starts)], 1)
            for k, layer in enumerate(layers, start=1):
                y = layer(torch.cat([x, feature], 1) if k == FEATURE_LAYER else x)
                y = y + x if 1 < k < len(layers) else y
                x = F.leaky_relu(y, SLOPE) if k < len(layers) else y
            results.append(x)
        return torch.cat(results, 1).sigmoid().amax(1).view(hands, n)


def plain_linear(source: PartLinear, side: int, part: int) -> nn.Linear:
    linear = nn.Linear(*source.weight.shape[2:])
    with torch.no_grad():
        linear.weight.copy_(source.weight[side, part].mT)
        linear.bias.copy_(source.bias[side, part])
    return linear


def make_queries(hands: int, n: int) -> tuple[Tensor, Bones, Tensor, Tensor]:
    """Points in the cube that queries are drawn from, bones of random poses, sides and features."""
    rng, hand = np.random.default_rng(0), load_hand()
    pose = np.concatenate([np.zeros((hands, 3)), sample_poses(hands, rng)], axis=1)
    with torch.no_grad():
        verts, _ = hand(torch.tensor(pose).float(), torch.zeros(hands, 10), flat_hand_mean=True)
        joints = hand.joints_from_verts(verts)
    bones = canonicalise(HandFrames.of(joints, torch.zeros(hands, dtype=torch.bool)).joints)
    points = torch.tensor(rng.uniform(-0.55, 0.55, (hands, n, 3))).float()
    return points, bones, torch.arange(hands) % 2 == 1, torch.randn(hands, n, FEATURE_SIZE)


def alternate(works: dict[str, Callable[[], None]], rounds: int) -> dict[str, float]:
    """Median seconds of each, after one round that does not count."""
    seconds: dict[str, list[float]] = {name: [] for name in works}
    for i in range(rounds + 1):
        for name, work in works.items():
            start = time.perf_counter()
            work()
            if i:
                seconds[name].append(time.perf_counter() - start)
    return {name: statistics.median(values) for name, values in seconds.items()}


def compare(hidden: int, hands: int, n: int, rounds: int) -> None:
    torch.manual_seed(0)
    points, bones, is_left, feature = make_queries(hands, n)
    ours = PartOccupancy(hidden=hidden, feature_size=FEATURE_SIZE, feature_layer=FEATURE_LAYER)
    sides = [LoopOverParts(ours, side) for side in range(2)]

    def batched() -> Tensor:
        return ours(points, bones, is_left, feature)

    def looped() -> Tensor:
        values = torch.empty(points.shape[:2])
        for side, of in enumerate((~is_left, is_left)):
            values[of] = sides[side](points[of], Bones(*(x[of] for x in bones)), feature[of])
        return values

    with torch.no_grad():
        worst = (batched() - looped()).abs().max().item()
    print(f"{hidden} channels: {hands} hands x {n} queries, largest difference {worst:.1e}")
    print(f"  {'':22}{'batched ms':>12}{'loop ms':>10}{'ratio':>8}{'batched queries/s':>20}")
    for title, step in (("forward", forward_only), ("forward and backward", forward_and_backward)):
        medians = alternate(
            {"batched": lambda step=step: step(batched), "loop": lambda step=step: step(looped)}, rounds
        )
        b, loop = medians["batched"], medians["loop"]
        print(f"  {title:22}{1000 * b:>12.0f}{1000 * loop:>10.0f}{loop / b:>8.1f}{hands * n / b:>20,.0f}")


def forward_only(ask: Callable[[], Tensor]) -> None:
    with torch.no_grad():
        ask()


def forward_and_backward(ask: Callable[[], Tensor]) -> None:
    ask().square().mean().backward()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--hands", type=int, default=32)
    parser.add_argument("--queries", type=int, default=512)
    parser.add_argument("--hidden", type=int, nargs="+", default=[64, 32])
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    torch.set_num_threads(1)
    for hidden in options.hidden:
        compare(hidden, options.hands, options.queries, options.rounds)


if __name__ == "__main__":
    main()

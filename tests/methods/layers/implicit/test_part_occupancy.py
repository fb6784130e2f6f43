"""The 16 networks against a loop over 16 plain ones, as HALO writes them."""

import math

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from methods.layers.implicit import part_occupancy
from methods.layers.implicit.canonicalisation import canonicalise
from methods.layers.implicit.palm_frame import HandFrames
from methods.layers.implicit.part_occupancy import PartOccupancy
from tasks.errors import RequestError
from tests.methods.layers.implicit.posed import moved, posed

SIZES = {"none": (0, 3), "attention": (19, 3), "pixel": (32, 2), "last": (5, 5)}
IS_LEFT = torch.tensor([True, False, False, True])


class PlainHalo(nn.Module):
    """One side's networks, part by part and layer by layer."""

    def __init__(self, ours: PartOccupancy, side: int) -> None:
        super().__init__()
        self.feature_layer = ours.feature_layer if ours.feature_size else None
        self.lengths = nn.Sequential(
            linear(ours.length_hidden, side, 0), nn.ReLU(), linear(ours.length_code, side, 0)
        )
        self.pose = nn.ModuleList(linear(ours.pose_code, side, part) for part in range(16))
        self.parts = nn.ModuleList(
            nn.ModuleList(linear(layer, side, part) for layer in ours.linear) for part in range(16)
        )

    def forward(self, points, bones, feature):
        """(N, 16) probabilities of one hand's (N, 3)."""
        everywhere = torch.ones(len(points), 1, dtype=points.dtype)
        codes = self.lengths(bones.lengths[0]), bones.transforms[0, :, :3, 3].flatten()
        results = []
        for part, layers in enumerate(self.parts):
            own = moved(bones.transforms[0, part], points)
            code = torch.cat([bones.lengths[0, part : part + 1], codes[0], self.pose[part](codes[1])])
            x = torch.cat([own, everywhere * code], 1)
            for k, layer in enumerate(layers, start=1):
                inputs = torch.cat([x, feature], 1) if k == self.feature_layer else x
                y = layer(inputs)
                if 1 < k < len(layers):
                    y = y + x
                x = F.leaky_relu(y, 0.1) if k < len(layers) else y.sigmoid()
            results.append(x[:, 0])
        return torch.stack(results, 1)


def linear(source, side, part):
    copy = nn.Linear(*source.weight.shape[2:]).to(source.weight.dtype)
    with torch.no_grad():
        copy.weight.copy_(source.weight[side, part].mT)
        copy.bias.copy_(source.bias[side, part])
    return copy


def plainly(ours, joints, points, feature, is_left=IS_LEFT):
    """(H, N, 16) probabilities, hand by hand."""
    sides = [PlainHalo(ours, side) for side in range(ours.n_networks)]
    return torch.stack([
        sides[int(is_left[i]) if ours.n_networks == 2 else 0](points[i], canonicalise(joints[i : i + 1]), feature[i])
        for i in range(len(points))
    ])  # fmt: skip


@pytest.fixture(scope="module")
def joints(hand):
    """Four hands, palm-aligned, float64."""
    return HandFrames.of(posed(hand, 4)[1], torch.zeros(4, dtype=torch.bool)).joints


def queries(n=37, feature=0, dtype=torch.float64):
    noise = torch.Generator().manual_seed(0)
    points = 1.1 * torch.rand(4, n, 3, generator=noise, dtype=torch.float64) - 0.55
    return points.to(dtype), torch.randn(4, n, feature, generator=noise, dtype=torch.float64).to(dtype)


def network(kind="none", dtype=torch.float64, **options):
    torch.manual_seed(0)
    size, layer = SIZES[kind]
    ours = PartOccupancy(feature_size=size, feature_layer=layer, **{"hidden": 16, **options}).to(dtype)
    with torch.no_grad():
        for parameter in ours.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return ours


@pytest.mark.parametrize("n_networks", [1, 2])
@pytest.mark.parametrize("kind", SIZES)
def test_occupancies_are_those_of_the_loop(joints, kind, n_networks):
    ours = network(kind, n_networks=n_networks)
    points, feature = queries(feature=ours.feature_size)
    expected = plainly(ours, joints, points, feature)
    bones = canonicalise(joints)
    occupancy = ours(points, bones, IS_LEFT, feature)
    torch.testing.assert_close(occupancy, expected.amax(-1), rtol=0, atol=1e-12)
    by_part = ours.part_logits(points, bones, IS_LEFT, feature)
    torch.testing.assert_close(by_part.sigmoid(), expected, rtol=0, atol=1e-12)
    torch.testing.assert_close(by_part.amax(-1), ours(points, bones, IS_LEFT, feature, logits=True))


def test_single_precision_at_the_papers_size_is_as_close_as_it_can_be(joints):
    ours = network("attention", torch.float32, hidden=64)
    points, feature = queries(300, 19, torch.float32)
    occupancy = ours(points, canonicalise(joints.float()), IS_LEFT, feature)
    expected = plainly(ours, joints.float(), points, feature).amax(-1)
    torch.testing.assert_close(occupancy, expected, rtol=0, atol=2e-6)


@pytest.mark.parametrize("kind", SIZES)
def test_gradients_are_those_of_the_loop(joints, kind, monkeypatch):
    monkeypatch.setattr(part_occupancy, "CPU_BLOCK", 10)
    ours = network(kind)
    points, feature = queries(feature=ours.feature_size)
    inputs = [x.clone().requires_grad_() for x in (joints, points, feature)]
    copies = [x.clone().requires_grad_() for x in (joints, points, feature)]
    sides = [PlainHalo(ours, side) for side in range(2)]
    hands = [
        sides[int(IS_LEFT[i])](copies[1][i], canonicalise(copies[0][i : i + 1]), copies[2][i])
        for i in range(4)
    ]
    ours(inputs[1], canonicalise(inputs[0]), IS_LEFT, inputs[2]).square().sum().backward()
    torch.stack(hands).amax(-1).square().sum().backward()
    for mine, plain in zip(inputs, copies, strict=True):
        if mine.numel():
            torch.testing.assert_close(mine.grad, plain.grad, rtol=1e-9, atol=1e-12)
    for k, layer in enumerate(ours.linear):
        for side in range(2):
            expected = torch.stack([part[k].weight.grad.mT for part in sides[side].parts])
            torch.testing.assert_close(layer.weight.grad[side], expected, rtol=1e-9, atol=1e-12)
    expected = torch.stack([side.lengths[0].weight.grad.mT[None] for side in sides])
    torch.testing.assert_close(ours.length_hidden.weight.grad, expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(
    ("kind", "hidden", "count"),
    [("none", 64, 238_024), ("attention", 64, 257_480), ("pixel", 64, 270_792), ("none", 32, 73_672)],
)
def test_the_number_of_parameters_is_the_papers(kind, hidden, count):
    """Per hand 16 (28 C + C + 3 (C^2 + C) + C + 1 + F C + 49 * 8) + 17 * 40 + 41 * 16, C = 64: about 0.257 M."""
    for n_networks in (1, 2):
        ours = network(kind, hidden=hidden, n_networks=n_networks)
        assert sum(p.numel() for p in ours.parameters()) == n_networks * count


def test_weights_start_as_xavier_has_them_and_biases_at_a_hundredth():
    for name, parameter in PartOccupancy(feature_size=19).named_parameters():
        if name.endswith("bias"):
            assert (parameter == 0.01).all(), name
        else:
            limit = math.sqrt(6 / sum(parameter.shape[2:]))
            assert 0.9 * limit < parameter.abs().max() <= limit, name
            assert parameter.std().item() == pytest.approx(limit / math.sqrt(3), rel=0.1), name


@pytest.mark.parametrize("block", [1, 7, 100, 10_000])
def test_the_size_of_the_blocks_changes_nothing(joints, block, monkeypatch):
    ours = network("attention")
    points, feature = queries(feature=19)
    expected = ours(points, canonicalise(joints), IS_LEFT, feature)
    monkeypatch.setattr(part_occupancy, "CPU_BLOCK", block)
    torch.testing.assert_close(ours(points, canonicalise(joints), IS_LEFT, feature), expected)


def test_a_hand_is_answered_alike_in_any_company(joints):
    ours = network()
    points, _ = queries()
    together = ours(points, canonicalise(joints), IS_LEFT)
    for i in range(4):
        alone = ours(points[i : i + 1], canonicalise(joints[i : i + 1]), IS_LEFT[i : i + 1])
        torch.testing.assert_close(alone[0], together[i])


def test_the_side_chooses_the_network_and_its_gradient(joints):
    ours = network()
    points, _ = queries()
    right = torch.zeros(4, dtype=torch.bool)
    assert not torch.allclose(
        ours(points, canonicalise(joints), right), ours(points, canonicalise(joints), ~right)
    )
    ours(points, canonicalise(joints), right).sum().backward()
    for name, parameter in ours.named_parameters():
        assert (parameter.grad[1] == 0).all(), name
        assert (parameter.grad[0] != 0).any(), name


@pytest.mark.parametrize(("hands", "n"), [(0, 5), (4, 0)])
def test_nothing_asked_is_nothing_answered(joints, hands, n):
    ours = network()
    points = torch.zeros(hands, n, 3, dtype=torch.float64)
    assert ours(points, canonicalise(joints[:hands]), IS_LEFT[:hands]).shape == (hands, n)
    assert ours.part_logits(points, canonicalise(joints[:hands]), IS_LEFT[:hands]).shape == (hands, n, 16)


def test_autocast_leaves_the_occupancies_exact(joints):
    ours = network("attention", torch.float32)
    points, feature = queries(feature=19, dtype=torch.float32)
    expected = ours(points, canonicalise(joints.float()), IS_LEFT, feature)
    with torch.autocast("cpu", torch.bfloat16):
        occupancy = ours(points, canonicalise(joints.float()), IS_LEFT, feature)
    torch.testing.assert_close(occupancy, expected, rtol=0, atol=0)


def test_features_that_were_not_declared_are_refused(joints):
    points, feature = queries(feature=19)
    with pytest.raises(RequestError, match="expected 0 numbers per point"):
        network()(points, canonicalise(joints), IS_LEFT, feature)
    with pytest.raises(RequestError, match="expected 19 numbers per point"):
        network("attention")(points, canonicalise(joints), IS_LEFT)


@pytest.mark.parametrize("layer", [1, 6])
def test_a_feature_enters_after_the_first_layer(layer):
    with pytest.raises(RequestError, match="expected 2 to 5"):
        PartOccupancy(feature_size=19, feature_layer=layer)

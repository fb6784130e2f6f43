import torch

from methods.baselines.intaghand.config import GraphConfig
from methods.baselines.intaghand.graph_decoder import GraphDecoder, HandAttention
from methods.baselines.intaghand.hierarchy import mesh_hierarchy
from methods.layers.hand_pair import surface_coordinates
from tasks.hands.hand import HandModel
from tests.methods.baselines.intaghand.small import GRAPH

SIZES = (4, 8, 16)


def decoder(hand: HandModel, config: GraphConfig) -> GraphDecoder:
    torch.manual_seed(0)
    levels = mesh_hierarchy(hand, config.vertices)
    return GraphDecoder(config, levels, surface_coordinates(hand), 20, 14, SIZES).eval()


def inputs() -> tuple[torch.Tensor, list[torch.Tensor]]:
    torch.manual_seed(1)
    return torch.randn(3, 20), [torch.randn(3, 14, size, size) for size in SIZES]


def test_both_hands_come_out_with_the_last_levels_vertices(hand: HandModel) -> None:
    right, left = decoder(hand, GRAPH)(*inputs())
    assert right.shape == left.shape == (3, 40, 12)
    assert not torch.allclose(right, left)


def test_a_hand_learns_from_the_other_through_hand_attention_alone(hand: HandModel) -> None:
    for attention in (True, False):
        net = decoder(hand, GRAPH.model_copy(update={"hand_attention": attention}))
        right, _ = net(*inputs())
        right.sum().backward()
        others = [net.enter[1][0].weight, net.levels[0].graphs[1].blocks[0].shortcut.weight]
        assert all((p.grad is not None and bool(p.grad.any())) is attention for p in others)


def test_the_maps_are_read_by_image_attention_alone(hand: HandModel) -> None:
    features, maps = inputs()
    for attention in (True, False):
        net = decoder(hand, GRAPH.model_copy(update={"image_attention": attention}))
        for i in range(len(SIZES)):
            changed = [m.flip(3) if k == i else m for k, m in enumerate(maps)]
            same = torch.equal(net(features, maps)[0], net(features, changed)[0])
            assert same is not attention


def test_cross_hand_attention_treats_both_directions_alike() -> None:
    torch.manual_seed(0)
    net = HandAttention(12, 2, 0.0).eval()
    for pairs in (net.own, net.norms, net.after):
        pairs[1].load_state_dict(pairs[0].state_dict())
    right, left = torch.randn(2, 7, 12), torch.randn(2, 7, 12)
    there, back = net([right, left]), net([left, right])
    torch.testing.assert_close(there[0], back[1])
    torch.testing.assert_close(there[1], back[0])


def test_finer_vertices_start_as_copies_of_the_nearest_coarser_one(hand: HandModel) -> None:
    net = decoder(hand, GRAPH)
    seen: list[torch.Tensor] = []
    second = net.levels[1]
    second.graphs[0].register_forward_pre_hook(lambda _, args: seen.append(args[0] - second.places.weight))
    after_first: list[torch.Tensor] = []
    net.levels[0].register_forward_hook(lambda module, args, out: after_first.append(out[0]))
    net(*inputs())
    levels = mesh_hierarchy(hand, GRAPH.vertices)
    places = [torch.as_tensor(hand.data.v_template)[level.vertices] for level in levels[:2]]
    for vertex in (0, 7, 19):
        copied_from = (after_first[0][0] - seen[0][0, vertex]).abs().sum(1).argmin()
        torch.testing.assert_close(after_first[0][0, copied_from], seen[0][0, vertex])
        straight = (places[0] - places[1][vertex]).norm(dim=1)
        assert straight[copied_from] < 2 * straight.min() + 1e-6

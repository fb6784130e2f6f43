from dataclasses import replace

import pytest
import torch

from methods.amvur.config import TextureConfig
from methods.amvur.rendering import phong, render, visible
from methods.amvur.texture import TextureNet, from_imagenet, reverse_interpolate, to_imagenet
from methods.layers.camera import to_normalised
from methods.layers.coarse_mesh import coarse_mesh
from tasks.geometry.cameras import project
from tasks.geometry.rasteriser import Fragments, rasterise
from tasks.hands.hand import HandModel
from tasks.single_hand.batch import HandBatch
from tests.methods.synthetic import vertex_colours

SIZE = 64


def ramp(side: int) -> torch.Tensor:
    """(1, 2, side, side): the normalised coordinates of each pixel centre."""
    centres = (torch.arange(side) + 0.5) * 2 / side - 1
    return torch.stack(torch.meshgrid(centres, centres, indexing="xy"))[None]


def test_every_map_is_sampled_at_the_same_place_of_the_image() -> None:
    points = 0.7 * (2 * torch.rand(1, 50, 2, generator=torch.Generator().manual_seed(0)) - 1)
    samples = reverse_interpolate([ramp(side) for side in (16, 8, 64)], points, "aligned", SIZE)
    torch.testing.assert_close(samples, points.repeat(1, 1, 3), atol=1e-6, rtol=0)


def test_released_sampling_collapses_all_but_a_corner_onto_the_border() -> None:
    points = torch.tensor([[[-0.95, -0.95], [0.0, 0.0], [0.5, 0.9]]])
    (feature_map,) = [torch.arange(256.0).view(1, 1, 16, 16)]
    samples = reverse_interpolate([feature_map], points, "released", SIZE)[0, :, 0]
    in_cells = (points[0, 0] + 1) * SIZE / 2 - 0.5  # pixel coordinates taken for cells
    assert samples[0] == pytest.approx(float(in_cells[1] * 16 + in_cells[0]), abs=1e-3)
    assert samples[1:].tolist() == [255.0, 255.0]


def test_an_image_sampled_at_visible_vertices_returns_their_colours(
    hand: HandModel, batch: HandBatch
) -> None:
    points = to_normalised(project(batch.verts_cam_m, batch.intrinsics_px), SIZE)
    sampled = reverse_interpolate([batch.image], points, "aligned", SIZE)
    fragments = rasterise(batch.verts_cam_m, hand.faces, batch.intrinsics_px, SIZE)
    seen = visible(fragments, hand.faces, hand.n_verts, "seen_faces")
    error = (sampled - vertex_colours(hand)).abs().mean(-1)[seen]
    assert error.median() < 0.02  # at the silhouette a sample mixes with the background
    assert error.median() < 0.1 * (sampled - 0.5).abs().mean(-1)[seen].median()


def test_occluded_vertices_lose_their_colour_and_seen_ones_keep_it() -> None:
    square = torch.tensor([[-1.0, -1, 0], [1, -1, 0], [1, 1, 0], [-1, 1, 0]])
    verts = torch.cat([square * 0.3 + torch.tensor([0, 0, 1.0]), square * 0.1 + torch.tensor([0, 0, 2.0])])[
        None
    ]
    faces = torch.tensor([[0, 1, 2], [0, 2, 3], [4, 5, 6], [4, 6, 7]])
    intrinsics = torch.tensor([[[50.0, 0, 32], [0, 50, 32], [0, 0, 1]]])
    fragments = rasterise(verts, faces, intrinsics, SIZE)
    seen = visible(fragments, faces, 8, "seen_faces")
    assert seen.tolist() == [[True] * 4 + [False] * 4]
    assert visible(fragments, faces, 8, "ignored").all()


def test_the_released_rule_loses_a_face_when_no_pixel_is_background() -> None:
    face_index = torch.tensor([[[2, 2], [3, 3]]])
    fragments = Fragments(face_index, torch.zeros(1, 2, 2, 3), torch.ones(1, 2, 2))
    faces = torch.arange(12).view(4, 3)
    assert visible(fragments, faces, 12, "seen_faces").nonzero()[:, 1].tolist() == [6, 7, 8, 9, 10, 11]
    assert visible(fragments, faces, 12, "released").nonzero()[:, 1].tolist() == [9, 10, 11]
    with_background = replace(fragments, face_index=torch.tensor([[[-1, 2], [3, 3]]]))
    assert visible(with_background, faces, 12, "released").nonzero()[:, 1].tolist() == [6, 7, 8, 9, 10, 11]


def test_a_rendering_shows_the_colours_and_black_elsewhere(hand: HandModel, batch: HandBatch) -> None:
    fragments = rasterise(batch.verts_cam_m, hand.faces, batch.intrinsics_px, SIZE)
    image = render(fragments, hand.faces, vertex_colours(hand).expand(len(batch), -1, 3))
    inside = batch.hand_mask[:, None].expand_as(image)
    torch.testing.assert_close(image[inside], batch.image[inside], atol=1e-5, rtol=0)
    assert (image[~inside] == 0).all()


def test_a_point_light_brightens_what_faces_it(hand: HandModel, batch: HandBatch) -> None:
    lit = phong(batch.verts_cam_m, hand.faces, torch.ones(1, hand.n_verts, 3).expand(len(batch), -1, 3))
    fragments = rasterise(batch.verts_cam_m, hand.faces, batch.intrinsics_px, SIZE)
    seen = visible(fragments, hand.faces, hand.n_verts, "seen_faces")
    assert lit.min() >= 0.5 - 1e-6
    assert lit.max() <= 1 + 1e-6
    assert lit[seen].mean() > lit[~seen].mean() + 0.15


def test_imagenet_colours_go_there_and_back() -> None:
    rgb = torch.rand(5, 3, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(from_imagenet(to_imagenet(rgb)), rgb)
    assert from_imagenet(torch.full((1, 3), 100.0)).max() == 1


@pytest.mark.parametrize("context", ["joints", "first_vertices"])
def test_keys_of_the_colour_net_are_joints_or_the_first_vertices(hand: HandModel, context: str) -> None:
    torch.manual_seed(0)
    config = TextureConfig(width=8, heads=2, layers=0, feed_forward=16, context=context, features="shallow")  # type: ignore[arg-type]
    net = TextureNet(config, 16, (3,), coarse_mesh(hand, 40), SIZE).eval()
    verts = torch.rand(1, hand.n_verts, 2) - 0.5
    joints, maps = torch.rand(1, 21, 2) - 0.5, [torch.rand(1, 3, 16, 16)]
    image, features = torch.rand(1, 3, SIZE, SIZE), torch.rand(1, 16)
    colours = net(image, maps, features, verts, joints)
    moved = net(image, maps, features, verts, joints + 0.3)
    assert colours.shape == (1, hand.n_verts, 3)
    assert torch.equal(colours, moved) is (context == "first_vertices")
    first = verts.clone()
    first[:, :21] += 0.3
    last_changed = (net(image, maps, features, first, joints) - colours)[:, 21:].abs().max().item() > 1e-6
    assert last_changed is (context == "first_vertices")

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from tasks.geometry.rasteriser import rasterise
from tasks.hands.hand import load_hand
from tasks.synthesis.bank import Bank
from tasks.synthesis.posing import Posed, pose_batch
from tasks.synthesis.rendering import render
from tasks.synthesis.shading import (
    MATERIAL_SHAPE,
    SKIN_TEXELS,
    Light,
    Picture,
    Stage,
    _barycentrics,
    _lookup,
    openness,
)

NOWHERE = Bank(0, Path("/nowhere"))


def plain_light(n: int, key: float, ambient: float) -> Light:
    direction = torch.tensor([[0.0, 0.0, -1.0]]).repeat(n, 1)
    return Light(direction, torch.full((n, 3), key), torch.full((n, 3), ambient), torch.zeros((n, 2)))


def posed_hands(n: int) -> tuple[Stage, Posed]:
    hand = load_hand("right")
    stage = Stage(hand.data)
    return stage, pose_batch(stage, hand, 0, "training", 0, np.zeros((n, 10)))


def shaded(stage: Stage, posed: Posed, materials: torch.Tensor, light: Light) -> Picture:
    n = len(posed.verts_m)
    cameras = torch.from_numpy(posed.intrinsics_px).float()
    skin = torch.full((n, stage.n_hand_verts, 3), 0.5)
    return stage.shade(torch.from_numpy(posed.verts_m), cameras, materials, light, skin)


def test_coverage_is_that_of_the_rasteriser_at_twice_the_resolution() -> None:
    stage, posed = posed_hands(4)
    picture = shaded(stage, posed, torch.full((4, *MATERIAL_SHAPE), 0.5), plain_light(4, 1.0, 0.5))
    cameras = torch.from_numpy(posed.intrinsics_px).float() * torch.tensor([2.0, 2.0, 1.0])[:, None]
    face = rasterise(
        torch.from_numpy(posed.verts_m), stage.faces, cameras, 448, cull_backfaces=True
    ).face_index
    for share, mask in ((picture.alpha, face >= 0), (picture.hand, (face >= 0) & (face < stage.arm_face))):
        expected = torch.nn.functional.avg_pool2d(mask.float(), 2).numpy()
        np.testing.assert_allclose(share, expected, atol=1e-6)


def test_colours_are_premultiplied_and_in_range() -> None:
    stage, posed = posed_hands(2)
    picture = shaded(stage, posed, torch.rand((2, *MATERIAL_SHAPE)), plain_light(2, 1.2, 0.6))
    assert picture.rgb.min() >= 0
    assert (picture.rgb <= picture.alpha[..., None] + 1e-5).all()
    assert picture.rgb[picture.alpha > 0].mean() > 0.05


def test_skin_comes_from_the_left_of_the_material_and_black_stays_black() -> None:
    stage, posed = posed_hands(2)
    materials = torch.zeros((2, *MATERIAL_SHAPE))
    materials[:, :, :SKIN_TEXELS, 1] = 0.6
    picture = shaded(stage, posed, materials, plain_light(2, 1.0, 0.5))
    on_hand, off_hand = picture.hand > 0.99, (picture.hand < 0.01) & (picture.alpha > 0.99)
    assert picture.rgb[on_hand][:, 1].min() > 0.01
    assert picture.rgb[on_hand][:, [0, 2]].max() < 1e-6
    assert picture.rgb[off_hand].max() < 1e-6


def test_a_hand_without_texture_coordinates_is_coloured_by_its_vertices() -> None:
    hand = load_hand("right")
    plain = Stage(replace(hand.data, vt=None, ft=None))
    _, posed = posed_hands(2)
    picture = shaded(plain, posed, torch.zeros((2, *MATERIAL_SHAPE)), plain_light(2, 1.0, 0.5))
    assert picture.rgb[picture.hand > 0.99].mean() > 0.3


def test_light_from_the_camera_is_brighter_than_light_from_behind() -> None:
    stage, posed = posed_hands(1)
    materials, front = torch.full((1, *MATERIAL_SHAPE), 0.7), plain_light(1, 1.0, 0.2)
    behind = replace(front, direction=-front.direction)
    assert (
        shaded(stage, posed, materials, front).rgb.sum()
        > 1.5 * shaded(stage, posed, materials, behind).rgb.sum()
    )


def test_barycentrics_are_the_rasterisers() -> None:
    _, posed = posed_hands(1)
    hand = load_hand("right")
    verts = torch.from_numpy(posed.verts_m[:, : hand.n_verts]).double()
    camera = torch.from_numpy(posed.intrinsics_px[0]) * torch.tensor([2.0, 2.0, 1.0])[:, None]
    fragments = rasterise(verts, hand.faces, camera, 448)
    pixel = fragments.mask.flatten().nonzero()[:, 0]
    corners = verts[0][hand.faces[fragments.face_index.flatten()[pixel]]]
    homogeneous = corners @ camera.T
    corners_px = torch.cat([homogeneous[..., :2] / homogeneous[..., 2:], corners[..., 2:]], dim=-1)
    found = _barycentrics(pixel, list(corners_px.unbind(1)), 448)
    expected = fragments.barycentrics.reshape(-1, 3)[pixel]
    assert (found - expected).abs().quantile(0.999) < 1e-4


def test_texture_lookup_is_bilinear_and_clamped() -> None:
    picture = torch.arange(12.0).view(2, 2, 3)
    places = torch.tensor([[0.5, 0.5], [1.0, 1.0], [99.0, 99.0], [-5.0, 1.5]])
    found = _lookup(picture, places)
    expected = torch.stack([picture[0, 0], picture.mean(dim=(0, 1)), picture[1, 1], picture[1, 0]])
    torch.testing.assert_close(found, expected, atol=0.02, rtol=0)


def test_a_pocket_is_darker_than_an_open_surface() -> None:
    x, z = torch.meshgrid(torch.linspace(-0.05, 0.05, 21), torch.linspace(-0.05, 0.05, 21), indexing="ij")
    floor = torch.stack([x, torch.zeros_like(x), z], dim=-1).view(1, -1, 3)
    lid = floor + torch.tensor([0.0, 0.015, 0.0])
    up = torch.tensor([0.0, 1.0, 0.0]).expand(floor.shape)
    middle = 21 * 21 // 2
    assert openness(floor, up, floor)[0].min() == 1
    assert openness(floor, up, lid)[0, middle] < 0.6
    assert openness(floor, up, lid)[0, middle] < openness(floor, up, lid)[0, 0]
    assert openness(floor, -up, lid)[0].min() == 1


def test_a_picture_depends_on_its_own_sample_alone() -> None:
    hand = load_hand("right")
    stage = Stage(hand.data)
    betas = np.zeros((4, 10))
    all_four = render(stage, hand, pose_batch(stage, hand, 0, "training", 0, betas), NOWHERE, "training", 0)
    last_two = render(
        stage, hand, pose_batch(stage, hand, 0, "training", 2, betas[2:]), NOWHERE, "training", 2
    )
    np.testing.assert_allclose(all_four.rgb[2:], last_two.rgb, atol=5e-3)

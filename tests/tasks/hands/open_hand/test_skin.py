import time
from dataclasses import replace

import numpy as np
import pytest

from tasks.hands.open_hand.skin import Noise, random_style, skin_texture, skin_vertex_colours
from tasks.hands.open_hand.skin_points import atlas_texels, vertex_points
from tasks.hands.skeleton import TIP_VERTICES


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_the_same_generator_gives_the_same_texture_and_another_one_another():
    one, same, other = skin_texture(rng(1), 64), skin_texture(rng(1), 64), skin_texture(rng(2), 64)
    np.testing.assert_array_equal(one, same)
    assert np.abs(one - other).mean() > 0.005


@pytest.mark.parametrize("size", [32, 64, 200])
def test_textures_are_finite_colours_of_the_asked_size(size):
    texture = skin_texture(rng(), size)
    assert texture.shape == (size, size, 3)
    assert texture.dtype == np.float32
    assert np.isfinite(texture).all()
    assert 0 <= texture.min() <= texture.max() <= 1


def test_tone_runs_from_light_to_dark():
    means = [skin_texture(rng(3), 64, tone=tone).mean() for tone in (0.0, 0.25, 0.5, 0.75, 1.0)]
    assert (np.diff(means) < -0.02).all()


def test_without_a_tone_people_vary_widely():
    brightness = [skin_texture(rng(seed), 32).mean() for seed in range(24)]
    assert np.ptp(brightness) > 0.3


def test_skin_is_redder_than_green_and_greener_than_blue():
    for seed in range(6):
        red, green, blue = skin_texture(rng(seed), 32).reshape(-1, 3).mean(0)
        assert red > green > blue


def test_palms_of_dark_skin_are_paler_than_its_backs(right):
    colours = skin_vertex_colours(right, rng(), tone=0.9)
    dorsal = vertex_points(right).dorsal()
    assert colours[dorsal < 0.1].mean() > 1.3 * colours[dorsal > 0.9].mean()


def test_nails_lie_on_the_backs_of_the_tips(right):
    texels = atlas_texels(right, 128)
    dark = skin_texture(rng(), 128, tone=0.9)
    pixels = np.zeros((len(texels.points.position), 3))
    pixels[texels.source] = dark
    for k, tip in enumerate(vertex_points(right).position[list(TIP_VERTICES["smplx"])]):
        digit = texels.points.digits[k]
        nail = tip - 5.0 * digit.along[2] + 5.0 * digit.back[2]
        fold = tip - 16.0 * digit.along[2] + 7.0 * digit.back[2]
        at_nail, behind = (
            pixels[np.argsort(((texels.points.position - spot) ** 2).sum(1))[:5]].mean()
            for spot in (nail, fold)
        )
        assert at_nail > 1.4 * behind


def test_the_texture_and_the_vertex_colours_are_one_persons(right):
    texture, colours = skin_texture(rng(4), 256, tone=0.5), skin_vertex_colours(right, rng(4), tone=0.5)
    u, v = right.vt[right.ft].mean(1).T
    looked_up = texture[((1 - v) * 256).astype(int), (u * 256).astype(int)]
    difference = np.abs(looked_up - colours[right.faces].mean(1)).mean()
    stranger = np.abs(skin_vertex_colours(right, rng(5), tone=0.9)[right.faces].mean(1) - looked_up).mean()
    assert difference < 0.035 < stranger


def test_a_left_hand_and_a_hand_without_an_atlas_get_the_same_skin(right):
    plain = replace(right, vt=None, ft=None, tips=None)
    expected = skin_vertex_colours(right, rng(6))
    np.testing.assert_array_equal(skin_vertex_colours(plain, rng(6)), expected)
    np.testing.assert_allclose(skin_vertex_colours(right.mirrored(), rng(6)), expected, atol=1e-5)


def test_texels_lie_on_the_hand_where_the_atlas_says(right):
    texels = atlas_texels(right, 128)
    corner = right.ft[300, 0]
    column, row = (right.vt[corner] * [128, -128] + [0, 128]).astype(int)
    here = texels.points.position[texels.source[min(row, 127), min(column, 127)]]
    assert np.linalg.norm(here - vertex_points(right).position[right.faces[300, 0]]) < 4.0


def test_noise_is_smooth_periodic_free_and_bounded():
    noise = Noise(rng())
    line = np.linspace(0, 30, 4001)[:, None] * [1.0, 0.4, 0.2]
    values = noise(line, 6.0)
    assert 0 <= values.min() < 0.3 < 0.7 < values.max() <= 1
    assert np.abs(np.diff(values)).max() < 0.01
    assert np.abs(noise.fractal(line, 6.0, 3)).max() < 0.5


def test_a_style_is_one_person(right):
    style = random_style(rng(7), tone=2.0)
    assert style.tone == 1.0
    assert style.base.shape == (3,)
    assert np.all((style.base > 0) & (style.base < 1))


def test_a_texture_of_256_takes_well_under_a_second():
    skin_texture(rng(), 256)
    start = time.process_time()
    skin_texture(rng(1), 256)
    assert time.process_time() - start < 1.5

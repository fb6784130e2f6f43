"""Backgrounds, patterns, composites and streams."""

from pathlib import Path

import numpy as np
import pytest

from tasks.synthesis.backgrounds import SCENE_PX, background, green_screen
from tasks.synthesis.bank import BANK, SCENES_PER_TASK, BakeTask, Bank
from tasks.synthesis.compositing import camera, evaluation_frame, over, training_versions
from tasks.synthesis.objects import OCCLUDED_SHARE
from tasks.synthesis.patterns import fractal_noise, scene, smooth_noise, surface
from tasks.synthesis.posing import VISIBLE_SHARE
from tasks.synthesis.streams import stream


def flat_scene(split: str, number: int) -> np.ndarray:
    return np.full((SCENE_PX, SCENE_PX, 3), number, np.uint8)


@pytest.mark.parametrize("change", [(1, "a", 0, "x"), (0, "b", 0, "x"), (0, "a", 1, "x"), (0, "a", 0, "y")])
def test_every_part_of_its_name_makes_another_stream(change: tuple[int, str, int, str]) -> None:
    first = stream(0, "a", 0, "x").random(4)
    np.testing.assert_array_equal(first, stream(0, "a", 0, "x").random(4))
    assert not np.array_equal(first, stream(*change).random(4))


def test_noise_is_smooth_and_of_unit_size() -> None:
    coarse = smooth_noise(np.random.default_rng(0), 200, 12)
    assert coarse.shape == (200, 200)
    assert 0.5 < coarse.std() < 1.3
    assert np.abs(np.diff(coarse, axis=0)).max() < 0.4
    fine = fractal_noise(np.random.default_rng(0), 200, 12, 4)
    assert np.abs(np.diff(fine, axis=0)).mean() > 2 * np.abs(np.diff(coarse, axis=0)).mean()


def test_scenes_and_surfaces_differ_and_keep_their_range() -> None:
    scenes = [scene(np.random.default_rng(i), 96) for i in range(12)]
    assert all(picture.shape == (96, 96, 3) and picture.dtype == np.uint8 for picture in scenes)
    assert np.std([picture.mean() for picture in scenes]) > 10
    surfaces = np.stack([surface(np.random.default_rng(i), 40) for i in range(12)])
    assert surfaces.min() > 0
    assert surfaces.max() <= 1


def test_a_foreground_covers_and_a_gap_shows_the_background() -> None:
    rgb = np.full((2, 2, 3), 100.0)
    cover = np.array([[1.0, 0.0], [0.5, 1.0]])[..., None]
    found = over(rgb * cover, cover, np.full((2, 2, 3), 50.0))
    np.testing.assert_allclose(found[..., 0], [[100, 50], [75, 100]])


def test_all_images_are_bytes_of_the_right_size() -> None:
    rgb, alpha = np.full((224, 224, 3), 0.4, np.float32), np.ones((224, 224), np.float32)
    images = training_versions(np.random.default_rng(0), rgb, alpha, flat_scene)
    images.append(evaluation_frame(np.random.default_rng(0), rgb, alpha, flat_scene))
    assert len(images) == 5
    assert all(image.shape == (224, 224, 3) and image.dtype == np.uint8 for image in images)
    assert all(40 < image.mean() < 180 for image in images)


def test_the_cameras_noise_has_no_bias() -> None:
    for i in range(5):
        image = camera(np.random.default_rng(i), np.full((224, 224, 3), 100, np.float32))
        assert abs(image.mean() - 100) < 0.6
        assert 0.5 < image.std() < 5


def test_backgrounds_and_green_screens_are_in_range() -> None:
    for i in range(5):
        for picture in (
            background(np.random.default_rng(i), "training", flat_scene),
            green_screen(np.random.default_rng(i)),
        ):
            assert picture.shape == (224, 224, 3)
            assert picture.min() >= 0
            assert picture.max() <= 255


def test_a_baked_picture_is_the_drawn_one(tmp_path: Path) -> None:
    baked, drawn = Bank(5, tmp_path / BANK), Bank(5, tmp_path / "nowhere")
    BakeTask(tmp_path, 5, "evaluation", "skin", 2).run()
    BakeTask(tmp_path, 5, "evaluation", "scenes", 1).run()
    assert len(list(baked.folder.iterdir())) == 2
    np.testing.assert_array_equal(baked.skin("evaluation", 2), drawn.skin("evaluation", 2))
    number = SCENES_PER_TASK + 3
    np.testing.assert_array_equal(baked.scene("evaluation", number), drawn.scene("evaluation", number))


def test_about_a_third_of_the_samples_have_an_object() -> None:
    drawn = [stream(0, "training", i, "geometry").random() < OCCLUDED_SHARE for i in range(2000)]
    assert abs(np.mean(drawn) - 0.35) < 0.04
    assert VISIBLE_SHARE >= 0.5

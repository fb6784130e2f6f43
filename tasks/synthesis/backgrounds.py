"""What is behind the hands: a bank of procedural scenes, cropped, turned and recoloured afresh for every image."""

from collections.abc import Callable
from functools import lru_cache

import numpy as np

from tasks.layouts.freihand.files import IMAGE_SIZE_PX, SplitName
from tasks.synthesis.patterns import scene, smooth_noise
from tasks.synthesis.streams import stream

N_SCENES: dict[SplitName, int] = {"training": 128, "evaluation": 32}
SCENE_PX = 288

SceneOf = Callable[[SplitName, int], np.ndarray]
"""Gives a scene of the bank by its number."""


@lru_cache(maxsize=sum(N_SCENES.values()))
def bank_scene(seed: int, split: SplitName, number: int) -> np.ndarray:
    """(SCENE_PX, SCENE_PX, 3) uint8 sRGB."""
    return scene(stream(seed, split, number, "scene"), SCENE_PX)


def background(rng: np.random.Generator, split: SplitName, scene_of: SceneOf) -> np.ndarray:
    """(224, 224, 3) float32 sRGB in [0, 255]: a crop of a scene, flipped, turned, its colours mixed and dimmed."""
    picture = scene_of(split, int(rng.integers(N_SCENES[split])))
    top, left = rng.integers(0, SCENE_PX - IMAGE_SIZE_PX + 1, 2)
    crop = picture[top : top + IMAGE_SIZE_PX, left : left + IMAGE_SIZE_PX]
    crop = np.rot90(crop, int(rng.integers(4)))[:, :: int(rng.choice([-1, 1]))]
    channels = rng.permutation(3) if rng.random() < 0.5 else np.arange(3)
    gain = (rng.uniform(0.55, 1.15) * rng.uniform(0.85, 1.15, 3)).astype(np.float32)
    mixed = np.empty((IMAGE_SIZE_PX, IMAGE_SIZE_PX, 3), np.float32)
    for target, source in enumerate(channels):
        np.multiply(crop[..., source], gain[target], out=mixed[..., target])
    return np.minimum(mixed, 255, out=mixed)


def green_screen(rng: np.random.Generator) -> np.ndarray:
    """(224, 224, 3) float32 sRGB in [0, 255]: cloth with uneven light and faint folds."""
    base = np.array([rng.uniform(25, 80), rng.uniform(120, 200), rng.uniform(40, 95)], np.float32)
    shade = 1 + 0.10 * smooth_noise(rng, IMAGE_SIZE_PX, 2) + 0.025 * smooth_noise(rng, IMAGE_SIZE_PX, 9)
    return np.clip(base * shade[..., None], 0, 255)

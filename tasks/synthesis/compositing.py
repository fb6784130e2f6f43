"""Puts the shaded hand before its backgrounds: FreiHAND's four versions of a sample, and the frame of an evaluation.

The official versions come from green-screen footage: the footage itself, a composite whose colours were harmonised, a
plain composite, and one that was coloured automatically. The hand's place is the same in all.
"""

from functools import lru_cache

import numpy as np
from PIL import Image, ImageFilter

from tasks.layouts.freihand.files import IMAGE_SIZE_PX
from tasks.synthesis.backgrounds import SceneOf, background, green_screen
from tasks.synthesis.streams import stream

NOISE_SD = (0.8, 4.0)
"""Of the camera's noise, in grey levels."""
BLUR_SHARE, BLUR_PX = 0.45, (0.1, 0.6)
HARMONY = 0.4
"""Exponent that pulls the hand's mean colour towards the background's."""
TINT_SD = (6.0, 3.0, 6.0)
"""Grey levels of the cast of automatic colours."""
_NOISE_PX = 512
_GREY = np.array([0.299, 0.587, 0.114], np.float32)


def training_versions(
    rng: np.random.Generator, rgb: np.ndarray, alpha: np.ndarray, scene_of: SceneOf
) -> list[np.ndarray]:
    """Four images (224, 224, 3) uint8 of premultiplied ``rgb`` (224, 224, 3) and ``alpha`` (224, 224), in [0, 1]."""
    hand, cover = 255 * rgb, alpha[..., None]
    scenes = [background(rng, "training", scene_of) for _ in range(3)]
    composites = [
        over(_spilled(rng, hand, cover), cover, green_screen(rng)),
        over(_harmonised(hand, cover, scenes[0]), cover, scenes[0]),
        over(hand * rng.uniform(0.85, 1.1), cover, scenes[1]),
        _recoloured(rng, over(hand, cover, scenes[2])),
    ]
    return [camera(rng, image) for image in composites]


def evaluation_frame(
    rng: np.random.Generator, rgb: np.ndarray, alpha: np.ndarray, scene_of: SceneOf
) -> np.ndarray:
    """One image (224, 224, 3) uint8: a plain or a harmonised composite."""
    hand, cover, behind = 255 * rgb, alpha[..., None], background(rng, "evaluation", scene_of)
    front = _harmonised(hand, cover, behind) if rng.random() < 0.5 else hand
    return camera(rng, over(front, cover, behind))


def over(hand: np.ndarray, cover: np.ndarray, behind: np.ndarray) -> np.ndarray:
    """A premultiplied foreground before a background."""
    picture = behind * (1 - cover)
    picture += hand
    return picture


def camera(rng: np.random.Generator, image: np.ndarray) -> np.ndarray:
    """(224, 224, 3) uint8: a little blur in a share of the images, and noise."""
    if rng.random() < BLUR_SHARE:
        sharp = Image.fromarray(np.clip(image, 0, 255).astype(np.uint8))
        image = np.asarray(sharp.filter(ImageFilter.BoxBlur(rng.uniform(*BLUR_PX))), np.float32)
    top, left = rng.integers(0, _NOISE_PX - IMAGE_SIZE_PX, 2)
    noise = _noise()[top : top + IMAGE_SIZE_PX, left : left + IMAGE_SIZE_PX]
    noisy = noise * np.float32(rng.uniform(*NOISE_SD))
    noisy += image
    noisy += 0.5  # the cast to bytes rounds down
    return np.clip(noisy, 0, 255, out=noisy).astype(np.uint8)


@lru_cache(maxsize=1)
def _noise() -> np.ndarray:
    """A sheet of noise of unit variance that images take their crops from: drawing it afresh would cost most."""
    return stream(0, "", 0, "noise").normal(0, 1, (_NOISE_PX, _NOISE_PX, 3)).astype(np.float32)


def _spilled(rng: np.random.Generator, hand: np.ndarray, cover: np.ndarray) -> np.ndarray:
    """Green light of the screen upon the hand."""
    spill = np.array([0.0, rng.uniform(0.0, 0.10), 0.0], np.float32)
    return hand * (1 - spill[1]) + 150 * spill * cover


def _harmonised(hand: np.ndarray, cover: np.ndarray, behind: np.ndarray) -> np.ndarray:
    """The hand under the light that the background suggests."""
    some = (slice(None, None, 4), slice(None, None, 4))
    mean = hand[some].sum(axis=(0, 1)) / cover[some].sum()
    gain = ((behind[some].mean(axis=(0, 1)) + 40) / (mean + 40)) ** HARMONY
    return np.minimum(hand * np.clip(gain, 0.5, 1.4).astype(np.float32), 255 * cover)


def _recoloured(rng: np.random.Generator, image: np.ndarray) -> np.ndarray:
    """Grey values kept, colours washed over edges and pulled towards one hue, as automatic colouring does."""
    sharp = Image.fromarray(np.clip(image, 0, 255).astype(np.uint8))
    washed = np.asarray(sharp.filter(ImageFilter.BoxBlur(rng.uniform(2, 7))), np.float32)
    strength = np.float32(rng.uniform(0.45, 0.95))
    tint = (rng.normal(0, 1, 3) * TINT_SD).astype(np.float32)
    colour = washed * strength
    colour += tint - tint @ _GREY
    colour += (image @ _GREY - strength * (washed @ _GREY))[..., None]
    return colour

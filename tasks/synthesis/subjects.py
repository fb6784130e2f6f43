"""Whose hands they are: a subject is a shape and a skin; training and evaluation have their own subjects."""

from functools import lru_cache

import numpy as np

from tasks.hands.model_file import HandModelData
from tasks.hands.open_hand.skin import skin_texture, skin_vertex_colours
from tasks.layouts.freihand.files import SplitName
from tasks.synthesis.shading import SKIN_TEXELS
from tasks.synthesis.streams import stream

COUNTS: dict[SplitName, int] = {"training": 32, "evaluation": 8}
BETA_SD, BETA_LIMIT = 0.8, 2.0


def subject_of(seed: int, split: SplitName, sample: int) -> int:
    """The number of the subject whose hand a sample shows."""
    return int(stream(seed, split, sample, "subject").integers(COUNTS[split]))


def betas_of(seed: int, split: str, subject: int) -> np.ndarray:
    """(10,) the subject's shape."""
    draw = stream(seed, split, subject, "betas").normal(0, BETA_SD, 10)
    return np.clip(draw, -BETA_LIMIT, BETA_LIMIT)


@lru_cache(maxsize=sum(COUNTS.values()))
def skin_picture(seed: int, split: str, subject: int) -> np.ndarray:
    """(SKIN_TEXELS, SKIN_TEXELS, 3) float32 sRGB: the subject's skin on the open hand's atlas."""
    return skin_texture(stream(seed, split, subject, "skin"), size=SKIN_TEXELS)


def skin_colours(seed: int, split: str, subject: int, hand: HandModelData) -> np.ndarray:
    """(V, 3) float32 sRGB: the same skin on the vertices of any model."""
    return skin_vertex_colours(hand, stream(seed, split, subject, "skin"))

"""From posed hands to images: materials and light of each sample, the shading, the composites."""

from dataclasses import dataclass

import numpy as np
import torch

from tasks.hands.hand import HandModel
from tasks.layouts.freihand.files import SplitName
from tasks.synthesis.arm import N_RINGS, Arm
from tasks.synthesis.bank import Bank
from tasks.synthesis.patterns import smooth_noise, surface
from tasks.synthesis.posing import Draw, Posed
from tasks.synthesis.shading import MATERIAL_SHAPE, SKIN_TEXELS, SURFACE_TEXELS, Light, Picture, Stage
from tasks.synthesis.streams import stream
from tasks.synthesis.subjects import skin_colours, subject_of

KEY_LIGHT = (0.75, 1.25)
AMBIENT_LIGHT = (0.22, 0.6)
SKIN_GLOSS, OBJECT_GLOSS = (0.005, 0.05), (0.02, 0.35)
"""Strength of the highlight."""


@dataclass(frozen=True)
class Skins:
    """The skin of the subjects of a batch."""

    pictures: list[np.ndarray]
    colours: np.ndarray
    """(B, V, 3) at the vertices."""


def render(stage: Stage, hand: HandModel, posed: Posed, bank: Bank, split: SplitName, first: int) -> Picture:
    """The picture of a batch of posed hands, the samples from ``first`` on."""
    count = len(posed.verts_m)
    seed = bank.seed
    skins = _skins(hand, bank, split, range(first, first + count))
    streams = [stream(seed, split, first + i, "material") for i in range(count)]
    around = wrist_colours(stage, hand, skins)
    materials = np.stack(
        [_material(streams[i], skins.pictures[i], around[i], posed.draws[i]) for i in range(count)]
    )
    return stage.shade(
        torch.from_numpy(posed.verts_m),
        torch.from_numpy(posed.intrinsics_px).float(),
        torch.from_numpy(materials),
        lights([stream(seed, split, first + i, "light") for i in range(count)]),
        torch.from_numpy(skins.colours),
    )


def _skins(hand: HandModel, bank: Bank, split: SplitName, samples: range) -> Skins:
    subjects = [subject_of(bank.seed, split, sample) for sample in samples]
    if hand.data.vt is not None:
        return Skins([bank.skin(split, k) for k in subjects], np.zeros((len(subjects), 1, 3), np.float32))
    plain = np.zeros((SKIN_TEXELS, SKIN_TEXELS, 3), np.float32)
    return Skins(
        [plain] * len(subjects), np.stack([skin_colours(bank.seed, split, k, hand.data) for k in subjects])
    )


def wrist_colours(stage: Stage, hand: HandModel, skins: Skins) -> np.ndarray:
    """(B, L, 3) the skin along the wrist loop, where the forearm takes over."""
    data = hand.data
    if data.vt is None or data.ft is None:
        return skins.colours[:, stage.loop]
    corner = [np.argwhere(data.faces == vertex)[0] for vertex in stage.loop]
    column, row = np.array([data.vt[data.ft[f, k]] for f, k in corner]).T * SKIN_TEXELS
    at = np.clip(np.stack([SKIN_TEXELS - row, column]), 0, SKIN_TEXELS - 1).astype(int)
    return np.stack([picture[at[0], at[1]] for picture in skins.pictures])


def _material(rng: np.random.Generator, skin: np.ndarray, wrist: np.ndarray, draw: Draw) -> np.ndarray:
    sleeve = forearm(rng, wrist, draw.arm)
    return material(skin, sleeve, surface(rng, SURFACE_TEXELS) if draw.thing else None)


def material(skin: np.ndarray, sleeve: np.ndarray, thing: np.ndarray | None) -> np.ndarray:
    """MATERIAL_SHAPE float32 sRGB: skin, object's surface above forearm."""
    picture = np.zeros(MATERIAL_SHAPE, np.float32)
    picture[:, :SKIN_TEXELS] = skin
    picture[SURFACE_TEXELS:, SKIN_TEXELS:] = sleeve
    if thing is not None:
        picture[:SURFACE_TEXELS, SKIN_TEXELS:] = thing
    return picture


def forearm(rng: np.random.Generator, wrist: np.ndarray, arm: Arm) -> np.ndarray:
    """(SURFACE_TEXELS, SURFACE_TEXELS, 3) skin that goes on from the wrist, and cloth where the sleeve begins."""
    size = SURFACE_TEXELS
    place = np.arange(size) / size * len(wrist)
    loop = np.concatenate([wrist, wrist[:1]])
    around = np.stack([np.interp(place, np.arange(len(loop)), loop[:, c]) for c in range(3)], axis=1)
    fade = np.clip(np.arange(size) / size * 2, 0, 1)[:, None, None]
    skin = (1 - fade) * around + fade * wrist.mean(axis=0)
    skin = skin * (1 + 0.02 * smooth_noise(rng, size, 10)[..., None])
    if not arm.in_sleeve.any():
        return skin.astype(np.float32)
    last_bare = np.flatnonzero(~arm.in_sleeve)[-1] / (N_RINGS - 1)
    return np.where((np.arange(size) / size > last_bare)[:, None, None], surface(rng, size), skin).astype(
        np.float32
    )


def lights(streams: list[np.random.Generator]) -> Light:
    """Mostly from above and from the camera's side, with a colour of its own, and softer light from all around."""
    direction, key, ambient, gloss = [], [], [], []
    for rng in streams:
        towards = np.array([0.0, -0.5, -0.9]) + rng.normal(0, [0.7, 0.5, 0.35])
        warmth = rng.normal(0, 0.07)
        tint = np.array([1 + warmth, 1.0, 1 - warmth])
        direction.append(towards / np.linalg.norm(towards))
        key.append(rng.uniform(*KEY_LIGHT) * tint)
        ambient.append(rng.uniform(*AMBIENT_LIGHT) * (1 + rng.normal(0, 0.06, 3)))
        gloss.append([rng.uniform(*SKIN_GLOSS), rng.uniform(*OBJECT_GLOSS)])
    return Light(
        *(torch.tensor(np.array(values), dtype=torch.float32) for values in (direction, key, ambient, gloss))
    )

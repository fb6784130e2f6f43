"""Skin: a colour for every point of the hand, drawn from a random identity.

A solid function of rest position, normal and digit coordinates: tone, paler palm, mottling, redness of knuckles and
pulps, creases, palm lines, veins, tendons, moles and nails. It is evaluated on texels or on vertices alike.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy.ndimage import map_coordinates

from tasks.hands.model_file import HandModelData, read_model
from tasks.hands.open_hand import OPEN_HAND_FILE
from tasks.hands.open_hand.palm_lines import palm_lines
from tasks.hands.open_hand.skin_points import DigitFrame, SkinPoints, atlas_texels, vertex_points

_TONES = np.array(
    [
        (0.93, 0.77, 0.69),
        (0.86, 0.67, 0.56),
        (0.76, 0.56, 0.43),
        (0.62, 0.43, 0.31),
        (0.45, 0.30, 0.21),
        (0.31, 0.20, 0.15),
    ]
)
"""Back of the hand from light to dark, sRGB."""
_PALM_TONE = np.array([0.87, 0.65, 0.56])
_NAIL_BED = np.array([0.94, 0.74, 0.69])
_NAIL_HALF_WIDTHS_MM = (6.4, 5.0, 5.2, 4.9, 4.0)
_VERTEX_DETAIL_MM = 5.0


class Noise:
    """Smooth random fields over space: interpolated values on a periodic random lattice."""

    _SIDE = 24

    def __init__(self, rng: np.random.Generator) -> None:
        self._lattice = rng.random((self._SIDE,) * 3)

    def __call__(self, position: np.ndarray, scale_mm: float | np.ndarray, channel: int = 0) -> np.ndarray:
        """(N,) values in [0, 1] that vary over ``scale_mm`` (one number or three)."""
        place = position / scale_mm + 5.37 * channel
        cell = np.floor(place)
        part = place - cell
        smooth = cell + part * part * (3.0 - 2.0 * part)
        return map_coordinates(self._lattice, smooth.T, order=1, mode="grid-wrap", prefilter=False)

    def fractal(
        self, position: np.ndarray, scale_mm: float | np.ndarray, octaves: int, channel: int = 0
    ) -> np.ndarray:
        """(N,) sum of octaves, each half as large and 0.55 as strong as the one before, around 0."""
        strengths = 0.55 ** np.arange(octaves)
        layers = [self(position * 2.0**k, scale_mm, channel + k) - 0.5 for k in range(octaves)]
        return np.tensordot(strengths, layers, 1) / strengths.sum()


@dataclass(frozen=True)
class SkinStyle:
    """What makes one person's skin. ``tone`` runs from 0 (light) to 1 (dark)."""

    tone: float
    undertone: np.ndarray
    noise: Noise
    redness: float
    crease: float
    wrinkle: float
    vein: float
    mottle: float
    moles: np.ndarray
    """(k, 4) place in mm and radius; only those that lie near the surface show."""
    nail_length: float
    nail_gloss: float
    line_seed: int

    @property
    def base(self) -> np.ndarray:
        """(3,) colour of the back of the hand."""
        place = self.tone * (len(_TONES) - 1)
        i = min(int(place), len(_TONES) - 2)
        return (_TONES[i] * (1 - (place - i)) + _TONES[i + 1] * (place - i)) * self.undertone


def random_style(rng: np.random.Generator, tone: float | None = None) -> SkinStyle:
    """A random person's skin; the same generator state gives the same person."""
    drawn = float(rng.uniform())
    n_moles = int(rng.poisson(2.5))
    low, high = np.array([-150.0, -25.0, -40.0]), np.array([10.0, 25.0, 60.0])
    return SkinStyle(
        tone=drawn if tone is None else float(np.clip(tone, 0.0, 1.0)),
        undertone=1.0 + rng.normal(0.0, 0.022, 3),
        noise=Noise(rng),
        redness=float(rng.uniform(0.5, 1.2)),
        crease=float(rng.uniform(0.6, 1.1)),
        wrinkle=float(rng.uniform(0.4, 1.2)),
        vein=float(rng.uniform(0.0, 1.0)),
        mottle=float(rng.uniform(0.7, 1.3)),
        moles=np.column_stack([rng.uniform(low, high, (n_moles, 3)), rng.uniform(0.5, 1.3, n_moles)]),
        nail_length=float(rng.uniform(0.24, 0.29)),
        nail_gloss=float(rng.uniform(0.0, 0.10)),
        line_seed=int(rng.integers(2**31)),
    )


def skin_texture(rng: np.random.Generator, size: int = 256, tone: float | None = None) -> np.ndarray:
    """(size, size, 3) float32 sRGB in [0, 1] for the open hand's atlas; row 0 is v = 1. ``tone`` as in SkinStyle."""
    texels = atlas_texels(_open_hand(), size)
    colours = paint(texels.points, random_style(rng, tone), texels.detail_mm)
    return colours[texels.source]


def skin_vertex_colours(
    data: HandModelData, rng: np.random.Generator, tone: float | None = None
) -> np.ndarray:
    """(V, 3) float32 sRGB in [0, 1]: the same skin for a model without texture coordinates."""
    return paint(vertex_points(data), random_style(rng, tone), _VERTEX_DETAIL_MM)


@lru_cache(maxsize=1)
def _open_hand() -> HandModelData:
    return read_model(OPEN_HAND_FILE)


def paint(points: SkinPoints, style: SkinStyle, detail_mm: float) -> np.ndarray:
    """(N, 3) float32 colours. Lines finer than ``detail_mm`` are drawn wider and fainter."""
    dorsal = points.dorsal()
    colour = _ground(points, style, dorsal)
    colour += (
        _redness(points, style, dorsal)[:, None] * np.array([0.07, -0.03, -0.03]) * (1 - 0.6 * style.tone)
    )
    depth = _finger_creases(points, style, dorsal, detail_mm) + _knuckle_wrinkles(points, style, dorsal)
    lines = palm_lines(points, np.random.default_rng(style.line_seed), detail_mm)
    depth += (1 - dorsal) * lines * (0.6 + 0.8 * style.noise(points.position, 7.0, 40))
    dark = np.array([0.20, 0.28, 0.30]) + 0.12 * style.tone
    colour *= 1.0 - np.clip(style.crease * depth, 0.0, 1.0)[:, None] * dark
    colour *= 1.0 + _veins_and_tendons(points, style, dorsal)
    colour *= 1.0 - (dorsal * _moles(points, style, detail_mm))[:, None] * np.array([0.35, 0.45, 0.48])
    colour = _with_nails(colour, points, style)
    return np.clip(colour, 0.02, 1.0).astype(np.float32)


def _line(distance_mm: np.ndarray, width_mm: float, detail_mm: float) -> np.ndarray:
    """Profile of a line: as wide as the detail allows, with the same area."""
    width = np.hypot(width_mm, 0.6 * detail_mm)
    return (width_mm / width) * np.exp(-((distance_mm / width) ** 2))


def _ground(points: SkinPoints, style: SkinStyle, dorsal: np.ndarray) -> np.ndarray:
    """(N, 3) tone of back and palm with mottling; palms are paler, the more so the darker the skin."""
    share = 0.18 + 0.40 * style.tone
    palm = (style.base * (1 - share) + _PALM_TONE * share) * [1.02, 0.97, 0.96]
    colour = style.base * dorsal[:, None] + palm * (1 - dorsal[:, None])
    broad = style.noise.fractal(points.position, 20.0, 3)
    fine = style.noise.fractal(points.position, 3.2, 2, channel=10)
    colour *= (1.0 + style.mottle * (0.13 * broad + 0.09 * fine))[:, None]
    blotch = style.noise.fractal(points.position, 8.0, 2, channel=20) * (0.35 + 0.65 * (1 - dorsal))
    return colour + style.mottle * blotch[:, None] * np.array([0.035, -0.035, -0.025]) * (
        1 - 0.5 * style.tone
    )


def _redness(points: SkinPoints, style: SkinStyle, dorsal: np.ndarray) -> np.ndarray:
    """(N,) blood under the skin: knuckles, pulps and the pads of the palm."""
    red = np.zeros(len(points.position))
    for share, digit in zip(points.in_digit.T, points.digits, strict=True):
        for joint, reach in ((1, 6.5), (2, 4.5)):
            distance = points.position - digit.joints[joint]
            red += 0.7 * share * dorsal * np.exp(-(distance**2).sum(1) / (2.2 * reach**2))
        along, _, _ = _in_bone(points, digit, 2)
        length = np.linalg.norm(digit.joints[3] - digit.joints[2])
        red += 0.8 * share * (1 - dorsal) * np.exp(-(((along / length - 0.7) / 0.4) ** 2))
    for knuckle in points.knuckles:
        red += 0.6 * dorsal * np.exp(-((points.position - knuckle) ** 2).sum(1) / 200.0)
        pad = knuckle + np.array([-4.0, -8.0, 0.0])
        red += 0.35 * (1 - dorsal) * np.exp(-((points.position - pad) ** 2).sum(1) / 160.0)
    for pad in ([-40.0, -15.0, 20.0], [-38.0, -16.0, -26.0]):
        red += 0.4 * (1 - dorsal) * np.exp(-((points.position - pad) ** 2).sum(1) / 350.0)
    return style.redness * np.clip(red, 0.0, 1.2) * (0.75 + 0.5 * style.noise(points.position, 6.0, 30))


def _in_bone(points: SkinPoints, digit: DigitFrame, bone: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(N,) coordinates along a bone from its joint, to its side, and out of its back."""
    offset = points.position - digit.joints[bone]
    side = np.cross(digit.back[bone], digit.along[bone])
    return offset @ digit.along[bone], offset @ side, offset @ digit.back[bone]


def _finger_creases(points: SkinPoints, style: SkinStyle, dorsal: np.ndarray, detail_mm: float) -> np.ndarray:
    """(N,) flexion creases on the palmar side: two at the middle joint, one at the end joint, one at the root."""
    depth = np.zeros(len(points.position))
    wave = 1.6 * style.noise.fractal(points.position, 7.0, 2, channel=50)
    broken = 0.35 + 1.0 * style.noise(points.position, 5.0, 53)
    for k, (share, digit) in enumerate(zip(points.in_digit.T, points.digits, strict=True)):
        root = 0.56 * float(np.linalg.norm(digit.joints[1] - digit.joints[0]))
        creases = [(1, -1.1, 0.8), (1, 1.5, 0.6), (2, 0.2, 0.7)]
        creases += [(0, root, 0.8)] if k else []
        for joint, place, strength in creases:
            along, side, _ = _in_bone(points, digit, joint)
            bow = 0.012 * (side + wave) ** 2
            profile = _line(along - place + wave + bow, 0.55, detail_mm) + 0.25 * _line(
                along - place, 1.8, detail_mm
            )
            depth += strength * share * profile * broken * np.clip(1.25 - 1.6 * dorsal, 0.0, 1.0)
    return depth


def _knuckle_wrinkles(points: SkinPoints, style: SkinStyle, dorsal: np.ndarray) -> np.ndarray:
    """(N,) loose skin on the back of the finger joints: short uneven folds, and a darker patch."""
    depth = np.zeros(len(points.position))
    wave = 2.4 * style.noise.fractal(points.position, 5.0, 2, channel=60)
    broken = style.noise(points.position, np.array([3.0, 3.0, 4.5]), 63)
    for share, digit in zip(points.in_digit.T, points.digits, strict=True):
        for joint, reach in ((1, 5.2), (2, 3.2)):
            along, side, _ = _in_bone(points, digit, joint)
            patch = share * dorsal**2 * np.exp(-((along / reach) ** 2) - (side / (1.1 * reach)) ** 2)
            folds = (0.5 + 0.5 * np.cos(2 * np.pi * (along + wave) / 2.5 + 0.06 * side**2)) ** 3
            depth += style.wrinkle * patch * (0.75 * folds * broken + 0.16 + 0.22 * style.tone)
    return depth


def _veins_and_tendons(points: SkinPoints, style: SkinStyle, dorsal: np.ndarray) -> np.ndarray:
    """(N, 3) relative change: faint bluish ridges of a stretched noise, lighter cords from knuckles to wrist."""
    back = dorsal**2 * (1.0 - points.in_digit.max(1))
    ridge = style.noise.fractal(points.position, np.array([42.0, 30.0, 15.0]), 2, channel=70)
    vein = back * np.exp(-((ridge / 0.03) ** 2)) * style.vein * (1 - 0.7 * style.tone)
    cord = np.zeros(len(points.position))
    for knuckle in points.knuckles:
        share = np.clip(points.position[:, 0] / knuckle[0], 0.0, 1.0)
        aside = points.position[:, 2] - knuckle[2] * (0.35 + 0.65 * share)
        cord += np.exp(-((aside / 2.6) ** 2)) * share * np.exp(-((np.maximum(share - 0.9, 0) / 0.1) ** 2))
    tendon = back * cord * 0.05
    return vein[:, None] * np.array([-0.07, -0.03, 0.01]) + tendon[:, None]


def _moles(points: SkinPoints, style: SkinStyle, detail_mm: float) -> np.ndarray:
    """(N,) small dark spots."""
    spots = np.zeros(len(points.position))
    for *place, radius in style.moles:
        across = (points.position - place)[:, [0, 2]]
        height = np.abs(points.position[:, 1] - place[1])
        spots += (height < 12.0) * _line(np.linalg.norm(across, axis=1), radius, detail_mm)
    return np.clip(spots, 0.0, 1.0)


def _with_nails(colour: np.ndarray, points: SkinPoints, style: SkinStyle) -> np.ndarray:
    """The colours with a nail on the back of each tip: bed, pale half-moon, white free edge, fold around it."""
    bed = style.base * 0.42 + _NAIL_BED * 0.58 + style.nail_gloss
    free_colour = np.array([0.90, 0.86, 0.80])
    for k, (share, digit) in enumerate(zip(points.in_digit.T, points.digits, strict=True)):
        along, side, back = _in_bone(points, digit, 2)
        near = (share > 0) & (back > 0) & (along > 0)
        place = along[near] / np.linalg.norm(digit.joints[3] - digit.joints[2])
        across, on_back = side[near], share[near] * _smooth(back[near] / 1.5)
        edge = (
            np.abs(across / _NAIL_HALF_WIDTHS_MM[k]) ** 2.8
            + np.abs((place - 0.71) / style.nail_length) ** 3.0
        )
        rim = np.exp(-(((edge - 1.10) / 0.35) ** 2)) * on_back * (1 - _smooth((place - 0.82) / 0.08))
        nail = (_smooth(0.5 + 3.5 * (1 - edge)) * on_back)[:, None]
        moon = _smooth((0.535 - place - 0.0025 * across**2) / 0.03)
        free = _smooth((place - 0.925 + 0.0008 * across**2) / 0.02)[:, None]
        streak = style.noise.fractal(np.column_stack([across, across * 0, place * 4.0]), 1.6, 2, 80)
        plate = bed + (0.03 * streak + 0.07 * moon)[:, None] + free * (free_colour - bed)
        skin = colour[near] * (1 - rim[:, None] * np.array([0.16, 0.22, 0.22]))
        colour[near] = skin * (1 - nail) + plate * nail
    return colour


def _smooth(x: np.ndarray) -> np.ndarray:
    """Smooth step from 0 at 0 to 1 at 1."""
    x = np.clip(x, 0.0, 1.0)
    return x * x * (3.0 - 2.0 * x)

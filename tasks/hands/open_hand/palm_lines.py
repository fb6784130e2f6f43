"""The lines of the palm: three main ones, the wrist's bracelets, and a few fine ones, different for every person."""

from typing import NamedTuple

import numpy as np
from scipy.interpolate import Akima1DInterpolator
from scipy.spatial import cKDTree

from tasks.hands.open_hand.skin_points import SkinPoints


class _Line(NamedTuple):
    """A curve through (distal, radial) points in mm; width in mm; strength at its start, middle and end."""

    through: tuple[tuple[float, float], ...]
    width_mm: float
    strength: tuple[float, float, float]


_LINES = (
    # heart: from the ulnar edge under the little finger to the gap of index and middle finger
    _Line(((60, -46), (64, -32), (70, -16), (78, 0), (88, 10), (97, 14)), 0.8, (0.9, 1.0, 0.15)),
    # head: from the radial edge across the palm, fading towards the hypothenar
    _Line(((70, 42), (67, 30), (62, 14), (54, -4), (44, -20), (34, -30)), 0.8, (0.5, 1.0, 0.05)),
    # life: the same start, around the thenar to the wrist
    _Line(((69, 42), (63, 29), (51, 17), (37, 9), (21, 4), (4, 3)), 0.85, (0.5, 1.1, 0.35)),
    # fate: a faint one along the palm
    _Line(((22, 0), (40, -3), (58, 0), (76, 3)), 0.5, (0.0, 0.40, 0.1)),
    # bracelets of the wrist
    _Line(((-2, -34), (1, -12), (1, 10), (-3, 34)), 0.7, (0.5, 0.9, 0.5)),
    _Line(((-9, -34), (-7, -12), (-7, 10), (-10, 34)), 0.6, (0.3, 0.5, 0.3)),
)
_N_FINE = 9
_SAMPLES = 300


def palm_lines(points: SkinPoints, rng: np.random.Generator, detail_mm: float) -> np.ndarray:
    """(N,) depth of the lines in [0, ~1]; the caller keeps them to the palmar side."""
    off_digits = 1.0 - np.clip(1.4 * points.in_digit[:, 1:].max(1) - 0.4, 0.0, 1.0)
    palmar = np.flatnonzero((off_digits > 0) & (points.normal[:, 1] < 0.5))
    plane = points.position[palmar][:, [0, 2]] * [-1.0, 1.0]
    depth = np.zeros(len(plane))
    for line in (*_LINES, *_fine_lines(rng)):
        curve, strength = _drawn(line, rng)
        distance, nearest = cKDTree(curve).query(
            plane, distance_upper_bound=6.0 * line.width_mm + 2 * detail_mm
        )
        near = np.isfinite(distance)
        width = np.hypot(line.width_mm, 0.6 * detail_mm)
        profile = (line.width_mm / width) * np.exp(-((distance[near] / width) ** 2))
        shade = 0.22 * np.exp(-((distance[near] / (2.5 * width)) ** 2))
        depth[near] = np.maximum(depth[near], strength[nearest[near]] * (profile + shade))
    everywhere = np.zeros(len(points.position))
    everywhere[palmar] = depth * off_digits[palmar]
    return everywhere


def _drawn(line: _Line, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """(m, 2) points and (m,) strengths of one person's version of a line: shifted, bent and uneven."""
    through = (
        np.array(line.through, float) + rng.normal(0.0, 1.3, (len(line.through), 2)) + rng.normal(0, 1.2, 2)
    )
    knots = np.linspace(0.0, 1.0, len(through))
    fine = np.linspace(0.0, 1.0, _SAMPLES)
    strength = np.interp(fine, (0.0, 0.5, 1.0), line.strength) * rng.uniform(0.75, 1.1)
    uneven = np.interp(fine, np.linspace(0, 1, 14), rng.uniform(0.7, 1.2, 14))
    wobble = np.interp(fine, np.linspace(0, 1, 22), rng.normal(0.0, 0.35, 22))
    curve = Akima1DInterpolator(knots, through)(fine)
    return curve + wobble[:, None] * [0.7, -0.7], strength * uneven


def _fine_lines(rng: np.random.Generator) -> list[_Line]:
    """Short faint creases in random places, mostly across the hollow of the palm."""
    lines = []
    for _ in range(_N_FINE):
        start = rng.uniform((15.0, -32.0), (80.0, 26.0))
        angle = rng.normal(1.2, 0.7)
        step = rng.uniform(4.0, 9.0) * np.array([np.cos(angle), np.sin(angle)])
        bend = rng.normal(0.0, 1.2, 2)
        through = tuple((float(p[0]), float(p[1])) for p in (start, start + step + bend, start + 2 * step))
        lines.append(_Line(through, 0.4, (0.05, float(rng.uniform(0.2, 0.45)), 0.05)))
    return lines

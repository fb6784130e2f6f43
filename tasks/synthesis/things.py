"""What hands hold in footage: plain bodies that bear the names of the YCB objects, each of one size and one print.

They are stand-ins: boxes, cylinders, balls and bottles, about as thick as the real objects are where a hand holds them.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy.spatial import cKDTree

from tasks.geometry.surface import Cloud, sample_surface
from tasks.synthesis.objects import Kind, object_faces, outline, swept_verts_m
from tasks.synthesis.patterns import surface
from tasks.synthesis.shading import SURFACE_TEXELS
from tasks.synthesis.streams import stream

SURFACE_POINTS = 24_000
PLANE_M = 0.003
"""Samples that stand for a surface, and how far around each its plane does: few gaps between samples are wider."""


@dataclass(frozen=True)
class Thing:
    """One object."""

    name: str
    """As in ``003_cracker_box``."""
    label: int
    """1 to 21, its place in the sorted YCB-Video list."""
    kind: Kind
    radius_m: float
    half_length_m: float
    flatness: float = 1.0
    """Thickness of a box over its width."""

    @property
    def verts_m(self) -> np.ndarray:
        """(N_VERTS, 3) in its own frame, z along the axis, alike when mirrored in x."""
        return swept_verts_m(self.kind, self.radius_m, self.half_length_m, self.flatness)

    @property
    def corners_m(self) -> np.ndarray:
        """(8, 3) of its box, x slowest."""
        low, high = self.verts_m.min(axis=0), self.verts_m.max(axis=0)
        pick = np.array([[i >> 2 & 1, i >> 1 & 1, i & 1] for i in range(8)])
        return np.where(pick == 1, high, low)

    def gap_m(self, points_m: np.ndarray) -> np.ndarray:
        """(...,) of points (..., 3) in its own frame: how far outside, measured across the axis; negative inside."""
        x, y, z = np.moveaxis(points_m, -1, 0)
        half, girth = self.verts_m[:, 2].max(), self.verts_m[:, 0].max()
        across = np.hypot(x, y)
        if self.kind == "box":
            across = ((x / girth) ** 8 + (y / (girth * self.flatness)) ** 8) ** (1 / 8) * girth
        beside = across - girth * np.interp(z / half, *outline(self.kind))
        beyond = np.abs(z) - half
        return np.where(beyond > 0, np.hypot(np.maximum(beside, 0), beyond), np.maximum(beside, beyond))


_MM = 0.001
_BODIES: tuple[tuple[str, Kind, float, float, float], ...] = (
    ("002_master_chef_can", "cylinder", 38, 65, 1.0),
    ("003_cracker_box", "box", 36, 85, 0.6),
    ("004_sugar_box", "box", 27, 75, 0.6),
    ("005_tomato_soup_can", "cylinder", 33, 50, 1.0),
    ("006_mustard_bottle", "bottle", 30, 85, 1.0),
    ("007_tuna_fish_can", "cylinder", 37, 18, 1.0),
    ("008_pudding_box", "box", 34, 45, 0.45),
    ("009_gelatin_box", "box", 28, 36, 0.5),
    ("010_potted_meat_can", "box", 30, 42, 0.75),
    ("011_banana", "cylinder", 17, 85, 1.0),
    ("019_pitcher_base", "cylinder", 40, 95, 1.0),
    ("021_bleach_cleanser", "bottle", 33, 100, 1.0),
    ("024_bowl", "ball", 28, 38, 1.0),
    ("025_mug", "cylinder", 36, 42, 1.0),
    ("035_power_drill", "cylinder", 22, 80, 1.0),
    ("036_wood_block", "box", 36, 90, 1.0),
    ("037_scissors", "box", 13, 85, 0.5),
    ("040_large_marker", "cylinder", 10, 60, 1.0),
    ("051_large_clamp", "box", 15, 80, 0.6),
    ("052_extra_large_clamp", "box", 17, 90, 0.6),
    ("061_foam_brick", "box", 26, 38, 0.75),
)
"""Name, kind, radius and half length in millimetres, flatness."""
THINGS: dict[str, Thing] = {
    name: Thing(name, label, kind, radius * _MM, half * _MM, flatness)
    for label, (name, kind, radius, half, flatness) in enumerate(_BODIES, start=1)
}


def print_of(seed: int, thing: Thing) -> np.ndarray:
    """(SURFACE_TEXELS, SURFACE_TEXELS, 3) float32 sRGB: what is printed on it, the same wherever it is seen."""
    return surface(stream(seed, "things", thing.label, "surface"), SURFACE_TEXELS)


def contact(
    thing: Thing, rotation: np.ndarray, centre_m: np.ndarray, points_m: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Points (N, 3) against a posed thing: distance (N,), whether inside (N,) bool, nearest surface point (N, 3).

    The surface is its samples, moved along their planes where that is nearer: exact on flat sides, within some tenths
    of a millimetre near curved ones.
    """
    tree, cloud = _samples(thing)
    own = (points_m - centre_m) @ rotation
    nearest = tree.query(own)[1]
    sample, normal = cloud.points[nearest], cloud.normals[nearest]
    gap = own - sample
    height = (gap * normal).sum(axis=1, keepdims=True)
    across = gap - height * normal
    within = np.linalg.norm(across, axis=1, keepdims=True) < PLANE_M
    foot = sample + np.where(within, across, 0.0)
    distance = np.linalg.norm(own - foot, axis=1)
    return distance, height[:, 0] < 0, foot @ rotation.T + centre_m


@lru_cache(maxsize=len(_BODIES))
def _samples(thing: Thing) -> tuple[cKDTree, Cloud]:
    cloud = sample_surface(thing.verts_m, object_faces(), SURFACE_POINTS, seed=thing.label)
    return cKDTree(cloud.points), cloud

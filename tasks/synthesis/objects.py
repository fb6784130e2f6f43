"""Occluders: boxes, cylinders, balls and bottles, held in the hand or floating between hand and camera.

All are surfaces of one grid, an outline swept around an axis, so that a batch of different objects is one mesh.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.spatial.transform import Rotation

Kind = Literal["box", "cylinder", "ball", "bottle"]
KINDS: tuple[Kind, ...] = ("box", "cylinder", "ball", "bottle")
AROUND, ALONG = 28, 18
"""Grid of the surface; the seam's column is there twice, for texture coordinates."""
N_VERTS = (AROUND + 1) * ALONG
OCCLUDED_SHARE = 0.35
"""Of the samples that have an object."""
HELD_SHARE = 0.55
"""Of the objects; the others float in front."""
HELD_RADIUS_M = (0.010, 0.040)
HALF_LENGTH_M = (0.03, 0.10)
FLOATING_RADIUS_M = (0.012, 0.035)
FLOATING_GAP_M = (0.05, 0.16)
"""Between the hand's centre and a floating object, towards the camera."""
FLOATING_SIDE_M = 0.055
"""Standard deviation of a floating object's place across the line of sight, from a random joint."""
_PALM = (0, 5, 9, 13, 17)
_CURLED = (6, 7, 8, 10, 11, 12, 14, 15, 16, 18, 19, 20, 3, 4)
_BOTTLE = np.array(
    [(-1, 0.9), (-0.97, 1.0), (0.2, 1.0), (0.35, 0.92), (0.55, 0.45), (0.62, 0.36), (0.8, 0.34)]
)
_BOTTLE_CAP = np.array([(0.805, 0.42), (0.99, 0.42), (1.0, 0.38)])


@dataclass(frozen=True)
class ObjectDraw:
    """One object, drawn before the hand's pose is known."""

    kind: Kind
    held: bool
    tilt: np.ndarray
    """(3, 3) small rotation off the place where it would lie."""
    half_length_m: float
    radius_m: float
    flatness: float
    """Thickness of a box over its width."""
    anchor: int
    """Joint that a floating object hides."""
    side_m: np.ndarray
    """(2,)."""
    gap_m: float


def sample_object(rng: np.random.Generator) -> ObjectDraw:
    """One object."""
    held = bool(rng.random() < HELD_SHARE)
    spread = 18.0 if held else 60.0
    return ObjectDraw(
        kind=KINDS[rng.integers(len(KINDS))],
        held=held,
        tilt=Rotation.from_rotvec(rng.normal(0, spread, 3), degrees=True).as_matrix(),
        half_length_m=rng.uniform(*HALF_LENGTH_M),
        radius_m=rng.uniform(*FLOATING_RADIUS_M),
        flatness=rng.uniform(0.45, 1.0),
        anchor=int(rng.integers(21)),
        side_m=rng.normal(0, FLOATING_SIDE_M, 2),
        gap_m=rng.uniform(*FLOATING_GAP_M),
    )


def object_verts_m(draw: ObjectDraw, joints_m: np.ndarray, verts_m: np.ndarray) -> np.ndarray:
    """(N_VERTS, 3) the object beside a hand with joints (21, 3) and vertices (V, 3), in the camera frame."""
    if draw.held:
        rotation, centre, radius = held(draw.tilt, draw.half_length_m, joints_m, verts_m)
    else:
        rotation, centre, radius = _floating(draw, joints_m, verts_m)
    half = max(draw.half_length_m, radius)
    return swept_verts_m(draw.kind, radius, half, draw.flatness) @ rotation.T + centre


def held(
    tilt: np.ndarray, half_length_m: float, joints_m: np.ndarray, verts_m: np.ndarray
) -> tuple[np.ndarray, np.ndarray, float]:
    """Rotation, centre and radius of what is held: across the palm, as thick as the curl of the fingers allows."""
    across = joints_m[5] - joints_m[17]
    palm = joints_m[list(_PALM)].mean(axis=0)
    up = np.cross(joints_m[5] - joints_m[0], joints_m[17] - joints_m[0])  # out of the palm
    rotation = _frame(across, up) @ tilt
    curl = joints_m[list(_CURLED)].mean(axis=0)
    centre = 0.5 * (palm + curl) + 0.012 * up / np.linalg.norm(up)
    relative = (verts_m - centre) @ rotation
    beside = np.abs(relative[:, 2]) < half_length_m
    distance = np.linalg.norm(relative[beside, :2], axis=1) if beside.sum() > 20 else np.array([0.02])
    return rotation, centre, float(np.clip(np.quantile(distance, 0.04), *HELD_RADIUS_M))


def _floating(
    draw: ObjectDraw, joints_m: np.ndarray, verts_m: np.ndarray
) -> tuple[np.ndarray, np.ndarray, float]:
    """Between a joint and the camera."""
    target = joints_m[draw.anchor] + np.append(draw.side_m, 0.0)
    depth = verts_m[:, 2].min() - draw.gap_m
    return draw.tilt, target * depth / target[2], draw.radius_m


def _frame(z_axis: np.ndarray, y_hint: np.ndarray) -> np.ndarray:
    """(3, 3) columns x, y, z."""
    z = z_axis / np.linalg.norm(z_axis)
    x = np.cross(y_hint, z)
    x = x / np.linalg.norm(x)
    return np.stack([x, np.cross(z, x), z], axis=1)


def swept_verts_m(kind: Kind, radius: float, half_length: float, flatness: float) -> np.ndarray:
    """(N_VERTS, 3) about the origin, z along the axis; rows run from the bottom to the top."""
    height, girth = outline(kind)
    angle = 2 * np.pi * np.arange(AROUND + 1) / AROUND
    x, y = np.cos(angle), np.sin(angle)
    if kind == "box":  # a rounded square instead of a circle
        norm = (np.abs(x) ** 8 + np.abs(y) ** 8) ** (1 / 8)
        x, y = x / norm, y / norm * flatness
    scale = radius * (1.35 if kind == "ball" else 1.0)
    half = scale if kind == "ball" else half_length
    ring = np.stack([x, y], axis=1) * scale
    xy = girth[:, None, None] * ring
    z = np.broadcast_to(half * height[:, None, None], (ALONG, AROUND + 1, 1))
    return np.concatenate([xy, z], axis=2).reshape(-1, 3)


def outline(kind: Kind) -> tuple[np.ndarray, np.ndarray]:
    """Height and girth (ALONG,) in [-1, 1] and [0, 1], from pole to pole."""
    if kind == "ball":
        angle = np.linspace(-np.pi / 2, np.pi / 2, ALONG)
        return np.sin(angle), np.cos(angle)
    if kind == "bottle":
        points = np.concatenate([[(-1, 0)], _BOTTLE, _BOTTLE_CAP, [(1, 0)]])
    else:
        bevel = np.array([(-1, 0.0), (-1, 0.86), (-0.985, 0.95), (-0.95, 1.0)])
        points = np.concatenate([bevel, bevel[::-1] * [-1, 1]])
    return _resampled(points)


def _resampled(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The corners (N, 2) of an outline and points between its longest gaps, ALONG in all."""
    points = points.astype(np.float64)
    while len(points) < ALONG:
        gap = np.linalg.norm(np.diff(points, axis=0), axis=1).argmax()
        points = np.insert(points, gap + 1, (points[gap] + points[gap + 1]) / 2, axis=0)
    return points[:, 0], points[:, 1]


def object_faces() -> np.ndarray:
    """(F, 3) of the grid, outward."""
    row, column = np.meshgrid(np.arange(ALONG - 1), np.arange(AROUND), indexing="ij")
    a = (row * (AROUND + 1) + column).ravel()
    b, c = a + 1, a + AROUND + 1
    return np.concatenate([np.stack([a, b, c], axis=1), np.stack([b, c + 1, c], axis=1)])


def object_uv() -> np.ndarray:
    """(N_VERTS, 2) in [0, 1]: around, along."""
    along, around = np.meshgrid(np.linspace(0, 1, ALONG), np.linspace(0, 1, AROUND + 1), indexing="ij")
    return np.stack([around.ravel(), along.ravel()], axis=1)

"""Where on the hand a texel or a vertex is: rest position, normal, digit, and the landmarks that skin is drawn by.

Everything comes from the model's own arrays, so that the same skin can be painted on any MANO-format hand.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy.ndimage import distance_transform_edt

from tasks.hands.model_file import HandModelData
from tasks.hands.open_hand.anatomy import THUMB_DORSAL, unit
from tasks.hands.skeleton import FINGERS, JOINTS_MANO16, TIP_VERTICES

_PALM_LENGTH_MM = 88.6
"""Wrist to middle knuckle of the default open hand: coordinates are scaled to it."""


_PERIMETER_MM = 210.0
"""Around the palm: the width of the atlas."""


@dataclass(frozen=True)
class DigitFrame:
    """The bones of one digit at rest, in the coordinates of the points."""

    joints: np.ndarray
    """(4, 3) three joints and the tip."""
    along: np.ndarray
    """(3, 3) unit vectors along the bones."""
    back: np.ndarray
    """(3, 3) out of the back of each bone."""


@dataclass(frozen=True)
class SkinPoints:
    """Points of the skin of a right hand: mm, wrist joint at the origin, MANO's axes, palms of equal length."""

    position: np.ndarray
    """(N, 3)."""
    normal: np.ndarray
    """(N, 3)."""
    in_digit: np.ndarray
    """(N, 5) how far the point belongs to each digit, thumb to pinky."""
    digits: tuple[DigitFrame, ...]
    knuckles: np.ndarray
    """(4, 3) index to pinky."""

    def dorsal(self) -> np.ndarray:
        """(N,) 1 on the back of the hand and of the digits, 0 on the palmar side."""
        outward = np.tile([0.0, 1.0, 0.0], (len(self.position), 1))
        for share, digit in zip(self.in_digit.T, self.digits, strict=True):
            outward += share[:, None] * (digit.back[1] - [0.0, 1.0, 0.0])
        return 1.0 / (1.0 + np.exp(-6.0 * (self.normal * outward).sum(1)))


def vertex_points(data: HandModelData) -> SkinPoints:
    """One point per vertex of a model of either side."""
    right = data if data.side == "right" else data.mirrored()
    joints = right.J_regressor.astype(np.float64) @ right.v_template
    scale = _PALM_LENGTH_MM / np.linalg.norm(joints[4] - joints[0])
    verts, joints = (right.v_template - joints[0]) * scale, (joints - joints[0]) * scale
    tips = verts[right.tips if right.tips is not None else list(TIP_VERTICES["smplx"])]
    first = [JOINTS_MANO16.index(f"{name}_1") for name in FINGERS]
    pull = np.stack([right.weights[:, j : j + 3].sum(1) for j in first], 1)
    return SkinPoints(
        position=verts,
        normal=_vertex_normals(verts, right.faces),
        in_digit=np.clip(pull.astype(np.float64) * 1.6 - 0.3, 0.0, 1.0),
        digits=tuple(_digit_frame(k, joints[j : j + 3], tips[k]) for k, j in enumerate(first)),
        knuckles=joints[[1, 4, 10, 7]],
    )


def _digit_frame(k: int, joints: np.ndarray, tip: np.ndarray) -> DigitFrame:
    chain = np.vstack([joints, tip])
    along = unit(np.diff(chain, axis=0))
    dorsal = THUMB_DORSAL if k == 0 else np.array([0.0, 1.0, 0.0])
    return DigitFrame(chain, along, unit(dorsal - along * (along @ dorsal)[:, None]))


def _vertex_normals(verts: np.ndarray, faces: np.ndarray) -> np.ndarray:
    a, b, c = (verts[faces[:, k]] for k in range(3))
    normals = np.zeros_like(verts)
    for k in range(3):
        np.add.at(normals, faces[:, k], np.cross(b - a, c - a))
    return unit(normals)


@dataclass(frozen=True)
class Texels:
    """The texels of an atlas: the point under each one that a triangle covers, and which of them fills each texel."""

    points: SkinPoints
    detail_mm: float
    """About one texel."""
    source: np.ndarray
    """(size, size) index of the point; texels outside the charts take the nearest one, so that lookups may blur."""


@lru_cache(maxsize=4)
def atlas_texels(model: HandModelData, size: int) -> Texels:
    """The texels of a model with texture coordinates. Row 0 is the top of the image, v = 1."""
    if model.vt is None or model.ft is None:
        raise ValueError("the model has no texture coordinates")
    corners = model.vt[model.ft].astype(np.float64) * [size, -size] + [0.0, size]
    face, inside = _rasterised(corners, size)
    covered = face >= 0
    at_vertices = vertex_points(model)
    ids, share = model.faces[face[covered]], inside[covered][..., None]

    def interpolated(values: np.ndarray) -> np.ndarray:
        return (values[ids] * share).sum(1)

    points = SkinPoints(
        position=interpolated(at_vertices.position),
        normal=unit(interpolated(at_vertices.normal)),
        in_digit=interpolated(at_vertices.in_digit),
        digits=at_vertices.digits,
        knuckles=at_vertices.knuckles,
    )
    number = np.full((size, size), -1)
    number[covered] = np.arange(covered.sum())
    rows, columns = distance_transform_edt(~covered, return_distances=False, return_indices=True)
    return Texels(points, _PERIMETER_MM / size, number[rows, columns])


def _rasterised(corners: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray]:
    """(size, size) triangle under each texel's centre, -1 for none, and (size, size, 3) its barycentrics."""
    face = np.full((size, size), -1)
    inside = np.zeros((size, size, 3))
    for f, triangle in enumerate(corners):
        low = np.maximum(np.floor(triangle.min(0)).astype(int), 0)
        high = np.minimum(np.ceil(triangle.max(0)).astype(int), size)
        y, x = np.mgrid[low[1] : high[1], low[0] : high[0]] + 0.5
        (ax, ay), (bx, by), (cx, cy) = triangle
        area = (bx - ax) * (cy - ay) - (cx - ax) * (by - ay)
        first = ((bx - x) * (cy - y) - (cx - x) * (by - y)) / area
        second = ((cx - x) * (ay - y) - (ax - x) * (cy - y)) / area
        share = np.stack([first, second, 1.0 - first - second], -1)
        hit = (share >= -1e-9).all(-1)
        window = np.s_[low[1] : high[1], low[0] : high[0]]
        face[window][hit] = f
        inside[window][hit] = share[hit]
    return face, inside

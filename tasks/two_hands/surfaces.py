"""Im2Hands' protocol: sealed hands in their canonical frames, by occupancy and by distance; and how far hands overlap.

A predicted hand is measured with its wrist on the true one and in the true hand's frame, as the official generation
places it, so that its rotation counts and its place does not. Points are drawn with seeds that depend on the frame's id
and the side alone, never on how frames are batched.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple
from zlib import crc32

import numpy as np
import torch
from torch import Tensor

from tasks.errors import RequestError
from tasks.geometry.queries import near_points, uniform_points
from tasks.geometry.surface import sample_surface, seal
from tasks.hands.hand import HandModel
from tasks.metrics.chamfer import distances
from tasks.metrics.occupancy import mesh_iou
from tasks.metrics.penetration import penetration
from tasks.two_hands.canonical import UNIT_M, canonical_frame
from tasks.two_hands.dataset import SIDES
from tasks.two_hands.meshes import WRIST, regressed_joints

METRICS = ("iou", "iou_near", "cd_mm", "cd_l2_mm2", "normal_consistency")
POINTS = 100_000
HALF_SIDE = 0.55
NEAR_SIGMA = 0.01
UNIT_MM = 1000 * UNIT_M


class Solid(NamedTuple):
    """A closed mesh that winds outwards."""

    verts: Tensor
    """(V, 3) float64."""
    faces: Tensor
    """(F, 3) int64."""


def surface_columns(
    predicted_m: Tensor,
    true_m: Tensor,
    ids: Sequence[str],
    hands: Mapping[str, HandModel],
    count: int = POINTS,
) -> dict[str, Tensor]:
    """Im2Hands' numbers of B frames of vertices (B, 2, V, 3): the mean of both hands, from ``count`` points each."""
    own_joints_m, true_joints_m = (regressed_joints(v, hands) for v in (predicted_m, true_m))
    values = torch.full((len(ids), len(SIDES), len(METRICS)), torch.nan, dtype=torch.float64)
    for frame, name in enumerate(ids):
        for i, side in enumerate(SIDES):
            place, hand = canonical_frame(true_joints_m[frame, i], side), hands[side]
            own = canonical_solid(place(predicted_m[frame, i], own_joints_m[frame, i, WRIST]), hand)
            true = canonical_solid(place(true_m[frame, i], true_joints_m[frame, i, WRIST]), hand)
            measured = hand_values(own, true, seed_of(name, i), count)
            values[frame, i] = torch.tensor([measured[metric] for metric in METRICS], dtype=torch.float64)
    return dict(zip(METRICS, values.mean(dim=1).unbind(dim=1), strict=True))


def seed_of(frame: str, hand: int) -> list[int]:
    """What the points of one hand are drawn with."""
    return [crc32(frame.encode()), hand]


def canonical_solid(verts: Tensor, hand: HandModel) -> Solid:
    """A hand in the canonical frame, where every hand is a right one, with its wrist sealed."""
    closed = sealed(verts, hand)
    return closed if hand.side == "right" else Solid(closed.verts, closed.faces.flip(1))


def sealed(verts: Tensor, hand: HandModel) -> Solid:
    """The hand (V, 3) with its wrist closed. Raises RequestError for a hand model that names no wrist loop."""
    if hand.data.wrist_loop is None:
        raise RequestError(f"hand model '{hand.name}' does not say where its wrist ends: add 'wrist_loop'.")
    closed, faces = seal(verts.numpy(), hand.faces.numpy(), hand.data.wrist_loop)
    return Solid(torch.from_numpy(closed), torch.from_numpy(faces))


def hand_values(own: Solid, true: Solid, seed: Sequence[int], count: int) -> dict[str, float]:
    """One hand's numbers, both meshes in the canonical frame. NaN for a mesh that is not finite or has no area."""
    surface, own_surface = (
        sample_surface(mesh.verts.numpy(), mesh.faces.numpy(), count, [*seed, k])
        for k, mesh in enumerate((true, own))
    )
    if np.isnan(surface.points).any() or np.isnan(own_surface.points).any():
        return dict.fromkeys(METRICS, float("nan"))
    values = distances(own_surface, surface)
    return {
        "iou": mesh_iou(own, true, uniform_points(count, HALF_SIDE, [*seed, 2])),
        "iou_near": mesh_iou(own, true, near_points(surface.points, NEAR_SIGMA, [*seed, 3])),
        "cd_mm": UNIT_MM * values["l1"],
        "cd_l2_mm2": UNIT_MM**2 * values["l2"],
        "normal_consistency": values["normals"],
    }


def penetration_columns(verts_m: Tensor, hands: Mapping[str, HandModel]) -> dict[str, Tensor]:
    """Overlap of both hands (B, 2, V, 3) as they stand in the camera frame. NaN where one is missing or has no size."""
    rows: list[tuple[float, float]] = []
    for pair in verts_m:
        right, left = (sealed(verts, hands[side]) for verts, side in zip(pair, SIDES, strict=True))
        has_size = bool((pair.amax(dim=1) > pair.amin(dim=1)).all())
        rows.append(penetration(right, left) if has_size else (np.nan, np.nan))
    values = torch.tensor(rows, dtype=torch.float64).reshape(-1, 2)
    return {"penetration_cm3": values[:, 0], "penetration_mm": values[:, 1]}

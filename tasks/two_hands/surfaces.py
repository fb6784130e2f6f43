"""Im2Hands' protocol: closed hands in their canonical frames, by occupancy and by distance; and how far hands overlap.

A predicted hand is measured with its wrist on the true one and in the true hand's frame, as the official generation
places it, so that its rotation counts and its place does not. Points are drawn with seeds that depend on the frame's id
and the side alone, never on how frames are batched. A frame with a hand that is no closed mesh has no numbers.
"""

from collections.abc import Iterable, Mapping, Sequence
from zlib import crc32

import numpy as np
import torch
from torch import Tensor

from tasks.geometry.inside import contains
from tasks.geometry.queries import near_points, uniform_points
from tasks.geometry.surface import sample_surface
from tasks.hands.hand import HandModel
from tasks.metrics.chamfer import distances
from tasks.metrics.occupancy import iou
from tasks.metrics.penetration import penetration
from tasks.two_hands.canonical import UNIT_M, canonical_frame
from tasks.two_hands.dataset import SIDES
from tasks.two_hands.meshes import WRIST, regressed_joints
from tasks.two_hands.solids import PROBLEMS, Pair, Solid, sealed

METRICS = ("iou", "iou_near", "iou_mixed", "cd_mm", "cd_l2_mm2", "normal_consistency")
OVERLAP = ("penetration_cm3", "penetration_mm")
POINTS = 100_000
HALF_SIDE = 0.55
NEAR_SIGMA = 0.01
UNIT_MM = 1000 * UNIT_M


def surface_columns(
    pairs: Iterable[Pair],
    true_m: Tensor,
    ids: Sequence[str],
    hands: Mapping[str, HandModel],
    count: int = POINTS,
) -> dict[str, Tensor]:
    """Im2Hands' numbers of B frames with true vertices (B, 2, V, 3): the mean of both hands, ``count`` points each.

    Overlap, and the share of hands with each problem, beside them.
    """
    rows = [
        {**pair_values(pair, verts_m, name, hands, count), **overlap(pair), **problem_shares(pair)}
        for pair, verts_m, name in zip(pairs, true_m, ids, strict=True)
    ]
    return _columns(rows, (*METRICS, *OVERLAP, *PROBLEMS))


def penetration_columns(pairs: Iterable[Pair]) -> dict[str, Tensor]:
    """Overlap of both hands of B frames."""
    return _columns([overlap(pair) for pair in pairs], OVERLAP)


def pair_values(
    pair: Pair, true_m: Tensor, frame: str, hands: Mapping[str, HandModel], count: int
) -> dict[str, float]:
    """The mean of both hands against the true ones (2, V, 3); NaN if either cannot be measured."""
    if any(hand.problem for hand in pair) or not true_m.isfinite().all():
        return dict.fromkeys(METRICS, np.nan)
    true_joints_m = regressed_joints(true_m[None], hands)[0]
    found = []
    for i, side in enumerate(SIDES):
        place, own = canonical_frame(true_joints_m[i], side), pair[i]
        solid = mirrored(Solid(place(own.solid.verts, own.wrist_m), own.solid.faces), side)
        true = canonical_solid(place(true_m[i], true_joints_m[i, WRIST]), hands[side])
        found.append(hand_values(solid, true, seed_of(frame, i), count))
    return {name: float(np.mean([values[name] for values in found])) for name in METRICS}


def seed_of(frame: str, hand: int) -> list[int]:
    """What the points of one hand are drawn with."""
    return [crc32(frame.encode()), hand]


def canonical_solid(verts: Tensor, hand: HandModel) -> Solid:
    """A hand in the canonical frame, where every hand is a right one, with its wrist sealed."""
    return mirrored(sealed(verts, hand), hand.side)


def mirrored(mesh: Solid, side: str) -> Solid:
    """A mesh whose vertices were mirrored with the left hands, winding outwards again."""
    return mesh if side == "right" else Solid(mesh.verts, mesh.faces.flip(1))


def hand_values(own: Solid, true: Solid, seed: Sequence[int], count: int) -> dict[str, float]:
    """One hand's numbers, both meshes in the canonical frame. NaN for a mesh that is not finite or has no area."""
    surface, own_surface = (
        sample_surface(mesh.verts.numpy(), mesh.faces.numpy(), count, [*seed, k])
        for k, mesh in enumerate((true, own))
    )
    if np.isnan(surface.points).any() or np.isnan(own_surface.points).any():
        return dict.fromkeys(METRICS, float("nan"))
    uniform = uniform_points(count, HALF_SIDE, [*seed, 2])
    near = near_points(surface.points, NEAR_SIGMA, [*seed, 3])
    inside = torch.stack([contains(torch.cat([uniform, near]), *mesh) for mesh in (own, true)])
    sets = {"iou": slice(None, count), "iou_near": slice(count, None), "iou_mixed": slice(None)}
    values = distances(own_surface, surface)
    return {
        **{name: float(iou(*inside[:, None, part])) for name, part in sets.items()},
        "cd_mm": UNIT_MM * values["l1"],
        "cd_l2_mm2": UNIT_MM**2 * values["l2"],
        "normal_consistency": values["normals"],
    }


def overlap(pair: Pair) -> dict[str, float]:
    """Overlap of both hands as they stand in the camera frame. NaN where one cannot be measured."""
    if any(hand.problem for hand in pair):
        return dict.fromkeys(OVERLAP, np.nan)
    return dict(zip(OVERLAP, penetration(pair[0].solid, pair[1].solid), strict=True))


def problem_shares(pair: Pair) -> dict[str, float]:
    """For each problem the share of the two hands that have it."""
    return {name: sum(hand.problem == name for hand in pair) / len(pair) for name in PROBLEMS}


def _columns(rows: Sequence[Mapping[str, float]], names: Sequence[str]) -> dict[str, Tensor]:
    return {name: torch.tensor([row[name] for row in rows], dtype=torch.float64) for name in names}

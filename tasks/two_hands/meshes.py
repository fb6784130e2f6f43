"""Mesh errors of two hands: IntagHand's protocol, and the house's vertices about the mesh's own wrist."""

from collections.abc import Mapping

import torch
from torch import Tensor

from tasks.geometry.alignment import align_bone
from tasks.hands.hand import HandModel
from tasks.metrics import points
from tasks.two_hands.dataset import SIDES, TIPS

WRIST, MIDDLE_MCP = 0, 9


def regressed_joints(verts_m: Tensor, hands: Mapping[str, HandModel]) -> Tensor:
    """(B, 2, 21, 3) joints of (B, 2, V, 3) vertices by each side's regressor."""
    joints = [
        hands[side].joint_regressor21(TIPS).to(verts_m.dtype) @ verts_m[:, i] for i, side in enumerate(SIDES)
    ]
    return torch.stack(joints, dim=1)


def intaghand_columns(
    predicted_m: Tensor, true_m: Tensor, hands: Mapping[str, HandModel]
) -> dict[str, Tensor]:
    """Errors of joints and vertices (B, 2, V, 3) about the middle base, scaled to the true palm length and not.

    Joints are regressed from either mesh; left and right apart, and their mean. A palm of length zero has no scale, so
    NaN.
    """
    predicted_m, true_m = (torch.cat([regressed_joints(v, hands), v], dim=2) for v in (predicted_m, true_m))
    length_m = torch.linalg.vector_norm(predicted_m[:, :, MIDDLE_MCP] - predicted_m[:, :, WRIST], dim=-1)
    scaled_m = align_bone(predicted_m, true_m, root=MIDDLE_MCP, end=WRIST)
    scaled_m = torch.where((length_m > 0)[..., None, None], scaled_m, torch.nan)
    plain_m = predicted_m - predicted_m[:, :, MIDDLE_MCP, None] + true_m[:, :, MIDDLE_MCP, None]
    columns = {}
    for name, part in (("mpjpe", slice(None, 21)), ("mpvpe", slice(21, None))):
        error_mm, unscaled_mm = (
            points.mean_distance_mm(points.distances_m(p, true_m)[..., part]) for p in (scaled_m, plain_m)
        )
        columns[f"{name}_mm"] = error_mm.mean(dim=1)
        columns |= {f"{name}_{side}_mm": error_mm[:, i] for i, side in enumerate(SIDES)}
        columns[f"{name}_unscaled_mm"] = unscaled_mm.mean(dim=1)
    return columns


def wrist_relative_columns(
    predicted_m: Tensor, true_m: Tensor, has_fit: Tensor, hands: Mapping[str, HandModel]
) -> dict[str, Tensor]:
    """The house's MPVPE: vertices about the wrist that is regressed from their own mesh, mean over the fitted hands.

    A frame that lacks the mesh of a fitted hand is NaN.
    """
    relative_m = [v - regressed_joints(v, hands)[:, :, WRIST, None] for v in (predicted_m, true_m)]
    error_mm = points.mean_distance_mm(points.distances_m(*relative_m))
    total_mm = torch.where(has_fit, error_mm, 0.0).sum(dim=1)
    return {"mpvpe_mm": total_mm / has_fit.sum(dim=1)}

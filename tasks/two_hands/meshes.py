"""Mesh errors of two hands: IntagHand's protocol, Im2Hands' keypoints, the house's vertices about their own wrist."""

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


def middle_base_columns(
    joints_m: Tensor, verts_m: Tensor | None, true_m: Tensor, hands: Mapping[str, HandModel]
) -> dict[str, Tensor]:
    """Errors about each hand's middle base, unscaled, the mean of both: of predicted joints (B, 2, 21, 3) against those
    regressed from the true vertices (B, 2, V, 3), and of vertices, where there are any, about their own middle base.
    """
    true_joints_m = regressed_joints(true_m, hands)
    pairs = {"mpjpe_mm": (joints_m, joints_m, true_joints_m)}
    if verts_m is not None:
        pairs["mpvpe_mm"] = (verts_m, regressed_joints(verts_m, hands), true_m)
    columns = {}
    for name, (own_m, own_joints_m, aim_m) in pairs.items():
        moved_m = own_m - own_joints_m[:, :, MIDDLE_MCP, None] + true_joints_m[:, :, MIDDLE_MCP, None]
        columns[name] = points.mean_distance_mm(points.distances_m(moved_m, aim_m)).mean(dim=1)
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

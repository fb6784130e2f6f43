"""Joint and vertex errors, AUC and F-scores of one hand under a protocol, and the ladder of alignments.

Predictions and truth are finite, in metres, in one camera frame and one precision; row i belongs to row i.
"""

from collections.abc import Callable, Collection, Mapping

import torch
from torch import Tensor

from tasks.base import Protocol
from tasks.geometry.alignment import (
    align_bone,
    align_procrustes,
    align_rigid,
    align_similarity,
    follow_as_released,
    similarity,
)
from tasks.metrics import points
from tasks.metrics.fscore import f_scores

ROOT_JOINTS = {"wrist": 0, "index_mcp": 5, "middle_mcp": 9}
ALIGNMENTS = {"P1": align_procrustes, "P2": align_similarity}
F_THRESHOLDS_MM = (5, 15)
MESH_METRICS = frozenset(
    {"mpvpe_mm", "pa_mpvpe_mm", "abs_mpvpe_mm", "auc_verts", "rel_auc_verts", "abs_auc_verts"}
    | {f"{prefix}f{mm}" for prefix in ("", "rel_", "abs_") for mm in F_THRESHOLDS_MM}
)
ALIGNED_F = frozenset({"f5", "f15"})
UNMATCHED_METRICS = frozenset({"abs_f5", "abs_f15", "rel_f5", "rel_f15"})
"""Mesh metrics that need no correspondence of vertices."""

Table = Mapping[str, Tensor]
"""``joints_cam_m`` (B, 21, 3) and, where there are any, ``verts_cam_m`` (B, V, 3)."""


def point_columns(
    protocol: Protocol, wanted: Collection[str], predicted: Table, true: Table
) -> dict[str, Tensor]:
    """The columns (B,) of those wanted metrics that are measured on points."""
    columns = joint_columns(protocol, predicted["joints_cam_m"], true["joints_cam_m"])
    columns |= ladder_columns(predicted["joints_cam_m"], true["joints_cam_m"])
    if MESH_METRICS & set(wanted):
        columns |= mesh_columns(protocol, set(wanted), predicted, true)
    return columns


def joint_columns(protocol: Protocol, predicted_m: Tensor, true_m: Tensor) -> dict[str, Tensor]:
    """Errors and AUC of the joints (B, 21, 3): in the camera frame, about the root, bone-scaled and aligned."""
    root = ROOT_JOINTS[protocol.root_joint]
    counted = [j for j in range(true_m.shape[1]) if protocol.counts_root or j != root]
    relative_m = points.distances_m(*(p - p[:, root, None] for p in (predicted_m, true_m)))[:, counted]
    aligned = _aligned(protocol, predicted_m, true_m)
    scaled = align_bone(predicted_m, true_m, *protocol.scale_bone)
    distance_m = {
        "abs": points.distances_m(predicted_m, true_m),
        "rel": relative_m,
        "st": points.distances_m(scaled, true_m),
        "pa": points.distances_m(aligned, true_m),
    }
    mean = {kind: points.mean_distance_mm(d) for kind, d in distance_m.items()}
    area = {kind: points.auc(d, protocol.auc_from_zero) for kind, d in distance_m.items()}
    return {
        "mpjpe_mm": mean["rel"],
        "abs_mpjpe_mm": mean["abs"],
        "st_mpjpe_mm": mean["st"],
        "pa_mpjpe_mm": mean["pa"],
        "rel_auc_joints": area["rel"],
        "abs_auc_joints": area["abs"],
        "st_auc_joints": area["st"],
        "auc_joints": area["pa"],
    }


def mesh_columns(
    protocol: Protocol, wanted: Collection[str], predicted: Table, true: Table
) -> dict[str, Tensor]:
    """Errors, AUC and F-scores of the vertices: in the camera frame, about the root joint, and aligned."""
    root = ROOT_JOINTS[protocol.root_joint]
    relative = [t["verts_cam_m"] - t["joints_cam_m"][:, root, None] for t in (predicted, true)]
    verts = {"abs": (predicted["verts_cam_m"], true["verts_cam_m"]), "rel": (relative[0], relative[1])}
    matched = predicted["verts_cam_m"].shape == true["verts_cam_m"].shape
    if matched or protocol.scores_other_meshes:
        verts["pa"] = (_aligned_verts(protocol, predicted, true, matched), true["verts_cam_m"])
    columns: dict[str, Tensor] = {}
    for kind, error, prefix in (
        ("rel", "mpvpe_mm", "rel_"),
        ("abs", "abs_mpvpe_mm", "abs_"),
        ("pa", "pa_mpvpe_mm", ""),
    ):
        if matched:
            distance_m = points.distances_m(*verts[kind])
            columns[error] = points.mean_distance_mm(distance_m)
            columns[f"{prefix}auc_verts"] = points.auc(distance_m, protocol.auc_from_zero)
        if kind in verts and {f"{prefix}f{mm}" for mm in F_THRESHOLDS_MM} & set(wanted):
            columns |= _f_columns(prefix, *verts[kind])
    return columns


def ladder_columns(predicted_m: Tensor, true_m: Tensor) -> dict[str, Tensor]:
    """The mean joint error under every alignment, from none to the most forgiving one."""
    wrist, mcp = ROOT_JOINTS["wrist"], ROOT_JOINTS["middle_mcp"]
    rungs: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
        "abs": lambda p, t: p,
        "wrist": lambda p, t: p - p[:, wrist, None] + t[:, wrist, None],
        "mcp": lambda p, t: p - p[:, mcp, None] + t[:, mcp, None],
        "bone": align_bone,
        "rigid": align_rigid,
        "p2": align_similarity,
        "p1": align_procrustes,
    }
    p, t = predicted_m.double(), true_m.double()
    return {
        f"ladder_{name}_mm": points.mean_distance_mm(points.distances_m(align(p, t), t))
        for name, align in rungs.items()
    }


def _aligned(protocol: Protocol, predicted_m: Tensor, true_m: Tensor) -> Tensor:
    unit = 1000.0 if protocol.aligns_in_mm else 1.0
    return ALIGNMENTS[protocol.alignment](unit * predicted_m, unit * true_m) / unit


def _aligned_verts(protocol: Protocol, predicted: Table, true: Table, matched: bool) -> Tensor:
    joints = predicted["joints_cam_m"], true["joints_cam_m"]
    if not matched:
        return follow_as_released(predicted["verts_cam_m"], *joints)
    if protocol.mesh_follows_joints:
        return similarity(*joints)(predicted["verts_cam_m"])
    return _aligned(protocol, predicted["verts_cam_m"], true["verts_cam_m"])


def _f_columns(prefix: str, predicted_m: Tensor, true_m: Tensor) -> dict[str, Tensor]:
    thresholds_m = [mm / 1000 for mm in F_THRESHOLDS_MM]
    values = torch.from_numpy(f_scores(predicted_m.numpy(), true_m.numpy(), thresholds_m))
    return {f"{prefix}f{mm}": values[:, i] for i, mm in enumerate(F_THRESHOLDS_MM)}

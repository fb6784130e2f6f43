"""Predictions against the truth by a protocol: one column per metric, one value per sample."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from tasks.base import Protocol
from tasks.errors import RequestError
from tasks.geometry.alignment import align_procrustes, align_similarity
from tasks.metrics import points, uncertainty
from tasks.metrics.declarations import CALIBRATION_LEVELS, COVERAGE_COLUMNS, METRICS
from tasks.metrics.fscore import f_scores
from tasks.single_hand.dataset import HandDataset
from tasks.single_hand.texture import texture_columns

ALIGNMENTS = {"P1": align_procrustes, "P2": align_similarity}
ROOT_JOINTS = {"wrist": 0, "middle_mcp": 9}
F_THRESHOLDS_M = (0.005, 0.015)
SHAPES: dict[str, tuple[int, ...]] = {
    "joints_cam_m": (21, 3),
    "verts_cam_m": (778, 3),
    "joints_log_var": (21, 3),
    "verts_log_var": (778, 3),
    "vertex_rgb": (778, 3),
    "flat_rgb": (3,),
}
REQUIRED = ("joints_cam_m", "verts_cam_m")


@dataclass(frozen=True)
class Scores:
    """Per-sample columns, and the metrics that do not apply with the reason why."""

    columns: dict[str, np.ndarray]
    """Column name (see ``Metric.sample_columns``) -> (n,) float64, NaN where undefined."""
    not_applicable: dict[str, str]
    """Metric name -> reason."""


def score(
    protocol: Protocol,
    predictions: Mapping[str, np.ndarray],
    dataset: HandDataset,
    indices: Tensor,
    faces: Tensor,
) -> Scores:
    """Score the predictions for these positions of the dataset; row i of each field belongs to ``indices[i]``.

    A sample with a joint or vertex that is not finite is NaN in every column. Raises RequestError for a missing field
    or a wrong shape.
    """
    check_predictions(predictions, len(indices))
    fields = {name: torch.from_numpy(np.asarray(predictions[name], np.float64)) for name in predictions}
    truth = {name: points_m.double() for name, points_m in zip(REQUIRED, dataset.truth(indices), strict=True)}
    geometry_ok = _finite(fields["joints_cam_m"]) & _finite(fields["verts_cam_m"])
    columns = _spread(geometry_columns(protocol, *_rows(geometry_ok, fields, truth)), geometry_ok)
    not_applicable: dict[str, str] = {}

    if "verts_log_var" in fields:
        ok = geometry_ok & _finite(fields["verts_log_var"])
        columns |= _spread(uncertainty_columns(protocol, *_rows(ok, fields, truth)), ok)
    else:
        not_applicable |= dict.fromkeys(("nll", "calibration_error"), "no variances")

    ok = geometry_ok & _finite(fields.get("vertex_rgb", torch.zeros(len(indices), 1)))
    ok &= _finite(fields.get("flat_rgb", torch.zeros(len(indices), 1)))
    measured, reasons = texture_columns(_rows(ok, fields, truth)[0], dataset, indices[ok], faces)
    columns |= _spread(measured, ok)
    not_applicable |= reasons
    return _of_protocol(protocol, columns, not_applicable)


def check_predictions(predictions: Mapping[str, np.ndarray], count: int) -> None:
    """Raise RequestError unless the fields are known, the required ones there and all shapes right."""
    missing = [name for name in REQUIRED if name not in predictions]
    if missing:
        raise RequestError(f"predictions lack the field '{missing[0]}': expected {', '.join(REQUIRED)}.")
    for name, values in predictions.items():
        if name not in SHAPES:
            raise RequestError(f"unknown prediction field '{name}': expected some of {', '.join(SHAPES)}.")
        expected = (count, *SHAPES[name])
        if np.shape(values) != expected:
            raise RequestError(
                f"prediction field '{name}' has shape {np.shape(values)}: expected {expected}."
            )


def geometry_columns(
    protocol: Protocol, predicted: Mapping[str, Tensor], true: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    """Errors, AUC and F-scores of finite predictions."""
    columns: dict[str, Tensor] = {}
    align = ALIGNMENTS[protocol.alignment]
    root = ROOT_JOINTS[protocol.root_joint]
    for field, error, kind in (("joints_cam_m", "mpjpe_mm", "joints"), ("verts_cam_m", "mpvpe_mm", "verts")):
        aligned_m = align(predicted[field], true[field])
        relative = [
            points_m[field] - points_m["joints_cam_m"][:, root, None] for points_m in (predicted, true)
        ]
        raw_m, aligned_error_m = (points.distances_m(x, true[field]) for x in (predicted[field], aligned_m))
        columns[error] = points.mean_distance_mm(points.distances_m(*relative))
        columns[f"pa_{error}"] = points.mean_distance_mm(aligned_error_m)
        columns[f"abs_{error}"] = points.mean_distance_mm(raw_m)
        columns[f"auc_{kind}"] = points.auc(aligned_error_m)
        columns[f"abs_auc_{kind}"] = points.auc(raw_m)
    for prefix, verts_m in (("", aligned_m), ("abs_", predicted["verts_cam_m"])):
        values = f_scores(verts_m.numpy(), true["verts_cam_m"].numpy(), F_THRESHOLDS_M)
        columns[f"{prefix}f5"], columns[f"{prefix}f15"] = torch.from_numpy(values).unbind(dim=1)
    return columns


def uncertainty_columns(
    protocol: Protocol, predicted: Mapping[str, Tensor], true: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    """Likelihood and coverage of the wrist-relative vertices."""
    root = ROOT_JOINTS[protocol.root_joint]
    mean_m, true_m = (p["verts_cam_m"] - p["joints_cam_m"][:, root, None] for p in (predicted, true))
    log_var = predicted["verts_log_var"]
    shares = uncertainty.coverage(mean_m, log_var, true_m, CALIBRATION_LEVELS)
    nll = uncertainty.gaussian_nll(mean_m, log_var, true_m)
    return {"nll": nll, **dict(zip(COVERAGE_COLUMNS, shares.unbind(dim=1), strict=True))}


def _rows(ok: Tensor, *tables: Mapping[str, Tensor]) -> list[dict[str, Tensor]]:
    return [{name: values[ok] for name, values in table.items()} for table in tables]


def _finite(values: Tensor) -> Tensor:
    return values.flatten(1).isfinite().all(dim=1)


def _spread(columns: Mapping[str, Tensor], ok: Tensor) -> dict[str, np.ndarray]:
    """Columns of the samples that could be scored -> columns of all; NaN for the rest and for what is not finite."""
    spread = {}
    for name, values in columns.items():
        whole = np.full(len(ok), np.nan)
        whole[ok.numpy()] = torch.where(values.isfinite(), values, torch.nan).numpy()
        spread[name] = whole
    return spread


def _of_protocol(
    protocol: Protocol, columns: dict[str, np.ndarray], not_applicable: dict[str, str]
) -> Scores:
    """Only the protocol's metrics."""
    wanted = [name for name in protocol.metrics if name not in not_applicable]
    names = [column for name in wanted for column in METRICS[name].sample_columns]
    return Scores(
        {name: columns[name] for name in names},
        {name: reason for name, reason in not_applicable.items() if name in protocol.metrics},
    )

"""Predictions against the truth by a protocol: one column per metric, one value per sample."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from tasks.base import Protocol
from tasks.metrics import uncertainty
from tasks.metrics.declarations import CALIBRATION_LEVELS, COVERAGE_COLUMNS
from tasks.prediction_fields import N_VERTS, check_shapes
from tasks.registry import metrics_of
from tasks.single_hand.dataset import HandDataset
from tasks.single_hand.point_columns import (
    ALIGNED_F,
    MESH_METRICS,
    ROOT_JOINTS,
    UNMATCHED_METRICS,
    point_columns,
)
from tasks.single_hand.texture import PIXEL_METRICS, texture_columns

DTYPES = {"float64": torch.float64, "float32": torch.float32}


@dataclass(frozen=True)
class Scores:
    """Per-sample columns, and the metrics that do not apply with the reason why."""

    columns: dict[str, np.ndarray]
    """Column name (see ``Metric.needs``) -> (n,) float64, NaN where undefined."""
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

    A sample with a joint or vertex that is not finite is NaN in every column. Only what the protocol asks for is
    computed. Raises RequestError for a missing field or a wrong shape.
    """
    check_shapes(predictions, "single_hand", len(indices))
    fields = {name: torch.from_numpy(np.asarray(predictions[name], np.float64)) for name in predictions}
    joints_m, verts_m = dataset.truth(indices)
    truth = {"joints_cam_m": joints_m, "verts_cam_m": verts_m}
    absent = not_applicable(protocol, fields)
    wanted = [name for name in protocol.metrics if name not in absent]
    geometry_ok = _finite(fields["joints_cam_m"]) & _finite(fields.get("verts_cam_m", fields["joints_cam_m"]))

    dtype = DTYPES[protocol.precision]
    pair = [{n: v.to(dtype) for n, v in table.items()} for table in _rows(geometry_ok, fields, truth)]
    columns = _spread(point_columns(protocol, wanted, *pair), geometry_ok)
    if "nll" in wanted:
        ok = geometry_ok & _finite(fields["verts_log_var"])
        columns |= _spread(uncertainty_columns(protocol, *_rows(ok, fields, truth)), ok)
    if PIXEL_METRICS & set(wanted):
        ok = geometry_ok & _finite(fields["vertex_rgb"])
        ok &= _finite(fields.get("flat_rgb", torch.zeros(len(indices), 1)))
        measured, reasons = texture_columns(_rows(ok, fields)[0], dataset, indices[ok], faces)
        columns |= _spread(measured, ok)
        absent |= {name: reason for name, reason in reasons.items() if name in protocol.metrics}

    metrics = metrics_of(protocol)
    names = [column for name in wanted if name not in absent for column in metrics[name].needs]
    return Scores({name: columns[name] for name in names}, absent)


def not_applicable(protocol: Protocol, fields: Mapping[str, Tensor]) -> dict[str, str]:
    """Why a metric of the protocol cannot be measured on predictions with these fields."""
    reasons: dict[str, str] = {}
    n_verts = fields["verts_cam_m"].shape[1] if "verts_cam_m" in fields else 0
    if not n_verts:
        reasons |= dict.fromkeys(MESH_METRICS, "no vertices")
    elif n_verts != N_VERTS:
        measured = UNMATCHED_METRICS | (ALIGNED_F if protocol.scores_other_meshes else frozenset())
        reasons |= dict.fromkeys(MESH_METRICS - measured, f"{n_verts} vertices, not MANO's {N_VERTS}")
    whole = n_verts == N_VERTS
    if not (whole and "verts_log_var" in fields):
        reasons |= dict.fromkeys(("nll", "calibration_error"), "no variances")
    if not (whole and "vertex_rgb" in fields):
        reasons |= dict.fromkeys(PIXEL_METRICS, "no texture head")
    return {name: reasons[name] for name in protocol.metrics if name in reasons}


def uncertainty_columns(
    protocol: Protocol, predicted: Mapping[str, Tensor], true: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    """Likelihood and coverage of the root-relative vertices."""
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

"""A clip's prediction against its truth by DiffHOI's protocols: one value per metric and clip."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch

from tasks.base import Protocol
from tasks.errors import unknown_name
from tasks.hand_object.clip import HAND_FIELDS, OBJECT_FIELDS, POSE_FIELD, ClipTruth, check_prediction
from tasks.hand_object.objects import in_hand_values, registered_values
from tasks.metrics.points import acceleration_error_mm
from tasks.registry import metrics_of
from tasks.single_hand.point_columns import MESH_METRICS, ROOT_JOINTS, point_columns
from tasks.single_hand.scoring import Scores

Fields = Mapping[str, np.ndarray]
ACCELERATION = "acceleration_error_mm"


def score(protocol: Protocol, prediction: Fields, truth: ClipTruth) -> Scores:
    """Score one clip; every column is (1,), so that clips are joined as samples are.

    What the truth does not know is left out; a clip that lacks the prediction of a frame which is known is NaN, as is
    one whose mesh is empty. Raises RequestError for a protocol of another task and for a bad prediction.
    """
    if protocol.name not in PROTOCOL_VALUES:
        raise unknown_name("protocol of hand_object", protocol.name, PROTOCOL_VALUES)
    fields = check_prediction(prediction, len(truth))
    absent = not_applicable(protocol, fields)
    metrics = metrics_of(protocol)
    wanted = [name for name in protocol.metrics if name not in absent]
    values = PROTOCOL_VALUES[protocol.name](protocol, wanted, fields, truth)
    names = [column for name in wanted for column in metrics[name].needs]
    return Scores({name: _column(values[name]) for name in names}, absent)


def not_applicable(protocol: Protocol, fields: Fields) -> dict[str, str]:
    """Why a metric of the protocol cannot be measured on a prediction with these fields."""
    reasons: dict[str, str] = {}
    for name in protocol.metrics:
        for field in _fields_of(protocol, name):
            if field not in fields:
                reasons.setdefault(name, _REASONS[field])
    return reasons


def hand_values(
    protocol: Protocol, wanted: Sequence[str], fields: Fields, truth: ClipTruth
) -> dict[str, float]:
    """HO-3D's numbers relative to the index base, the mean over the frames that the truth knows."""
    true = {name: getattr(truth, name) for name in HAND_FIELDS}
    known = np.isfinite(true["joints_cam_m"]).all((1, 2)) & np.isfinite(true["verts_cam_m"]).all((1, 2))
    own = {name: fields[name][known] for name in HAND_FIELDS if name in fields}
    if not wanted or not known.any() or not all(np.isfinite(values).all() for values in own.values()):
        return dict.fromkeys(wanted, np.nan)
    tables = [
        {name: torch.from_numpy(table[name]) for name in own}
        for table in (own, {name: true[name][known] for name in own})
    ]
    columns = point_columns(protocol, wanted, *tables)
    values = {name: float(column.mean()) for name, column in columns.items()}
    root = ROOT_JOINTS[protocol.root_joint]
    relative = [
        j - j[:, root, None] for j in map(torch.from_numpy, (fields["joints_cam_m"], truth.joints_cam_m))
    ]
    return values | {ACCELERATION: float(acceleration_error_mm(*relative))}


def object_values(
    protocol: Protocol, wanted: Sequence[str], fields: Fields, truth: ClipTruth
) -> dict[str, float]:
    """The object after registration, and in the hand frame without any."""
    values: dict[str, float] = {}
    if any(name.startswith("object_") for name in wanted):
        values |= registered_values(fields, truth)
    if any(name.startswith("hand_object_") for name in wanted):
        values |= in_hand_values(fields, truth)
    return values


def _fields_of(protocol: Protocol, metric: str) -> tuple[str, ...]:
    if protocol.name == "diffhoi_object":
        return (*OBJECT_FIELDS, POSE_FIELD) if metric.startswith("hand_object_") else OBJECT_FIELDS
    return HAND_FIELDS if metric in MESH_METRICS else HAND_FIELDS[:1]


def _column(value: float) -> np.ndarray:
    return np.array([value if np.isfinite(value) else np.nan])


PROTOCOL_VALUES: dict[str, Callable[[Protocol, Sequence[str], Fields, ClipTruth], dict[str, float]]] = {
    "diffhoi_object": object_values,
    "diffhoi_hand": hand_values,
}
_REASONS = {
    **dict.fromkeys(OBJECT_FIELDS, "no object mesh"),
    POSE_FIELD: "no object poses",
    "joints_cam_m": "no joints",
    "verts_cam_m": "no vertices",
}

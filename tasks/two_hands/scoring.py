"""Predictions of two hands against the truth by a protocol: one column per metric, one value per frame.

Every column has a value for every frame. Frames that a protocol does not score are NaN and are no failures: beside each
metric stands a column of ones and zeros (``Metric.where``) that names the frames it is about.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from tasks.base import Protocol
from tasks.errors import unknown_name
from tasks.hands.hand import HandModel
from tasks.protocols import HAS_BOTH_WRISTS, HAS_FIT, IS_INTERACTING, IS_SCORED
from tasks.ragged import Fields
from tasks.registry import metrics_of
from tasks.single_hand.scoring import Scores
from tasks.two_hands.dataset import TwoHandDataset, TwoHandTruth
from tasks.two_hands.joints import house_columns, interhand26m_columns, relative_columns
from tasks.two_hands.meshes import intaghand_columns, middle_base_columns, wrist_relative_columns
from tasks.two_hands.prediction import TwoHandPrediction
from tasks.two_hands.solids import PROBLEMS, Pair, predicted_pair
from tasks.two_hands.surfaces import METRICS as SHAPE_METRICS
from tasks.two_hands.surfaces import OVERLAP, penetration_columns, surface_columns

Columns = dict[str, Tensor]


@dataclass(frozen=True)
class Case:
    """What a protocol's columns are computed from."""

    dataset: TwoHandDataset
    indices: Tensor
    """(B,) int64."""
    predicted: TwoHandPrediction
    hands: Mapping[str, HandModel]

    @cached_property
    def truth(self) -> TwoHandTruth:
        """The annotations."""
        return self.dataset.truth(self.indices)

    @cached_property
    def pairs(self) -> Tensor:
        """(B,) bool: the frames that IntagHand's preparation keeps."""
        kept = self.truth.fitted_pair
        kept[kept.clone()] = ~self.dataset.dark(self.indices[kept])
        return kept

    def meshes(self, rows: Tensor) -> tuple[Tensor, Tensor] | None:
        """Predicted and true vertices of these frames (B,) bool, where the prediction has any."""
        if self.predicted.verts_cam_m is None:
            return None
        return self.predicted.verts_cam_m[rows], self.dataset.true_verts(self.indices[rows])

    def solids(self, rows: Tensor) -> Iterator[Pair]:
        """The closed meshes of these frames (B,) bool, one pair at a time."""
        frames = torch.nonzero(rows).flatten().tolist()
        return (predicted_pair(self.predicted, frame, self.hands) for frame in frames)


def score(
    protocol: Protocol,
    predictions: Fields,
    dataset: TwoHandDataset,
    indices: Tensor,
    hands: Mapping[str, HandModel],
) -> Scores:
    """Score the predictions for these positions of the dataset; row i of each field belongs to ``indices[i]``.

    A hand with a coordinate that is not finite is missing, and a frame that misses a hand which the protocol scores is
    NaN. Raises RequestError for a protocol of another task, a missing field or a wrong shape.
    """
    if protocol.name not in PROTOCOL_COLUMNS:
        raise unknown_name("protocol of two_hands", protocol.name, PROTOCOL_COLUMNS)
    predicted = TwoHandPrediction.of(predictions, len(indices))
    absent = not_applicable(protocol, predicted)
    columns = PROTOCOL_COLUMNS[protocol.name](Case(dataset, indices, predicted, hands))
    metrics = metrics_of(protocol)
    names = [column for name in protocol.metrics if name not in absent for column in metrics[name].needs]
    return Scores({name: _defined(columns[name]) for name in names}, absent)


def not_applicable(protocol: Protocol, predicted: TwoHandPrediction) -> dict[str, str]:
    """Why a metric of the protocol cannot be measured on such a prediction."""
    reasons: dict[str, str] = {}
    if predicted.verts_cam_m is None:
        own = () if protocol.name != "intaghand" else ("mpjpe_mm", *_sided("mpjpe"))
        why = "no vertices" if predicted.surfaces is None else "no vertices of the hand model"
        reasons |= dict.fromkeys((*VERTEX_METRICS, *own), why)
    if not predicted.has_meshes:
        reasons |= dict.fromkeys(SURFACE_METRICS, "no vertices")
    if predicted.handedness is None:
        reasons["handedness_accuracy"] = "no handedness"
    return {name: reasons[name] for name in protocol.metrics if name in reasons}


def _interhand26m(case: Case) -> Columns:
    return interhand26m_columns(case.truth, case.predicted)


def _house_two_hands(case: Case) -> Columns:
    columns = house_columns(case.truth, case.predicted)
    fitted, both = case.truth.has_fit.any(dim=1), columns[IS_INTERACTING] > 0
    if meshes := case.meshes(fitted):
        columns |= _spread(wrist_relative_columns(*meshes, case.truth.has_fit[fitted], case.hands), fitted)
    if case.predicted.has_meshes:
        columns |= _spread(penetration_columns(case.solids(both)), both)
    return columns | {HAS_FIT: fitted.double()}


def _intaghand(case: Case) -> Columns:
    columns = _pair_columns(case)
    if meshes := case.meshes(case.pairs):
        columns |= _spread(intaghand_columns(*meshes, case.hands), case.pairs)
    return columns


def _im2hands(case: Case) -> Columns:
    columns, predicted, rows = _pair_columns(case), case.predicted, case.pairs
    true_m = case.dataset.true_verts(case.indices[rows])
    own_m = None if predicted.verts_cam_m is None else predicted.verts_cam_m[rows]
    columns |= _spread(middle_base_columns(predicted.joints_cam_m[rows], own_m, true_m, case.hands), rows)
    if predicted.has_meshes:
        ids = case.dataset.ids_at(case.indices[rows])
        columns |= _spread(surface_columns(case.solids(rows), true_m, ids, case.hands), rows)
    return columns


def _pair_columns(case: Case) -> Columns:
    """What protocols on fitted pairs have in common: which frames they are, and MRRPE on those."""
    columns = relative_columns(case.truth, case.predicted)
    columns[HAS_BOTH_WRISTS] *= case.pairs
    columns["mrrpe_mm"] = torch.where(case.pairs, columns["mrrpe_mm"], torch.nan)
    return columns | {IS_SCORED: case.pairs.double()}


def _spread(columns: Columns, rows: Tensor) -> Columns:
    """Columns of some frames -> columns of all, NaN for the rest."""
    spread = {}
    for name, values in columns.items():
        spread[name] = torch.full((len(rows),), torch.nan, dtype=torch.float64)
        spread[name][rows] = values.double()
    return spread


def _defined(values: Tensor) -> np.ndarray:
    return torch.where(values.isfinite(), values, torch.nan).numpy()


def _sided(error: str) -> tuple[str, ...]:
    return tuple(f"{error}_{suffix}_mm" for suffix in ("left", "right", "unscaled"))


PROTOCOL_COLUMNS: dict[str, Callable[[Case], Columns]] = {
    "interhand26m": _interhand26m,
    "intaghand": _intaghand,
    "im2hands": _im2hands,
    "house_two_hands": _house_two_hands,
}
VERTEX_METRICS = ("mpvpe_mm", *_sided("mpvpe"))
SURFACE_METRICS = (*SHAPE_METRICS, *OVERLAP, *PROBLEMS)

"""Joint protocols: InterHand2.6M's own and the strict house one. Truth is never changed."""

import torch
from torch import Tensor

from tasks.metrics import points
from tasks.metrics.two_hands import handedness_is_right, mrrpe_mm
from tasks.protocols import (
    HAS_BOTH_WRISTS,
    HAS_HAND_TYPE,
    IS_INTERACTING,
    IS_SCORED,
    IS_SINGLE,
    JOINT_ERRORS,
)
from tasks.two_hands.dataset import TwoHandTruth
from tasks.two_hands.prediction import TwoHandPrediction

WRIST = 0


def interhand26m_columns(truth: TwoHandTruth, predicted: TwoHandPrediction) -> dict[str, Tensor]:
    """The error of every valid joint about its own hand's wrist, MRRPE, handedness, and what frames they are about."""
    valid = valid_joints(truth)
    error_mm = joint_errors_mm(truth, predicted, valid)
    return {
        **dict(zip(JOINT_ERRORS, error_mm.flatten(1).unbind(dim=1), strict=True)),
        **kinds(truth, valid),
        **relative_columns(truth, predicted),
    }


def house_columns(truth: TwoHandTruth, predicted: TwoHandPrediction) -> dict[str, Tensor]:
    """A frame's mean over the valid joints of both hands that are no wrists; MRRPE and handedness as above."""
    valid = valid_joints(truth)
    valid[..., WRIST] = False
    mean_mm = joint_errors_mm(truth, predicted, valid).flatten(1).nanmean(dim=1)
    frames = kinds(truth, valid)
    return {
        "mpjpe_mm": mean_mm,
        "mpjpe_single_mm": torch.where(frames[IS_SINGLE] > 0, mean_mm, torch.nan),
        "mpjpe_interacting_mm": torch.where(frames[IS_INTERACTING] > 0, mean_mm, torch.nan),
        **frames,
        **relative_columns(truth, predicted),
    }


def valid_joints(truth: TwoHandTruth) -> Tensor:
    """(B, 2, 21) bool: a joint counts if it is valid and its hand's wrist is."""
    return truth.joint_valid & truth.joint_valid[..., WRIST, None]


def joint_errors_mm(truth: TwoHandTruth, predicted: TwoHandPrediction, valid: Tensor) -> Tensor:
    """(B, 2, 21): distance of the valid joints, each hand relative to its own wrist; NaN for the others.

    A frame that lacks the prediction of a valid joint is NaN as a whole, so that no hand can be left out for a gain.
    """
    relative_m = [j - j[..., WRIST, None, :] for j in (predicted.joints_cam_m, truth.joints_cam_m)]
    error_mm = 1000 * torch.where(valid, points.distances_m(*relative_m), torch.nan)
    whole = (error_mm.isfinite() | ~valid).flatten(1).all(dim=1)
    return torch.where(whole[:, None, None], error_mm, torch.nan)


def kinds(truth: TwoHandTruth, valid: Tensor) -> dict[str, Tensor]:
    """Which frames have a joint to score, and how many hands those show."""
    scored = valid.flatten(1).any(dim=1)
    return {
        IS_SCORED: scored.double(),
        IS_SINGLE: (scored & ~truth.interacting).double(),
        IS_INTERACTING: (scored & truth.interacting).double(),
    }


def relative_columns(truth: TwoHandTruth, predicted: TwoHandPrediction) -> dict[str, Tensor]:
    """MRRPE over interacting frames with both wrists valid; handedness where the hand type is."""
    true_roots_m = truth.joints_cam_m[:, :, WRIST]
    both = has_both_wrists(truth)
    error_mm = mrrpe_mm(predicted.relative_root_m, true_roots_m[:, 1] - true_roots_m[:, 0])
    columns = {
        "mrrpe_mm": torch.where(both, error_mm, torch.nan),
        HAS_BOTH_WRISTS: both.double(),
        HAS_HAND_TYPE: truth.hand_type_valid.double(),
    }
    if predicted.handedness is not None:
        told = handedness_is_right(predicted.handedness, truth.has_hand)
        columns["handedness_accuracy"] = torch.where(truth.hand_type_valid, told, torch.nan)
    return columns


def has_both_wrists(truth: TwoHandTruth) -> Tensor:
    """(B,) bool: interacting frames with both wrists valid."""
    return truth.interacting & truth.joint_valid[..., WRIST].all(dim=1)

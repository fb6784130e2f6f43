"""DIGIT's losses.

Errors are in cells, and means run over all entries, those that do not count among them as zeros, as in the released
code: a frame with one hand weighs half.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from methods.baselines.digit.config import LossWeights
from methods.baselines.digit.model import DigitOutput
from methods.baselines.digit.parts import PartPainter
from methods.baselines.digit.space import CELLS, DEPTH_M, WRIST, crop_width_m, to_cells
from tasks.hands.skeleton import BONES

Terms = dict[str, Tensor]
SURE_JOINTS = 30
"""The annotation trusts the type of an interacting frame that has more valid joints."""


@dataclass(frozen=True)
class Targets:
    """What a batch says of the outputs, in their units, and where it says something."""

    joints: Tensor
    """(B, 2, 21, 3) cells."""
    joint_valid: Tensor
    """(B, 2, 21) bool: valid, in the crop, within the depth range."""
    relative_root: Tensor
    """(B,) cells."""
    root_valid: Tensor
    """(B,) bool: both wrists are valid, within the depth range of each other."""
    handedness: Tensor
    """(B, 2) 0 or 1."""
    handedness_valid: Tensor
    """(B,) bool."""
    log_crop_width: Tensor
    """(B, 2)."""
    wrist_valid: Tensor
    """(B, 2) bool."""

    @classmethod
    def of(cls, batch: Any) -> "Targets":
        """The targets of a ``TwoHandBatch``."""
        side, intrinsics_px = batch.image.shape[-1], batch.intrinsics_px
        before_camera = batch.joint_valid & (batch.joints_cam_m[..., 2] > 0)
        wrist_valid = before_camera[..., WRIST]
        ahead = batch.joints_cam_m.new_tensor([0.0, 0.0, 1.0])
        joints_cam_m = torch.where(before_camera[..., None], batch.joints_cam_m, ahead)
        joints = to_cells(joints_cam_m, intrinsics_px, side)
        inside = ((joints[..., :2] >= 0) & (joints[..., :2] < CELLS)).all(-1)
        near = joints[..., 2].abs() < CELLS / 2
        depth_m = joints_cam_m[..., WRIST, 2]
        relative_root = (depth_m[:, 1] - depth_m[:, 0]) * (CELLS / DEPTH_M)
        both = batch.has_hand.all(1)
        return cls(
            joints=joints,
            joint_valid=before_camera & wrist_valid[..., None] & inside & near,
            relative_root=relative_root,
            root_valid=both & wrist_valid.all(1) & (relative_root.abs() < CELLS / 2),
            handedness=batch.has_hand.to(joints.dtype),
            handedness_valid=~both | (batch.joint_valid.flatten(1).sum(1) > SURE_JOINTS),
            log_crop_width=crop_width_m(depth_m, intrinsics_px, side).log(),
            wrist_valid=wrist_valid,
        )


def digit_loss(out: DigitOutput, batch: Any, paint: PartPainter, weights: LossWeights) -> Terms:
    """The weighted terms and their ``total``."""
    truth = Targets.of(batch)
    terms = {
        "joints": joint_error(out.joints, truth.joints, truth.joint_valid),
        "relative_root": _masked_mean((out.relative_root - truth.relative_root).abs(), truth.root_valid),
        "handedness": handedness_error(out.handedness, truth.handedness, truth.handedness_valid),
        "segmentation": segmentation_error(out.segmentation, *part_labels(batch, paint, out.segmentation)),
        "bones": bone_error(out.joints, truth.joints, truth.joint_valid),
        "crop_width": _masked_mean((out.log_crop_width - truth.log_crop_width).abs(), truth.wrist_valid),
    }
    weighted = {name: getattr(weights, name) * term for name, term in terms.items()}
    return {"total": torch.stack(list(weighted.values())).sum(), **weighted}


def joint_error(joints: Tensor, true: Tensor, valid: Tensor) -> Tensor:
    """Mean absolute error of (B, 2, 21, 3), joints that are not valid counted as zero."""
    return _masked_mean((joints - true).abs(), valid[..., None])


def bone_error(joints: Tensor, true: Tensor, valid: Tensor) -> Tensor:
    """Squared error of the bone vectors, the mean over each hand's, summed over the hands."""
    parents, children = (list(ends) for ends in zip(*BONES, strict=True))
    difference = (joints - true)[:, :, children] - (joints - true)[:, :, parents]
    valid = valid[:, :, children] & valid[:, :, parents]
    return 2 * _masked_mean(difference.square(), valid[..., None])


def handedness_error(logits: Tensor, true: Tensor, valid: Tensor) -> Tensor:
    """Binary cross-entropy of (B, 2)."""
    error = F.binary_cross_entropy_with_logits(logits, true, reduction="none")
    return _masked_mean(error, valid[:, None])


def segmentation_error(logits: Tensor, labels: Tensor, valid: Tensor) -> Tensor:
    """Cross-entropy of (B, 33, h, w) over pixels, of the valid (B,) images."""
    return _masked_mean(F.cross_entropy(logits, labels, reduction="none"), valid[:, None, None])


def part_labels(batch: Any, paint: PartPainter, like: Tensor) -> tuple[Tensor, Tensor]:
    """Labels at the resolution of ``like`` (B, 33, h, h), and (B,) bool: every hand that is there has a fit."""
    labels = paint(batch.verts_cam_m, batch.intrinsics_px, batch.image.shape[-1], like.shape[-1])
    return labels, (batch.has_fit == batch.has_hand).all(1)


def _masked_mean(errors: Tensor, valid: Tensor) -> Tensor:
    return torch.where(valid, errors, 0.0).mean()

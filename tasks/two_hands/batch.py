"""The typed batch of the two-hand task."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

import torch
from torch import Tensor


@dataclass(frozen=True)
class Queries:
    """Labelled points about each hand, in its canonical frame (``tasks.two_hands.canonical``), in units of 0.4 m."""

    points: Tensor
    """(B, 2, N, 3) float32."""
    occupied: Tensor
    """(B, 2, N) bool: inside the true, sealed hand."""

    def to(self, device: torch.device | str) -> Queries:
        return Queries(self.points.to(device, non_blocking=True), self.occupied.to(device, non_blocking=True))


@dataclass(frozen=True)
class TwoHandBatch:
    """B crops around both hands with their labels, all on one device. Hands are right, then left.

    Joints are finger-major with the wrist first, points in metres in the OpenCV camera frame. Pixel (0, 0) covers
    [0, 1) x [0, 1) of the crop. What is not there is 0, and a flag says so; no tensor holds a NaN.
    """

    image: Tensor
    """(B, 3, S, S) float32, sRGB in [0, 1]; black outside the camera's image."""
    intrinsics_px: Tensor
    """(B, 3, 3) float32, of the crop."""
    joints_cam_m: Tensor
    """(B, 2, 21, 3) float32, annotated."""
    joint_valid: Tensor
    """(B, 2, 21) bool: annotated, inside the image, and the hand's wrist is valid."""
    has_hand: Tensor
    """(B, 2) bool: the hands that the frame's type names."""
    verts_cam_m: Tensor
    """(B, 2, V, 3) float32, of the MANO fits."""
    has_fit: Tensor
    """(B, 2) bool."""
    keypoints_cam_m: Tensor
    """(B, 2, 21, 3) float32: what a method that is driven by keypoints is given. The joints of the fits (of the
    annotation, where there is no fit), unless another method's predictions were put in their place."""
    has_keypoints: Tensor
    """(B, 2) bool."""
    true_keypoints_cam_m: Tensor
    """(B, 2, 21, 3) float32: the same of the truth, whatever a method is given."""
    index: Tensor
    """(B,) int64: position in the dataset."""
    queries: Queries | None = None
    """What a stage draws about each hand (``Stage.prepare``)."""
    derived: Mapping[str, Tensor] = field(default_factory=dict)
    """What a stage had worked out of every sample beforehand (``Stage.derive``), (B, ...) each."""

    def __len__(self) -> int:
        return len(self.index)

    def to(self, device: torch.device | str) -> TwoHandBatch:
        """The same batch on another device; copies are asynchronous where the memory is pinned."""
        return replace(self, **{f.name: _moved(getattr(self, f.name), device) for f in fields(self)})


def _moved(value: Any, device: torch.device | str) -> Any:
    if isinstance(value, Mapping):
        return {name: tensor.to(device, non_blocking=True) for name, tensor in value.items()}
    if isinstance(value, Tensor):
        return value.to(device, non_blocking=True)
    return value.to(device) if value is not None else None

"""AMVUR's cameras: weak perspective, or a pinhole with known or predicted intrinsics (sheet 2.5)."""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from methods.layers.camera import (
    decode_camera,
    normalised_intrinsics,
    project_pinhole,
    project_weak_perspective,
    released_log_var,
)
from methods.layers.gaussian import Gaussian
from methods.layers.heads import head
from tasks.geometry.cameras import weak_to_translation

CameraKind = Literal["weak_perspective", "known_intrinsics", "predicted_intrinsics"]
INTRINSICS_START = (1.0, 0.25, 1.0, 0.25)
"""(fx, cx, fy, cy) over twice the image side: a FreiHAND crop's."""
START_DEPTH_M = 0.65


def four_intrinsics(intrinsics_px: Tensor, image_size_px: int) -> Tensor:
    """(B, 3, 3) pixels -> (B, 4), (fx, cx, fy, cy) over twice the image side, the form that is regressed."""
    return intrinsics_px[:, (0, 0, 1, 1), (0, 2, 1, 2)] / (2 * image_size_px)


@dataclass(frozen=True)
class Camera:
    """What one forward pass believes about the camera."""

    kind: CameraKind
    image_size_px: int
    wrist_cam_m: Tensor
    """(B, 3)."""
    intrinsics_px: Tensor
    """(B, 3, 3), known."""
    weak: Tensor | None = None
    """(B, 3): s, tx, ty."""
    intrinsics: Gaussian | None = None
    """(B, 4), predicted."""

    def project(self, points: Gaussian, intrinsics: Tensor | None = None) -> Gaussian:
        """Wrist-relative points (B, N, 3) -> [-1, 1] image units (B, N, 2), variances propagated.

        ``intrinsics`` (B, 4), e.g. a sample, replaces the mean of predicted ones.
        """
        if self.weak is not None and self.kind == "weak_perspective":
            return project_weak_perspective(points, self.weak)
        points_cam = Gaussian(points.mean + self.wrist_cam_m[:, None], points.log_var)
        if self.intrinsics is None:
            focal, centre = normalised_intrinsics(self.intrinsics_px, self.image_size_px)
        else:
            four = self.intrinsics.mean if intrinsics is None else intrinsics
            focal, centre = 4 * four[:, 0::2], 4 * four[:, 1::2] - 1
        return project_pinhole(points_cam, focal, centre)


class CameraNet(nn.Module):
    """Head on the global vector; with ``predicted_intrinsics`` also translation and four intrinsics."""

    def __init__(
        self,
        kind: CameraKind,
        features: int,
        hidden: int,
        activation: bool,
        image_size_px: int,
        probabilistic: bool,
    ) -> None:
        super().__init__()
        self.kind, self.image_size_px = kind, image_size_px

        def small_head(outputs: int, start: tuple[float, ...] | None = None) -> nn.Sequential:
            return head(features, hidden, outputs, activation, std=0.001, start=start)

        if kind != "predicted_intrinsics":
            self.weak = small_head(3)
            return
        self.translation = small_head(3, (0.0, 0.0, START_DEPTH_M))
        self.intrinsics = small_head(4, INTRINSICS_START)
        self.intrinsics_log_var = small_head(4) if probabilistic else None

    def forward(self, features: Tensor, intrinsics_px: Tensor) -> Camera:
        """Features (B, F), the crop's known intrinsics (B, 3, 3) pixels."""
        if self.kind != "predicted_intrinsics":
            weak = decode_camera(self.weak(features))
            wrist = weak_to_translation(weak, intrinsics_px, self.image_size_px)
            return Camera(self.kind, self.image_size_px, wrist, intrinsics_px, weak=weak)
        log_var = None if self.intrinsics_log_var is None else self.intrinsics_log_var(features)
        four = self.intrinsics(features)
        four = torch.stack([four[:, 0].abs(), four[:, 1], four[:, 2].abs(), four[:, 3]], 1)
        return Camera(
            self.kind, self.image_size_px, self.translation(features), intrinsics_px,
            intrinsics=Gaussian(four, log_var),
        )  # fmt: skip


class ReleasedVariance2D(nn.Module):
    """The released 2D log-variances, by name ``variance_2d: released``.

    Weak perspective: P's log-variances go through a learned "variance camera" as if they were points, Q's through the
    linear rule. Pinhole: the delta method's log-variance in pixels is divided by the image side.
    """

    def __init__(
        self, kind: CameraKind, features: int, hidden: int, activation: bool, with_prior: bool
    ) -> None:
        super().__init__()
        self.camera = None
        if kind == "weak_perspective" and with_prior:
            self.camera = head(features, hidden, 3, activation)

    def forward(
        self, features: Tensor, points: Gaussian, projected: Gaussian, camera: Camera, prior: bool
    ) -> Gaussian:
        if camera.kind != "weak_perspective":
            return released_log_var(projected, camera.image_size_px)
        if self.camera is None or not prior:
            return projected
        assert points.log_var is not None
        variance_camera = self.camera(features)[:, None]
        log_var = variance_camera[..., :1].abs() * (points.log_var[..., :2] + variance_camera[..., 1:])
        return Gaussian(projected.mean, log_var)

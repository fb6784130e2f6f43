"""The typed batch of the single-hand task."""

from dataclasses import dataclass, fields, replace

import torch
from torch import Tensor


@dataclass(frozen=True)
class HandBatch:
    """B images of right hands with their labels, all on one device.

    Joints are finger-major with the wrist first, points in metres in the OpenCV camera frame. Pixel (0, 0) covers
    [0, 1) x [0, 1) of the **resized** image.
    """

    image: Tensor
    """(B, 3, S, S) float32, sRGB in [0, 1]."""
    intrinsics_px: Tensor
    """(B, 3, 3) float32, of the resized image."""
    joints_cam_m: Tensor
    """(B, 21, 3) float32."""
    verts_cam_m: Tensor
    """(B, 778, 3) float32."""
    joints_px: Tensor
    """(B, 21, 2) float32, the projection of ``joints_cam_m`` by ``intrinsics_px``."""
    hand_mask: Tensor
    """(B, S, S) bool, the hand's own pixels; all False where ``has_mask`` is False."""
    has_mask: Tensor
    """(B,) bool: whether the layout stores a mask for the image."""
    pose_aa: Tensor
    """(B, 48) float32: global rotation and 45 hand angles, ``hands_mean`` still to be added to the latter."""
    betas: Tensor
    """(B, 10) float32."""
    index: Tensor
    """(B,) int64: position in the dataset."""

    def __len__(self) -> int:
        return len(self.index)

    def to(self, device: torch.device | str) -> "HandBatch":
        """The same batch on another device; copies are asynchronous where the memory is pinned."""
        return replace(
            self, **{f.name: getattr(self, f.name).to(device, non_blocking=True) for f in fields(self)}
        )

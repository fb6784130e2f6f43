"""The 2.5D space of DIGIT's joints, to and from metres.

A cell is 1/64 of the crop's side in x and y, and 1/64 of 400 mm in depth, where 0 is the depth of the hand's own wrist.
The absolute depth of a wrist is told by the crop's width in metres at that depth, w = z side / f: unlike z it is seen
in the crop, and does not change with the camera's zoom.
"""

import torch
from torch import Tensor

from tasks.geometry.cameras import project, unproject

CELLS = 64
DEPTH_M = 0.4
TYPICAL_CROP_WIDTH_M = 0.25
WRIST = 0


def to_cells(joints_cam_m: Tensor, intrinsics_px: Tensor, image_size_px: int) -> Tensor:
    """(B, 2, 21, 3) camera-frame metres -> cells; the camera must see every joint."""
    pixels = project(joints_cam_m, intrinsics_px[:, None])
    depth_m = joints_cam_m[..., 2] - joints_cam_m[..., WRIST, None, 2]
    return torch.cat([pixels * (CELLS / image_size_px), depth_m[..., None] * (CELLS / DEPTH_M)], -1)


def from_cells(joints: Tensor, wrist_depth_m: Tensor, intrinsics_px: Tensor, image_size_px: int) -> Tensor:
    """Cells (B, 2, 21, 3) and wrist depths (B, 2) -> (B, 2, 21, 3) camera-frame metres."""
    depth_m = joints[..., 2] * (DEPTH_M / CELLS) + wrist_depth_m[..., None]
    return unproject(joints[..., :2] * (image_size_px / CELLS), depth_m, intrinsics_px[:, None])


def crop_width_m(depth_m: Tensor, intrinsics_px: Tensor, image_size_px: int) -> Tensor:
    """The width of the crop at depths (B, 2)."""
    return depth_m * image_size_px / _focal_px(intrinsics_px)


def depth_of_width_m(width_m: Tensor, intrinsics_px: Tensor, image_size_px: int) -> Tensor:
    """The depths (B, 2) at which the crop is so wide: the inverse of ``crop_width_m``."""
    return width_m * _focal_px(intrinsics_px) / image_size_px


def _focal_px(intrinsics_px: Tensor) -> Tensor:
    """(B, 1), the mean of both axes."""
    return (intrinsics_px[:, 0, 0] + intrinsics_px[:, 1, 1])[:, None] / 2

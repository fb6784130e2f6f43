"""The fields of a two-hand prediction: checked, in float64, with what follows from them."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from tasks.prediction_fields import REQUIRED, check_shapes


@dataclass(frozen=True)
class TwoHandPrediction:
    """B frames: right hand, then left; float64, metres, OpenCV camera frame. A hand with a hole is NaN as a whole."""

    joints_cam_m: Tensor
    """(B, 2, 21, 3)."""
    relative_root_m: Tensor
    """(B, 3): left wrist minus right wrist."""
    verts_cam_m: Tensor | None = None
    """(B, 2, 778, 3)."""
    handedness: Tensor | None = None
    """(B, 2): probability of a right, of a left hand."""

    @classmethod
    def of(cls, fields: Mapping[str, np.ndarray], count: int) -> "TwoHandPrediction":
        """The prediction of ``count`` frames. Raises RequestError for a missing or unknown field or a wrong shape."""
        check_shapes(fields, "two_hands", count)
        tensors = {name: torch.from_numpy(np.array(values, np.float64)) for name, values in fields.items()}
        joints_m = whole_hands(tensors[REQUIRED])
        roots_m = joints_m[:, :, 0]
        return cls(
            joints_cam_m=joints_m,
            relative_root_m=tensors.get("relative_root_m", roots_m[:, 1] - roots_m[:, 0]),
            verts_cam_m=whole_hands(tensors["verts_cam_m"]) if "verts_cam_m" in tensors else None,
            handedness=tensors.get("handedness"),
        )


def whole_hands(points_m: Tensor) -> Tensor:
    """Points (B, 2, N, 3) with every hand that has a coordinate which is not finite set to NaN as a whole."""
    finite = points_m.flatten(2).isfinite().all(dim=2)
    return torch.where(finite[..., None, None], points_m, torch.nan)

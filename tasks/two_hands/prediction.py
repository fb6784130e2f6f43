"""The fields of a two-hand prediction: checked, in float64, with what follows from them."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from tasks.errors import RequestError

N_JOINTS, N_VERTS = 21, 778
SHAPES: dict[str, tuple[int, ...]] = {
    "joints_cam_m": (2, N_JOINTS, 3),
    "verts_cam_m": (2, N_VERTS, 3),
    "relative_root_m": (3,),
    "handedness": (2,),
}
REQUIRED = "joints_cam_m"


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
        check_fields(fields, count)
        tensors = {name: torch.from_numpy(np.array(values, np.float64)) for name, values in fields.items()}
        joints_m = whole_hands(tensors["joints_cam_m"])
        roots_m = joints_m[:, :, 0]
        return cls(
            joints_cam_m=joints_m,
            relative_root_m=tensors.get("relative_root_m", roots_m[:, 1] - roots_m[:, 0]),
            verts_cam_m=whole_hands(tensors["verts_cam_m"]) if "verts_cam_m" in tensors else None,
            handedness=tensors.get("handedness"),
        )


def check_fields(fields: Mapping[str, np.ndarray], count: int) -> None:
    """Raise RequestError unless the fields are known, the joints there and all shapes right."""
    if REQUIRED not in fields:
        raise RequestError(f"predictions lack the field '{REQUIRED}': expected it, and what else there is.")
    for name, values in fields.items():
        if name not in SHAPES:
            raise RequestError(f"unknown prediction field '{name}': expected some of {', '.join(SHAPES)}.")
        expected = (count, *SHAPES[name])
        if np.shape(values) != expected:
            raise RequestError(
                f"prediction field '{name}' has shape {np.shape(values)}: expected {expected}."
            )


def whole_hands(points_m: Tensor) -> Tensor:
    """Points (B, 2, N, 3) with every hand that has a coordinate which is not finite set to NaN as a whole."""
    finite = points_m.flatten(2).isfinite().all(dim=2)
    return torch.where(finite[..., None, None], points_m, torch.nan)

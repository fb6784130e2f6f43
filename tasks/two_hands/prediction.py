"""The fields of a two-hand prediction: checked, in float64, with what follows from them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from tasks.hands.hand import HandModel
from tasks.prediction_fields import REQUIRED, SURFACE_FACES, SURFACE_VERTS, check_shapes
from tasks.ragged import Fields, Ragged
from tasks.two_hands.dataset import SIDES

Mesh = tuple[Tensor, Tensor]


@dataclass(frozen=True)
class Surfaces:
    """Meshes of any size, one per frame and hand: right hand, then left."""

    verts_cam_m: Ragged
    """Counts (B, 2); rows (N, 3), metres, OpenCV camera frame."""
    faces: Ragged
    """Counts (B, 2); rows (M, 3), vertices numbered within their own mesh."""

    def of(self, frame: int) -> list[Mesh]:
        """Vertices (V, 3) float64 and faces (F, 3) int64 of both hands of a frame, without rows for no mesh.

        Marching cubes wind either way: a mesh whose faces look inwards is turned inside out.
        """
        pairs = zip(self.verts_cam_m.parts(frame), self.faces.parts(frame), strict=True)
        return [
            outwards(torch.from_numpy(verts.astype(np.float64)), torch.from_numpy(faces.astype(np.int64)))
            for verts, faces in pairs
        ]


@dataclass(frozen=True)
class TwoHandPrediction:
    """B frames: right hand, then left; float64, metres, OpenCV camera frame. A hand with a hole is NaN as a whole."""

    joints_cam_m: Tensor
    """(B, 2, 21, 3)."""
    relative_root_m: Tensor
    """(B, 3): left wrist minus right wrist."""
    verts_cam_m: Tensor | None = None
    """(B, 2, 778, 3)."""
    surfaces: Surfaces | None = None
    """As given: float32, and not asked whether they are finite."""
    handedness: Tensor | None = None
    """(B, 2): probability of a right, of a left hand."""

    @classmethod
    def of(cls, fields: Fields, count: int) -> "TwoHandPrediction":
        """The prediction of ``count`` frames. Raises RequestError for a missing or unknown field or a wrong shape."""
        check_shapes(fields, "two_hands", count)
        verts_m, faces = fields.get(SURFACE_VERTS), fields.get(SURFACE_FACES)
        surfaces = (
            Surfaces(verts_m, faces) if isinstance(verts_m, Ragged) and isinstance(faces, Ragged) else None
        )
        tensors = {
            name: torch.from_numpy(np.array(values, np.float64))
            for name, values in fields.items()
            if not isinstance(values, Ragged)
        }
        joints_m = whole_hands(tensors[REQUIRED])
        roots_m = joints_m[:, :, 0]
        return cls(
            joints_cam_m=joints_m,
            relative_root_m=tensors.get("relative_root_m", roots_m[:, 1] - roots_m[:, 0]),
            verts_cam_m=whole_hands(tensors["verts_cam_m"]) if "verts_cam_m" in tensors else None,
            surfaces=surfaces,
            handedness=tensors.get("handedness"),
        )

    @property
    def has_meshes(self) -> bool:
        """Whether there is any surface: free ones, or vertices of the hand model."""
        return self.surfaces is not None or self.verts_cam_m is not None

    def meshes(self, frame: int, hands: Mapping[str, HandModel]) -> list[Mesh | None]:
        """Vertices (V, 3) and faces (F, 3) of the right and the left hand of a frame, as predicted: a free surface
        where there are such, else the hand model's mesh with its wrist open. None for a hand without a finite mesh.
        """
        found: Sequence[Mesh] = ()
        if self.surfaces is not None:
            found = self.surfaces.of(frame)
        elif self.verts_cam_m is not None:
            found = [(self.verts_cam_m[frame, i], hands[side].faces) for i, side in enumerate(SIDES)]
        whole = [len(faces) > 0 and bool(verts.isfinite().all()) for verts, faces in found]
        return [mesh if ok else None for mesh, ok in zip(found, whole, strict=True)] or [None, None]


def outwards(verts: Tensor, faces: Tensor) -> Mesh:
    """The mesh with its faces turned, if the volume that they enclose is negative."""
    a, b, c = (verts - verts.mean(dim=0))[faces].unbind(dim=1)
    return verts, faces.flip(1) if (a * torch.linalg.cross(b, c)).sum() < 0 else faces


def whole_hands(points_m: Tensor) -> Tensor:
    """Points (B, 2, N, 3) with every hand that has a coordinate which is not finite set to NaN as a whole."""
    finite = points_m.flatten(2).isfinite().all(dim=2)
    return torch.where(finite[..., None, None], points_m, torch.nan)

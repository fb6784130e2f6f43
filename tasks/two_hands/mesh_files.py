"""Predicted hands as mesh files: one per frame and hand, in metres of the OpenCV camera frame."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Literal, NamedTuple

import numpy as np
import trimesh

from tasks.geometry.mesh import is_closed
from tasks.hands.hand import HandModel
from tasks.hands.skeleton import Side
from tasks.ragged import Fields
from tasks.two_hands.dataset import SIDES
from tasks.two_hands.prediction import TwoHandPrediction
from tasks.two_hands.solids import sealed

FORMATS = ("ply", "obj")


class HandMesh(NamedTuple):
    """One predicted hand."""

    sample: str
    side: Side
    kind: Literal["surface", "hand model"]
    verts_cam_m: np.ndarray
    """(V, 3) float64."""
    faces: np.ndarray
    """(F, 3) int64."""
    closed: bool
    """Whether every edge has faces on both sides."""

    @property
    def name(self) -> str:
        """Its file's name without the ending: the sample's id and the side."""
        return f"{self.sample.replace('/', '_')}_{self.side}"

    def encoded(self, file_format: str) -> bytes:
        """The content of a file in one of ``FORMATS``, the same bytes for the same mesh."""
        mesh = trimesh.Trimesh(self.verts_cam_m, self.faces, process=False)
        content = mesh.export(file_type=file_format)
        return content.encode() if isinstance(content, str) else bytes(content)


def hand_meshes(
    predictions: Fields, ids: Sequence[str], hands: Mapping[str, HandModel], seal: bool = False
) -> Iterator[HandMesh]:
    """Every predicted hand that has a mesh, frame by frame, the right one first; row i is of the sample ``ids[i]``.

    A free surface where the prediction has such, else the hand model's mesh: open at the wrist, or closed as it is
    scored with ``seal``. Raises RequestError for fields that cannot be, and for a model that cannot be sealed.
    """
    predicted = TwoHandPrediction.of(predictions, len(ids))
    free = predicted.surfaces is not None
    for frame, sample in enumerate(ids):
        for side, mesh in zip(SIDES, predicted.meshes(frame, hands), strict=True):
            if mesh is None:
                continue
            verts, faces = sealed(mesh[0], hands[side]) if seal and not free else mesh
            kind: Literal["surface", "hand model"] = "surface" if free else "hand model"
            yield HandMesh(sample, side, kind, verts.numpy(), faces.numpy(), is_closed(faces.numpy()))

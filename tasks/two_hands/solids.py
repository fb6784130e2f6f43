"""The closed meshes of predicted hands, and why a hand has none.

A free surface is taken as it is, the hand model's mesh with its wrist sealed. A prediction with free surfaces is
measured on those alone: a hand without one is missing, whatever vertices stand beside it.
"""

from collections.abc import Mapping
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from tasks.errors import RequestError
from tasks.geometry.mesh import is_closed
from tasks.geometry.surface import seal
from tasks.hands.hand import HandModel
from tasks.two_hands.dataset import SIDES
from tasks.two_hands.meshes import WRIST, regressed_joints
from tasks.two_hands.prediction import TwoHandPrediction

Problem = Literal["", "no_mesh", "broken_mesh", "open_mesh"]
"""What keeps a hand from being measured: no faces or no wrist; a number that is not finite, or no area; a border."""
PROBLEMS: tuple[Problem, ...] = ("no_mesh", "broken_mesh", "open_mesh")


class Solid(NamedTuple):
    """A closed mesh that winds outwards."""

    verts: Tensor
    """(V, 3) float64."""
    faces: Tensor
    """(F, 3) int64."""


class PredictedHand(NamedTuple):
    """One hand of one frame; no ``Solid`` to be trusted where there is a problem."""

    solid: Solid
    """Metres, OpenCV camera frame."""
    wrist_m: Tensor
    """(3,)."""
    problem: Problem


Pair = tuple[PredictedHand, PredictedHand]
"""Right hand, left hand."""


def predicted_pair(predicted: TwoHandPrediction, frame: int, hands: Mapping[str, HandModel]) -> Pair:
    """Both hands of a frame. Of a free surface the wrist is that of the predicted joints, else the mesh's own.

    Raises RequestError for a hand model that names no wrist loop.
    """
    if predicted.surfaces is not None:
        right, left = predicted.surfaces.of(frame)
        wrists_m = predicted.joints_cam_m[frame, :, WRIST]
        return _free_hand(*right, wrists_m[0]), _free_hand(*left, wrists_m[1])
    if predicted.verts_cam_m is None:
        raise ValueError("a prediction without meshes has no pair")
    return model_pair(predicted.verts_cam_m[frame], hands)


def model_pair(verts_m: Tensor, hands: Mapping[str, HandModel]) -> Pair:
    """Both hands of the hand model's vertices (2, V, 3)."""
    wrists_m = regressed_joints(verts_m[None], hands)[0, :, WRIST]
    solids = [sealed(verts, hands[side]) for verts, side in zip(verts_m, SIDES, strict=True)]
    right, left = (
        PredictedHand(solid, wrist_m, "no_mesh" if wrist_m.isnan().any() else _size_problem(solid))
        for solid, wrist_m in zip(solids, wrists_m, strict=True)
    )
    return right, left


def sealed(verts: Tensor, hand: HandModel) -> Solid:
    """The hand (V, 3) with its wrist closed. Raises RequestError for a hand model that names no wrist loop."""
    if hand.data.wrist_loop is None:
        raise RequestError(f"hand model '{hand.name}' does not say where its wrist ends: add 'wrist_loop'.")
    closed, faces = seal(verts.numpy(), hand.faces.numpy(), hand.data.wrist_loop)
    return Solid(torch.from_numpy(closed), torch.from_numpy(faces))


def _free_hand(verts: Tensor, faces: Tensor, wrist_m: Tensor) -> PredictedHand:
    mesh = Solid(verts, faces)
    if not len(faces) or wrist_m.isnan().any():
        return PredictedHand(mesh, wrist_m, "no_mesh")
    return PredictedHand(
        mesh, wrist_m, _size_problem(mesh) or ("" if is_closed(faces.numpy()) else "open_mesh")
    )


def _size_problem(mesh: Solid) -> Problem:
    a, b, c = mesh.verts[mesh.faces].unbind(dim=1)
    area = torch.linalg.vector_norm(torch.linalg.cross(b - a, c - a), dim=1).sum()
    return "" if mesh.verts.isfinite().all() and 0 < area < torch.inf else "broken_mesh"

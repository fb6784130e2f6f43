"""One clip of a hand that manipulates an object: what is true, and the checked fields of a prediction.

A clip has T frames, one rigid object with its mesh in its own frame, and one right hand. The hand frame is the hand's
model frame without its global rotation; ``object_to_hand`` takes the object's points into it.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from tasks.errors import RequestError

N_JOINTS, N_VERTS = 21, 778
HAND_FIELDS = ("joints_cam_m", "verts_cam_m")
OBJECT_FIELDS = ("object_verts_m", "object_faces")
POSE_FIELD = "object_to_hand"
FIELDS = (*OBJECT_FIELDS, POSE_FIELD, *HAND_FIELDS)


@dataclass(frozen=True)
class ClipTruth:
    """The truth of one clip, float64, metres. Frames without an annotation are NaN, and are not scored."""

    object_verts_m: np.ndarray
    """(V, 3), object frame."""
    object_faces: np.ndarray
    """(F, 3) int64."""
    object_to_hand: np.ndarray
    """(T, 4, 4) rigid."""
    joints_cam_m: np.ndarray
    """(T, 21, 3), finger-major, OpenCV camera frame."""
    verts_cam_m: np.ndarray
    """(T, 778, 3), OpenCV camera frame."""

    def __len__(self) -> int:
        return len(self.object_to_hand)


def check_prediction(fields: Mapping[str, np.ndarray], frames: int) -> dict[str, np.ndarray]:
    """The fields as float64 (faces int64): any of ``FIELDS``, the object's mesh whole or not at all.

    Raises RequestError for an unknown field, half a mesh, a wrong shape, or a face that names no vertex.
    """
    if unknown := sorted(set(fields) - set(FIELDS)):
        raise RequestError(f"unknown prediction field '{unknown[0]}': expected some of {', '.join(FIELDS)}.")
    if len(lacking := [name for name in OBJECT_FIELDS if name not in fields]) == 1:
        raise RequestError(f"the object's mesh lacks '{lacking[0]}': expected vertices and faces together.")
    shapes: dict[str, tuple[int | None, ...]] = {
        "object_verts_m": (None, 3),
        "object_faces": (None, 3),
        POSE_FIELD: (frames, 4, 4),
        "joints_cam_m": (frames, N_JOINTS, 3),
        "verts_cam_m": (frames, N_VERTS, 3),
    }
    for name, values in fields.items():
        _check_shape(name, np.shape(values), shapes[name])
    checked = {name: np.asarray(values, np.float64) for name, values in fields.items()}
    if "object_faces" in fields:
        checked["object_faces"] = _checked_faces(
            np.asarray(fields["object_faces"]), len(checked["object_verts_m"])
        )
    return checked


def _check_shape(name: str, shape: tuple[int, ...], expected: tuple[int | None, ...]) -> None:
    same_rank = len(shape) == len(expected)
    if not same_rank or any(e not in (None, s) for e, s in zip(expected, shape, strict=True)):
        wanted = str(expected).replace("None", "any")
        raise RequestError(f"prediction field '{name}' has shape {shape}: expected {wanted}.")


def _checked_faces(faces: np.ndarray, n_verts: int) -> np.ndarray:
    if faces.size and not np.issubdtype(faces.dtype, np.integer):
        raise RequestError(f"'object_faces' holds {faces.dtype} numbers: expected whole ones.")
    if faces.size and not (faces.min() >= 0 and faces.max() < n_verts):
        raise RequestError(
            f"'object_faces' names vertex {faces.max() if faces.min() >= 0 else faces.min()}: "
            f"expected 0 to {n_verts - 1}."
        )
    return faces.astype(np.int64)

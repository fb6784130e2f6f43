"""One frame of HO-3D in the house's conventions, and its way to and from the file's: OpenGL axes and joint order A.

Keys and shapes: shreyashampali/ho3d, vis_HO3D.py.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.spatial.transform import Rotation

from tasks.hands.placing import OPENGL_FROM_OPENCV, moved
from tasks.hands.skeleton import WRIST, reorder

AXES = np.diagonal(OPENGL_FROM_OPENCV)
"""Times a point: OpenCV to OpenGL axes, or back."""
A_FROM_B, B_FROM_A = reorder("B", "A"), reorder("A", "B")


@dataclass(frozen=True)
class ObjectPose:
    """A YCB object in the OpenCV camera frame."""

    name: str
    """As in ``003_cracker_box``."""
    label: int
    rotation: np.ndarray
    """(3, 3), model to camera."""
    trans_m: np.ndarray
    """(3,)."""
    corners_rest_m: np.ndarray
    """(8, 3) corners of the model's box, in its own frame."""

    @property
    def corners_m(self) -> np.ndarray:
        """(8, 3) the corners in the camera frame."""
        return self.corners_rest_m @ self.rotation.T + self.trans_m


@dataclass(frozen=True)
class Frame:
    """One frame with a right hand and an object, OpenCV camera frame, metres."""

    intrinsics_px: np.ndarray
    """(3, 3), of the whole image."""
    pose_aa: np.ndarray
    """(48,) axis-angle, the mean pose included: what a model with a flat mean hand is given."""
    trans_m: np.ndarray
    """(3,) what is added to the posed model."""
    betas: np.ndarray
    """(10,)."""
    rest_wrist_m: np.ndarray
    """(3,) ``tasks.hands.placing.rest_wrist`` of the betas."""
    joints_m: np.ndarray
    """(21, 3) order B: the model's posed joints and HO-3D's tips."""
    verts_m: np.ndarray
    """(778, 3)."""
    object: ObjectPose
    cameras: tuple[str, ...] = ("0",)
    """Ids of the cameras that saw the performance."""


def training_meta(frame: Frame) -> dict[str, Any]:
    """The content of a training frame's pickle."""
    pose, trans = moved(
        frame.pose_aa[None], frame.trans_m[None], frame.rest_wrist_m[None], OPENGL_FROM_OPENCV, np.zeros(3)
    )
    return {
        "handPose": _own(pose[0]),
        "handTrans": _own(trans[0]),
        "handBeta": _own(frame.betas),
        "handJoints3D": _own(joints_to_official(frame.joints_m)),
        **_object_meta(frame),
    }


def contact_meta(
    frame: Frame, distance_m: np.ndarray, inside: np.ndarray, nearest_m: np.ndarray
) -> dict[str, Any]:
    """What v3 adds to a training frame: each vertex against the object.

    ``distance_m`` (778,) to the object, ``inside`` (778,) bool, ``nearest_m`` (778, 3) points of its surface, OpenCV.
    """
    return {
        "handVertContact": np.array(distance_m <= 0.004, dtype=np.bool_),
        "handVertDist": _own(distance_m),
        "handVertIntersec": np.array(inside, dtype=np.bool_),
        "handVertObjSurfProj": _own(nearest_m * AXES),
    }


def evaluation_meta(frame: Frame) -> dict[str, Any]:
    """The content of an evaluation frame's pickle: no pose, the wrist alone, and a box around the hand."""
    return {
        "handJoints3D": _own(frame.joints_m[WRIST] * AXES),
        "handBoundingBox": _own(hand_box(frame)),
        **_object_meta(frame),
    }


def hand_box(frame: Frame) -> np.ndarray:
    """(4,) x1, y1, x2, y2 in pixels around the projected joints."""
    homogeneous = frame.joints_m @ frame.intrinsics_px.T
    joints_px = homogeneous[:, :2] / homogeneous[:, 2:]
    return np.concatenate([joints_px.min(axis=0), joints_px.max(axis=0)])


def evaluation_truth(frame: Frame) -> tuple[np.ndarray, np.ndarray]:
    """Joints (21, 3) in order A and vertices (778, 3), OpenGL: a row of each of the two evaluation files."""
    return joints_to_official(frame.joints_m), frame.verts_m * AXES


def joints_from_official(joints_m: np.ndarray) -> np.ndarray:
    """(..., 21, 3) order B and OpenCV axes, of the file's order A and OpenGL axes."""
    return joints_m[..., B_FROM_A, :] * AXES


def joints_to_official(joints_m: np.ndarray) -> np.ndarray:
    """(..., 21, 3) order A and OpenGL axes, as in files and submissions, of order B and OpenCV axes."""
    return joints_m[..., A_FROM_B, :] * AXES


def opencv_pose(pose_aa: np.ndarray, hands_mean: np.ndarray) -> np.ndarray:
    """(n, 48) with ``hands_mean`` still to be added, OpenCV, of the file's flat-hand pose in OpenGL axes."""
    turned = Rotation.from_matrix(OPENGL_FROM_OPENCV) * Rotation.from_rotvec(pose_aa[:, :3])
    return np.concatenate([turned.as_rotvec(), pose_aa[:, 3:] - hands_mean], axis=1)


def _object_meta(frame: Frame) -> dict[str, Any]:
    item = frame.object
    rotation = Rotation.from_matrix(OPENGL_FROM_OPENCV @ item.rotation).as_rotvec()
    return {
        "objRot": _own(rotation[:, None]),
        "objTrans": _own(item.trans_m * AXES),
        "objCorners3D": _own(item.corners_m * AXES),
        "objCorners3DRest": _own(item.corners_rest_m),
        "objName": str(item.name),
        "objLabel": int(item.label),
        "camMat": _own(frame.intrinsics_px),
        "camIDList": [str(camera) for camera in frame.cameras],
    }


def _own(values: np.ndarray) -> np.ndarray:
    """A float64 copy, so that the same numbers are the same bytes in a pickle, wherever they came from."""
    return np.array(values, dtype=np.float64, order="C")

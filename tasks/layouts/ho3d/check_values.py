"""Checks the numbers of HO-3D's annotations: axes, units, joint order, projection, and that they are of right hands."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from tasks.hands.skeleton import articulated_joints
from tasks.layouts.base import Problem
from tasks.layouts.decoding import hand_in_use, pose_hands
from tasks.layouts.ho3d.annotations import AXES, joints_from_official
from tasks.layouts.ho3d.files import IMAGE_SIZE_PX, SplitName
from tasks.layouts.joint_order import check_order
from tasks.layouts.lengths import check_meshes, check_palms
from tasks.layouts.marker import made_with
from tasks.layouts.matching_hand import CLEARLY_LEFT, LEFT, MatchingHand, by_chunk, right_evidence
from tasks.layouts.table import Table, sound_together

OUTSIDE_SHARE = 0.5
"""Objects hide hands and the image cuts some, but of a usable frame this share of the joints lies in the image."""
DECODE_TOLERANCE_M = 0.01
MESH_TO_JOINTS_M = 0.02
"""Posed joints are not the regressor's on the posed mesh; at bent joints they differ by some millimetres."""
WRIST_TOLERANCE_M = 0.005
BOX_MARGIN = 0.25
"""A joint may lie this share of the box's longer side outside it."""
NO_FLIP = "lies at positive z: OpenGL axes expected, in which z is negative in front of the camera"


def check_values(root: Path, split: SplitName, tables: dict[str, Table]) -> Iterator[Problem]:
    """Every problem of the numbers of one split; records that have one are taken out of ``tables``' sound ones."""
    with np.errstate(all="ignore"):  # absurd numbers overflow; they are reported, not computed with
        if "camMat" in tables:
            yield from _check_cameras(tables["camMat"])
        if split == "train":
            yield from _check_training(root, tables)
        else:
            yield from _check_evaluation(tables)


def _check_cameras(table: Table) -> Iterator[Problem]:
    k = table.rows
    focal, centre = k[:, [0, 1], [0, 1]], k[:, :2, 2]
    bad_row: np.ndarray = np.abs(k[:, 2] - np.array([0, 0, 1])).max(axis=1) > 1e-6
    outside = (centre < 0).any(axis=1) | (centre > np.array(IMAGE_SIZE_PX)).any(axis=1)
    yield from table.drop(bad_row, "is no camera matrix: its last row is not 0 0 1")
    yield from table.drop((focal <= 0).any(axis=1), "has focal lengths that are not positive")
    yield from table.drop(outside, "has its principal point outside the image")


def _check_training(root: Path, tables: dict[str, Table]) -> Iterator[Problem]:
    if "handJoints3D" not in tables:
        return
    joints = tables["handJoints3D"]
    yield from _check_joints(joints)
    yield from _check_projection(joints, tables["camMat"])
    yield from _check_parameters(root, joints, tables)


def _check_joints(joints: Table) -> Iterator[Problem]:
    """Joints in order A and OpenGL axes, whatever file they come from."""
    yield from joints.drop((joints.rows[..., 2] > 0).any(axis=1), NO_FLIP)
    own = Table(joints.file, joints_from_official(joints.rows), joints.sound, places=joints.places)
    yield from check_order(own, "A")
    yield from check_palms(own)
    yield from own.drop(right_evidence(own.rows) < CLEARLY_LEFT, LEFT)


def _check_projection(joints: Table, cameras: Table) -> Iterator[Problem]:
    joints_px = project(joints_from_official(joints.rows), cameras.rows)
    inside = np.all((joints_px >= 0) & (joints_px <= np.array(IMAGE_SIZE_PX)), axis=-1)
    off = (inside.mean(axis=1) < OUTSIDE_SHARE) & cameras.sound
    yield from joints.drop(
        off, lambda i: f"{21 - inside[i].sum()} of 21 joints do not project into the image"
    )


def project(points_m: np.ndarray, intrinsics_px: np.ndarray) -> np.ndarray:
    """(n, 21, 2) pixels of points (n, 21, 3) in the OpenCV frame."""
    homogeneous = points_m @ np.swapaxes(intrinsics_px, 1, 2)
    return homogeneous[..., :2] / homogeneous[..., 2:]


def _check_parameters(root: Path, joints: Table, tables: dict[str, Table]) -> Iterator[Problem]:
    """Parameters that do not give the joints, where the hand in use is the one that the data were made with."""
    pose, betas, trans = (tables[key] for key in ("handPose", "handBeta", "handTrans"))
    at = sound_together(joints, pose, betas, trans)
    if not len(at):
        return
    hand = hand_in_use("right")
    verts, skeleton = pose_hands(hand, pose.rows[at], betas.rows[at], flat_hand_mean=True)
    decoded = articulated_joints(skeleton, verts, "ho3d") + trans.rows[at][:, None]
    error = np.linalg.norm(decoded - joints_from_official(joints.rows[at]) * AXES, axis=-1).max(axis=1)
    bad = ~(error <= DECODE_TOLERANCE_M)
    if made_with(root) == hand.fingerprint or bad.mean() < 0.5:
        yield from pose.drop_at(at[bad], "the parameters do not give the joints")


def _check_evaluation(tables: dict[str, Table]) -> Iterator[Problem]:
    if "handJoints3D" in tables:
        wrist = tables["handJoints3D"]
        yield from wrist.drop(wrist.rows[:, 2] > 0, NO_FLIP)
    if "handBoundingBox" in tables:
        boxes = tables["handBoundingBox"]
        size = boxes.rows[:, 2:] - boxes.rows[:, :2]
        yield from boxes.drop((size <= 0).any(axis=1), "is no box: x1 y1 x2 y2 expected, in pixels")
        far = (boxes.rows[:, :2] > np.array(IMAGE_SIZE_PX)).any(axis=1) | (boxes.rows[:, 2:] < 0).any(axis=1)
        yield from boxes.drop(far, "lies outside the image")
    if "joints_m" in tables:
        yield from _check_joints(tables["joints_m"])
    if "verts_m" in tables:
        yield from _check_verts(tables)
    if {"joints_m", "handJoints3D"} <= set(tables):
        yield from _check_truth_place(tables)


def _check_verts(tables: dict[str, Table]) -> Iterator[Problem]:
    verts = tables["verts_m"]
    yield from verts.drop((verts.rows[..., 2] > 0).any(axis=1), NO_FLIP)
    yield from check_meshes(verts)
    turned = Table(verts.file, verts.rows * AXES, verts.sound)
    hand = MatchingHand.find(turned) if verts.sound.any() else None
    if hand:
        yield from turned.drop(by_chunk(hand.signed_volume_m3, turned.rows) < 0, LEFT)
    if "joints_m" in tables:
        joints = tables["joints_m"]
        at = sound_together(turned, joints)
        own = joints_from_official(joints.rows[at])
        if hand:
            gap = by_chunk(lambda v, j: hand.joint_error_m(v, j, "ho3d"), turned.rows[at], own)
        else:
            gap = np.linalg.norm(turned.rows[at].mean(axis=1) - own.mean(axis=1), axis=-1) - MESH_TO_JOINTS_M
        yield from turned.drop_at(at[gap > MESH_TO_JOINTS_M], "the mesh is not where the joints are")


def _check_truth_place(tables: dict[str, Table]) -> Iterator[Problem]:
    """Truth that is of another frame: its wrist is not the given one, or it lies outside the given box."""
    joints, wrist = tables["joints_m"], tables["handJoints3D"]
    at = sound_together(joints, wrist)
    gap = np.linalg.norm(joints.rows[at, 0] - wrist.rows[at], axis=-1)
    yield from joints.drop_at(
        at[gap > WRIST_TOLERANCE_M], "its wrist is not the one that the frame's meta gives"
    )
    boxes, cameras = tables["handBoundingBox"], tables["camMat"]
    at = sound_together(joints, boxes, cameras)
    joints_px = project(joints_from_official(joints.rows[at]), cameras.rows[at])
    box = boxes.rows[at]
    margin = BOX_MARGIN * (box[:, 2:] - box[:, :2]).max(axis=1)[:, None, None]
    outside = (joints_px < box[:, None, :2] - margin) | (joints_px > box[:, None, 2:] + margin)
    yield from joints.drop_at(at[outside.any(axis=(1, 2))], "does not project into the frame's hand box")

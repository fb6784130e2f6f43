"""Checks the numbers of FreiHAND's annotations: units, cameras, projection, and the relations between the files."""

from collections.abc import Iterator

import numpy as np

from tasks.layouts.base import Problem
from tasks.layouts.freihand.annotations import ROOT_JOINT, reference_bone, root_position
from tasks.layouts.freihand.files import IMAGE_SIZE_PX
from tasks.layouts.lengths import check_length, check_meshes, check_palms
from tasks.layouts.table import Table, sound_together

REFERENCE_BONE_M = (0.01, 0.08)
OUTSIDE_SHARE = 0.1
"""A joint may lie this share of the image's side outside it: crops cut some hands."""
SCALE_TOLERANCE_M = 1e-5
ROOT_TOLERANCE_M = 5e-3
"""The official root formula takes both focal lengths for one, which costs up to some millimetres."""
MESH_TO_JOINTS_M = 0.05
"""Largest distance between the mean vertex and the mean joint of one hand."""


def check_values(tables: dict[str, Table]) -> Iterator[Problem]:
    """Every problem of the numbers of one split; records that have one are taken out of ``tables``' sound ones."""
    with np.errstate(all="ignore"):  # absurd numbers overflow; they are reported, not computed with
        if "K" in tables:
            yield from _check_cameras(tables["K"])
        yield from _check_lengths(tables)
        if {"K", "xyz"} <= set(tables):
            yield from _check_projection(tables["K"], tables["xyz"])
        if {"scale", "xyz"} <= set(tables):
            yield from _check_scale(tables["scale"], tables["xyz"])
        if {"K", "mano", "xyz"} <= set(tables):
            yield from _check_root(tables["K"], tables["mano"], tables["xyz"])
        if {"verts", "xyz"} <= set(tables):
            yield from _check_mesh_place(tables["verts"], tables["xyz"])


def _check_cameras(table: Table) -> Iterator[Problem]:
    k = table.rows
    focal, centre = k[:, [0, 1], [0, 1]], k[:, :2, 2]
    bad_row: np.ndarray = np.abs(k[:, 2] - np.array([0, 0, 1])).max(axis=1) > 1e-6
    bad_focal = (focal <= 0).any(axis=1) | ~(np.abs(np.log(focal[:, 0] / focal[:, 1])) < 0.25)
    bad_centre = np.abs(centre - IMAGE_SIZE_PX / 2).max(axis=1) > IMAGE_SIZE_PX / 2
    yield from table.drop(bad_row, "is no camera matrix: its last row is not 0 0 1")
    yield from table.drop(
        bad_focal, "has focal lengths that are not positive, or differ by more than a quarter"
    )
    yield from table.drop(bad_centre, "has its principal point outside the image")


def _check_lengths(tables: dict[str, Table]) -> Iterator[Problem]:
    """Lengths of a hand that are not metres."""
    if "xyz" in tables:
        yield from check_palms(tables["xyz"])
    if "verts" in tables:
        yield from check_meshes(tables["verts"])
    if "scale" in tables:
        yield from check_length(tables["scale"], tables["scale"].rows, REFERENCE_BONE_M, "the bone length is")


def _check_projection(cameras: Table, joints: Table) -> Iterator[Problem]:
    """Joints behind the camera or outside the image."""
    n = min(len(cameras), len(joints))
    xyz = joints.rows[:n]
    homogeneous = xyz @ np.swapaxes(cameras.rows[:n], 1, 2)
    joints_px = homogeneous[..., :2] / homogeneous[..., 2:]
    margin = OUTSIDE_SHARE * IMAGE_SIZE_PX
    outside = ((joints_px < -margin) | (joints_px > IMAGE_SIZE_PX + margin)).any(axis=-1)
    behind = np.zeros(len(joints), bool)
    behind[:n] = (xyz[..., 2] <= 0).any(axis=1)
    yield from joints.drop(behind, "lies behind the camera: z must be positive")
    off = np.zeros(len(joints), bool)
    off[:n] = outside.any(axis=1) & cameras.sound[:n]
    yield from joints.drop(off, lambda i: f"{outside[i].sum()} of 21 joints do not project into the image")


def _check_scale(scale: Table, joints: Table) -> Iterator[Problem]:
    at = sound_together(scale, joints)
    bone = reference_bone(joints.rows[at])
    bone_of = dict(zip(at, bone, strict=True))
    bad = np.abs(bone - scale.rows[at]) > SCALE_TOLERANCE_M
    yield from scale.drop_at(
        at[bad], lambda i: f"differs from the distance of joints 9 and 10, which is {bone_of[i]:.5f} m"
    )


def _check_root(cameras: Table, mano: Table, joints: Table) -> Iterator[Problem]:
    at = sound_together(cameras, mano, joints)
    root = root_position(cameras.rows[at], mano.rows[at])
    error = np.linalg.norm(root - joints.rows[at, ROOT_JOINT], axis=-1)
    error_of = dict(zip(at, error, strict=True))
    yield from mano.drop_at(
        at[~(error <= ROOT_TOLERANCE_M)],
        lambda i: f"its last three numbers place joint 9 {error_of[i]:.3g} m from where the joints have it",
    )


def _check_mesh_place(verts: Table, joints: Table) -> Iterator[Problem]:
    at = sound_together(verts, joints)
    gap = np.linalg.norm(verts.rows[at].mean(axis=1) - joints.rows[at].mean(axis=1), axis=-1)
    yield from verts.drop_at(at[gap > MESH_TO_JOINTS_M], "the mesh is not where the joints are")

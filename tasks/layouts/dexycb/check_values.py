"""Checks the numbers of DexYCB's labels: units, axes, joint order, projection, and that hands are of the named side."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from tasks.hands.skeleton import MIRROR_POINT, articulated_joints
from tasks.layouts.base import Problem
from tasks.layouts.decoding import hand_in_use, pose_hands
from tasks.layouts.dexycb.annotations import Sequence, hand_angles
from tasks.layouts.joint_order import check_order
from tasks.layouts.lengths import check_palms
from tasks.layouts.marker import made_with
from tasks.layouts.matching_hand import CLEARLY_LEFT, right_evidence
from tasks.layouts.table import Table, sound_together

PROJECTION_TOLERANCE_PX = 2.0
DECODE_TOLERANCE_M = 0.01


def check_labels(
    root: Path,
    sequence: Sequence,
    tables: dict[str, Table],
    intrinsics_px: np.ndarray | None,
    betas: np.ndarray | None,
) -> Iterator[Problem]:
    """Every problem of the labels of one camera in one sequence; such labels stop being sound."""
    with np.errstate(all="ignore"):  # absurd numbers overflow; they are reported, not computed with
        yield from _check_absence(tables)
        joints = _hands_only(tables["joint_3d"])
        yield from joints.drop(
            (joints.rows[..., 2] <= 0).any(axis=1), "lies behind the camera: z must be positive"
        )
        yield from check_order(joints, "B")
        yield from check_palms(joints)
        yield from _check_side(sequence, joints)
        if intrinsics_px is not None:
            yield from _check_projection(joints, tables["joint_2d"], intrinsics_px)
        if betas is not None:
            yield from _check_parameters(root, sequence, joints, tables["pose_m"], betas)


def _without_hand(table: Table, missing: float) -> np.ndarray:
    """(n,) bool: sound labels that say that there is no hand."""
    return table.sound & (table.rows == missing).reshape(len(table), -1).all(axis=1)


def _check_absence(tables: dict[str, Table]) -> Iterator[Problem]:
    """Labels of which one part says that there is a hand, and another that there is none."""
    absent = _without_hand(tables["joint_3d"], -1)
    for key, missing in (("joint_2d", -1.0), ("pose_m", 0.0)):
        table = tables[key]
        contradicts = (_without_hand(table, missing) != absent) & tables["joint_3d"].sound & table.sound
        yield from table.drop(
            contradicts, lambda i: f"says {_presence(not absent[i])}, joint_3d {_presence(absent[i])}"
        )


def _presence(absent: bool) -> str:
    return "that there is no hand" if absent else "that there is one"


def _hands_only(table: Table) -> Table:
    """The joints (n, 21, 3) of a table, of which only those of hands are sound; it has a state of its own."""
    sound = table.sound & ~_without_hand(table, -1)
    return Table(table.file, table.rows[:, 0], sound, places=table.places)


def _check_side(sequence: Sequence, joints: Table) -> Iterator[Problem]:
    """Hands of the other side than ``meta.yml`` says."""
    as_right = joints.rows if sequence.side == "right" else joints.rows * MIRROR_POINT
    text = f"is not a {sequence.side} hand, which meta.yml promises"
    yield from joints.drop(right_evidence(as_right) < CLEARLY_LEFT, text)


def _check_projection(joints: Table, joints_2d: Table, intrinsics_px: np.ndarray) -> Iterator[Problem]:
    at = sound_together(joints, joints_2d)
    homogeneous = joints.rows[at] @ intrinsics_px.T
    error_px = np.linalg.norm(
        homogeneous[..., :2] / homogeneous[..., 2:] - joints_2d.rows[at, 0], axis=-1
    ).max(axis=1)
    far = at[~(error_px <= PROJECTION_TOLERANCE_PX)]
    yield from joints_2d.drop_at(far, "is not where joint_3d projects with the camera's intrinsics")


def _check_parameters(
    root: Path, sequence: Sequence, joints: Table, pose_m: Table, betas: np.ndarray
) -> Iterator[Problem]:
    """Parameters that do not give the joints, where the hand in use is the one that the data were made with."""
    at = sound_together(joints, pose_m)
    if not len(at):
        return
    hand = hand_in_use(sequence.side, as_released=True)
    numbers = pose_m.rows[at, 0]
    pose = np.concatenate([numbers[:, :3], hand_angles(hand.data, numbers[:, 3:48])], axis=1)
    verts, skeleton = pose_hands(hand, pose, np.tile(betas, (len(at), 1)), flat_hand_mean=True)
    tips = "manopth" if sequence.side == "right" else "manopth_left"
    decoded = articulated_joints(skeleton, verts, tips) + numbers[:, None, 48:]
    bad = ~(np.linalg.norm(decoded - joints.rows[at], axis=-1).max(axis=1) <= DECODE_TOLERANCE_M)
    if made_with(root) == hand_in_use("right", as_released=True).fingerprint or bad.mean() < 0.5:
        yield from pose_m.drop_at(at[bad], "the parameters do not give the joints")

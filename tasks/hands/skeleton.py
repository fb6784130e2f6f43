"""The hand's skeleton: joint names and orders, kinematic trees, fingertip and wrist vertices, mirror rule.

Four joint orders are in use in the field; everything of ours is in order B.

* **A** MANO's 16 joints, then 5 tips (HO-3D, smplx). Pinky before ring, but the tips go ring before pinky.
* **B** finger-major, each finger from base to tip (FreiHAND, manopth, ObMan, DexYCB).
* **C** InterHand2.6M: each finger from tip to base, wrist last.
* **D** biomechanical: wrist, five bases, five second joints, five third joints, five tips (HALO's converter).

Sources: fh_utils.py (FreiHAND), InterHand2.6M dataset.py, HALO interface.py, ho3d vis_utils.py.
"""

from typing import Literal

import numpy as np

from tasks.errors import unknown_name

Order = Literal["A", "B", "C", "D"]
Side = Literal["left", "right"]

FINGERS = ("thumb", "index", "middle", "ring", "pinky")
MANO_FINGERS = ("index", "middle", "pinky", "ring", "thumb")
"""The order of the digits inside MANO's 16 joints."""

JOINTS_MANO16 = ("wrist", *(f"{finger}_{k}" for finger in MANO_FINGERS for k in (1, 2, 3)))
JOINTS: dict[Order, tuple[str, ...]] = {
    "A": (*JOINTS_MANO16, *(f"{finger}_4" for finger in FINGERS)),
    "B": ("wrist", *(f"{finger}_{k}" for finger in FINGERS for k in (1, 2, 3, 4))),
    "C": (*(f"{finger}_{k}" for finger in FINGERS for k in (4, 3, 2, 1)), "wrist"),
    "D": ("wrist", *(f"{finger}_{k}" for k in (1, 2, 3, 4) for finger in FINGERS)),
}
"""Joint names per order; the number counts from base (1) to tip (4)."""

N_JOINTS = 21
WRIST = 0
MIDDLE_MCP = 9
"""Order B: the joint that FreiHAND's root translation refers to."""

PARENTS_MANO16 = (-1, 0, 1, 2, 0, 4, 5, 0, 7, 8, 0, 10, 11, 0, 13, 14)
PARENTS: tuple[int, ...] = (-1, *(0 if k == 0 else 4 * f + k for f in range(5) for k in range(4)))
"""Order B."""
BONES: tuple[tuple[int, int], ...] = tuple(
    (parent, child) for child, parent in enumerate(PARENTS) if parent >= 0
)
"""Order B: the 20 (parent, child) pairs."""

TIP_VERTICES: dict[str, tuple[int, int, int, int, int]] = {
    "smplx": (744, 320, 443, 554, 671),
    "manopth": (745, 317, 444, 556, 673),
    "manopth_left": (745, 317, 445, 556, 673),
    "intaghand": (745, 317, 444, 556, 673),
    "freihand": (744, 320, 443, 555, 672),
    "ho3d": (744, 333, 444, 555, 672),
    "obman": (744, 333, 443, 554, 672),
    "obman_left": (745, 333, 444, 555, 672),
    "interhand26m": (745, 317, 445, 556, 673),
    "amvur": (745, 317, 445, 556, 673),
}
"""Vertices of the 778-vertex mesh that each project calls its fingertips, thumb to pinky."""

WRIST_LOOP = (79, 108, 120, 119, 117, 118, 122, 38, 92, 234, 239, 279, 215, 214, 121, 78)
"""The 16 border vertices of MANO's mesh, in cyclic order. Triangles (b, a, c) from each edge (a, b) of
this cycle to a centre c close the right hand with outward normals."""

MIRROR_POINT = np.array([-1.0, 1.0, 1.0], np.float32)
"""A right hand's points times this are a left hand's."""
MIRROR_ROTATION = np.array([1.0, -1.0, -1.0], np.float32)
"""The same for axis-angle vectors, which are axial: the components in the mirror plane change sign."""


def reorder(source: Order, target: Order) -> np.ndarray:
    """(21,) int64 index list with ``joints_target = joints_source[..., list, :]``."""
    for order in (source, target):
        if order not in JOINTS:
            raise unknown_name("joint order", str(order), JOINTS)
    position = {name: i for i, name in enumerate(JOINTS[source])}
    return np.array([position[name] for name in JOINTS[target]], np.int64)


def tip_vertices(convention: str) -> tuple[int, ...]:
    """The fingertip vertices of a convention, thumb to pinky. Raises RequestError for an unknown one."""
    if convention not in TIP_VERTICES:
        raise unknown_name("fingertip convention", convention, TIP_VERTICES)
    return TIP_VERTICES[convention]


def articulated_joints(joints_mano16_m: np.ndarray, verts_m: np.ndarray, tips: str) -> np.ndarray:
    """(n, 21, 3) order B: MANO's posed joints (n, 16, 3), and a convention's tips of the vertices (n, 778, 3)."""
    points = np.concatenate([joints_mano16_m, verts_m[:, list(tip_vertices(tips))]], axis=1)
    return points[:, reorder("A", "B")]


def mirror_pose(pose_aa: np.ndarray) -> np.ndarray:
    """(..., 3 k) axis-angle pose of one hand as the pose of its mirror image."""
    triples = pose_aa.reshape(*pose_aa.shape[:-1], -1, 3) * MIRROR_ROTATION.astype(pose_aa.dtype)
    return triples.reshape(pose_aa.shape)

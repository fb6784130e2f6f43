"""What skinning gets wrong: pose correctives, fitted so that bent skin lies on the posed flesh.

For each joint alone, over a grid of angles: skin the vertices, project them onto the surface whose cones were moved
rigidly with the bones, bring the difference back to the rest pose, and regress it on the entries of R - I.
"""

import numpy as np
from scipy.spatial.transform import Rotation

from tasks.hands.open_hand.anatomy import Anatomy
from tasks.hands.open_hand.pose_space import rotation_axes
from tasks.hands.open_hand.skinning import blended, bone_transforms, first_bone
from tasks.hands.open_hand.surface import HandSurface
from tasks.hands.open_hand.topology import hand_layout
from tasks.hands.skeleton import FINGERS

_REACH_MM, _FADE_FROM_MM, _FADE_MM = 26.0, 16.0, 6.0
_MAX_CORRECTION_MM = 5.0
_RIDGE = 2e-2
_KNUCKLE = ((-12.0, 0.0, 22.0, 45.0, 68.0, 90.0), (-12.0, 0.0, 12.0))
_GRIDS_DEG = {  # digit kind, joint -> flexions, abductions
    ("finger", 0): _KNUCKLE,
    ("finger", 1): ((0.0, 25.0, 50.0, 75.0, 100.0), (0.0,)),
    ("finger", 2): ((0.0, 25.0, 50.0, 75.0), (0.0,)),
    ("thumb", 0): ((-20.0, -10.0, 0.0, 15.0, 30.0), (-20.0, 0.0, 20.0)),
    ("thumb", 1): ((-10.0, 0.0, 20.0, 40.0, 60.0), (0.0,)),
    ("thumb", 2): ((-10.0, 0.0, 20.0, 40.0, 60.0), (0.0,)),
}


def pose_correctives(anatomy: Anatomy, verts: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """(V, 3, 135) mm per entry of the 15 row-major matrices R - I."""
    correctives = np.zeros((len(verts), 3, 135))
    for name in FINGERS:
        for k in range(3):
            joint = first_bone(name) + k
            near = _vertices_near(name, joint, anatomy, verts, weights)
            columns = slice(9 * (joint - 1), 9 * joint)
            correctives[near, :, columns] = _fit(name, k, anatomy, verts[near], weights[near])
    return correctives


def _vertices_near(
    name: str, joint: int, anatomy: Anatomy, verts: np.ndarray, weights: np.ndarray
) -> np.ndarray:
    """Vertices of the digit and the palm that the joint can move or crease."""
    digit = hand_layout().digit_of_vertex()
    concerned = (digit == 0) | (digit == FINGERS.index(name) + 1)
    distance = np.linalg.norm(verts - anatomy.joints[joint], axis=1)
    return np.flatnonzero(concerned & ((weights[:, joint] > 0.02) | (distance < _REACH_MM)))


def _fit(name: str, k: int, anatomy: Anatomy, verts: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """(n, 3, 9) ridge regression of one joint's corrections, zero at rest and fading out with distance."""
    joint = first_bone(name) + k
    inputs, outputs = [], []
    flexions, abductions = _GRIDS_DEG["thumb" if name == "thumb" else "finger", k]
    bend, spread, _ = rotation_axes()[joint]
    for flexion in flexions:
        for abduction in abductions:
            rotation = Rotation.from_rotvec(np.deg2rad(abduction) * spread)
            rotation = rotation * Rotation.from_rotvec(np.deg2rad(flexion) * bend)
            inputs.append((rotation.as_matrix() - np.eye(3)).ravel())
            outputs.append(_correction(name, joint, rotation.as_matrix(), anatomy, verts, weights))
    features, moves = np.array(inputs), np.array(outputs)
    at_rest = np.abs(features).max(1).argmin()
    distance = np.linalg.norm(verts - anatomy.joints[joint], axis=1)
    fade = np.exp(-((np.maximum(distance - _FADE_FROM_MM, 0.0) / _FADE_MM) ** 2))
    moves = np.clip(moves - moves[at_rest], -_MAX_CORRECTION_MM, _MAX_CORRECTION_MM) * fade[:, None]
    gram = features.T @ features + _RIDGE * np.eye(9)
    solution = np.linalg.solve(gram, features.T @ moves.reshape(len(features), -1))
    return solution.reshape(9, len(verts), 3).transpose(1, 2, 0)


def _correction(
    name: str, joint: int, rotation: np.ndarray, anatomy: Anatomy, verts: np.ndarray, weights: np.ndarray
) -> np.ndarray:
    """(n, 3) rest-pose moves that put the skinned vertices onto the posed flesh of palm and digit."""
    rotations = np.tile(np.eye(3), (16, 1, 1))
    rotations[joint] = rotation
    transforms = bone_transforms(anatomy.joints, rotations)
    skin = blended(weights, transforms)
    posed = np.einsum("vab,vb->va", skin[:, :3, :3], verts) + skin[:, :3, 3]
    flesh = HandSurface(anatomy, transforms).project(posed, steps=3, max_step_mm=3.0, digits=(name,))
    return np.linalg.solve(skin[:, :3, :3] + 1e-6 * np.eye(3), (flesh - posed)[..., None])[..., 0]

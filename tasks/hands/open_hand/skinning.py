"""How vertices follow bones: skinning weights, the joint regressor, and the bones' own transforms."""

import numpy as np
from scipy.optimize import nnls
from scipy.spatial.transform import Rotation

from tasks.hands.open_hand.anatomy import Anatomy, Digit
from tasks.hands.open_hand.topology import Layout, hand_layout
from tasks.hands.skeleton import FINGERS, JOINTS_MANO16, PARENTS_MANO16

_SMOOTHING_PASSES = 3
_MAX_BONES = 4
_REGRESSOR_CANDIDATES = 30
_ROOT_CANDIDATES = 80
"""More vertices for the five digit roots, which lie deep in the flesh."""
_POSED_WEIGHT = 0.3
_SUM_WEIGHT = 1e3


def first_bone(name: str) -> int:
    """Index of a digit's first bone among MANO's 16 joints."""
    return JOINTS_MANO16.index(f"{name}_1")


def skinning_weights(anatomy: Anatomy, verts: np.ndarray) -> np.ndarray:
    """(V, 16) non-negative weights, rows sum to 1, at most four bones each."""
    layout = hand_layout()
    weights = np.zeros((len(verts), 16))
    for name in FINGERS:
        digit = anatomy.digits[name]
        bones = (
            _thumb_share(digit, layout, verts)
            if name == "thumb"
            else _finger_share(digit, layout, verts, name)
        )
        weights[:, first_bone(name) : first_bone(name) + 3] = bones
    weights[:, 1:] /= np.maximum(weights[:, 1:].sum(1, keepdims=True), 1.0)
    weights[:, 0] = 1.0 - weights[:, 1:].sum(1)
    return _sparse_rows(_smoothed(weights, layout))


def _finger_share(digit: Digit, layout: Layout, verts: np.ndarray, name: str) -> np.ndarray:
    """(V, 3) pull of a finger's bones; around the knuckle it fades out sideways into the palm."""
    own = np.zeros(len(verts), bool)
    own[layout.of_digit(name)] = True
    own[layout.roots[name]] = True
    along = (verts - digit.base) @ digit.directions[0]
    aside = np.linalg.norm(verts - digit.base - along[:, None] * digit.directions[0], axis=1)
    pull = _step((along + 9.0) / 22.0) * np.exp(-((np.maximum(aside - 9.0, 0.0) / 6.5) ** 2))
    pull = np.where(own, np.maximum(pull, _step((along + 7.0) / 20.0)), pull)
    return _along_chain(pull, own, along, digit, (6.0, 5.0))


def _thumb_share(digit: Digit, layout: Layout, verts: np.ndarray) -> np.ndarray:
    """(V, 3) pull of the thumb's bones; the thenar follows the metacarpal by its distance to it."""
    own = np.zeros(len(verts), bool)
    own[layout.of_digit("thumb")] = True
    place = np.clip((verts - digit.base) @ digit.directions[0], 0.0, digit.lengths[0])
    distance = np.linalg.norm(verts - digit.base - place[:, None] * digit.directions[0], axis=1)
    along = _arc_length(digit, verts)
    pull = _step((34.0 - distance) / 22.0) * _step((place + 4.0) / 30.0)
    pull = np.where(own, np.maximum(pull, _step((along - 2.0) / 22.0)), pull)
    return _along_chain(pull, own, along, digit, (7.5, 6.5))


def _along_chain(
    pull: np.ndarray, own: np.ndarray, along: np.ndarray, digit: Digit, half_widths: tuple[float, float]
) -> np.ndarray:
    """(V, 3) the pull shared among the three bones, blending within the half widths (mm) of the joints."""
    ends = np.cumsum(digit.lengths)[:2]
    second, third = (
        np.where(own, _step((along - end + half) / (2.0 * half)), 0.0)
        for end, half in zip(ends, half_widths, strict=True)
    )
    return np.stack([pull * (1 - second), pull * second * (1 - third), pull * second * third], 1)


def _arc_length(digit: Digit, verts: np.ndarray) -> np.ndarray:
    """(V,) how far along the bent chain of a digit each vertex lies."""
    nearest, arc = np.full(len(verts), np.inf), np.zeros(len(verts))
    before = 0.0
    for k, (joint, direction) in enumerate(zip(digit.joints, digit.directions, strict=True)):
        low, high = (-20.0 if k == 0 else 0.0), (40.0 if k == 2 else digit.lengths[k])
        place = np.clip((verts - joint) @ direction, low, high)
        distance = np.linalg.norm(verts - joint - place[:, None] * direction, axis=1)
        arc = np.where(distance < nearest, before + place, arc)
        nearest = np.minimum(distance, nearest)
        before += digit.lengths[k]
    return arc


def _step(x: np.ndarray) -> np.ndarray:
    """Smooth step from 0 at 0 to 1 at 1."""
    x = np.clip(x, 0.0, 1.0)
    return x * x * (3.0 - 2.0 * x)


def _smoothed(weights: np.ndarray, layout: Layout) -> np.ndarray:
    """Averaged with the neighbours, strongly in the palm and a little along the digits."""
    share = np.where(layout.digit_of_vertex() == 0, 0.5, 0.15)[:, None]
    mean = layout.neighbour_mean()
    for _ in range(_SMOOTHING_PASSES):
        weights = (1 - share) * weights + share * (mean @ weights)
    return weights


def _sparse_rows(weights: np.ndarray) -> np.ndarray:
    """The four largest of each row, without crumbs, summing to 1."""
    weights = weights.copy()
    np.put_along_axis(weights, np.argsort(-weights, axis=1, kind="stable")[:, _MAX_BONES:], 0.0, axis=1)
    weights /= weights.sum(1, keepdims=True)
    weights[weights < 1e-3] = 0.0
    return weights / weights.sum(1, keepdims=True)


def joint_regressor(
    shapes: tuple[np.ndarray, np.ndarray], posed: tuple[np.ndarray, np.ndarray]
) -> np.ndarray:
    """(16, V) non-negative rows of sum 1 that give joints from vertices; least squares over shapes and poses.

    Both samples are pairs of (n, V, 3) vertices and (n, 16, 3) joints. The posed ones, at a lower weight, keep the
    regressed joints of a bent hand near its bones: FreiHAND's labels are regressed from posed vertices.
    """
    layout = hand_layout()
    roots = {0, *(first_bone(name) for name in FINGERS)}
    regressor = np.zeros((16, shapes[0].shape[1]))
    wrist = np.concatenate([np.array(row) for row in layout.wrist_rows])
    for j in range(16):
        distance = np.linalg.norm(shapes[0][0] - shapes[1][0, j], axis=1)
        count = _ROOT_CANDIDATES if j in roots else _REGRESSOR_CANDIDATES
        near = wrist if j == 0 else np.argsort(distance, kind="stable")[:count]
        rows, targets = [np.full((1, len(near)), _SUM_WEIGHT)], [np.array([_SUM_WEIGHT])]
        for (verts, joints), weight in ((shapes, 1.0), (posed, _POSED_WEIGHT)):
            rows.append(weight * verts[:, near].transpose(0, 2, 1).reshape(-1, len(near)))
            targets.append(weight * joints[:, j].reshape(-1))
        row, _ = nnls(np.vstack(rows), np.concatenate(targets), maxiter=20000)
        regressor[j, near] = row / row.sum()
    return regressor


def bone_transforms(joints: np.ndarray, rotations: np.ndarray) -> np.ndarray:
    """(16, 4, 4) rest-to-posed transforms from (16, 3) rest joints and (16, 3, 3) local rotations."""
    transforms = np.tile(np.eye(4), (16, 1, 1))
    for j, parent in enumerate(PARENTS_MANO16):
        local = np.eye(4)
        local[:3, :3] = rotations[j]
        local[:3, 3] = joints[j] - rotations[j] @ joints[j]
        transforms[j] = local if parent < 0 else transforms[parent] @ local
    return transforms


def blended(weights: np.ndarray, transforms: np.ndarray) -> np.ndarray:
    """(V, 4, 4) transforms of the vertices: linear blend skinning."""
    return np.einsum("vj,jab->vab", weights, transforms)


def posed_meshes(
    verts: np.ndarray, joints: np.ndarray, weights: np.ndarray, correctives: np.ndarray, poses: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """(n, V, 3) vertices and (n, 16, 3) joints of (n, 45) axis-angle poses: correctives, then skinning."""
    meshes, skeletons = [], []
    for pose in poses:
        rotations = Rotation.from_rotvec(np.vstack([np.zeros(3), pose.reshape(15, 3)])).as_matrix()
        bent = verts + correctives @ (rotations[1:] - np.eye(3)).ravel()
        bones = bone_transforms(joints, rotations)
        skin = blended(weights, bones)
        meshes.append(np.einsum("vab,vb->va", skin[:, :3, :3], bent) + skin[:, :3, 3])
        skeletons.append(np.einsum("jab,jb->ja", bones[:, :3, :3], joints) + bones[:, :3, 3])
    return np.stack(meshes), np.stack(skeletons)

"""From bones to a file: every step of the open hand in order."""

import numpy as np

from tasks.hands.model_file import HandModelData
from tasks.hands.open_hand.anatomy import default_anatomy
from tasks.hands.open_hand.atlas import texture_atlas
from tasks.hands.open_hand.correctives import pose_correctives
from tasks.hands.open_hand.placement import place_vertices
from tasks.hands.open_hand.pose_space import pose_components, sample_poses
from tasks.hands.open_hand.shape_space import N_SHAPES, sample_shapes, shape_space
from tasks.hands.open_hand.skinning import joint_regressor, posed_meshes, skinning_weights
from tasks.hands.open_hand.topology import mano_numbering, triangulate
from tasks.hands.skeleton import PARENTS_MANO16, TIP_VERTICES, WRIST_LOOP

VERSION = 1
ABOUT = (
    "Palmares open hand: a procedural hand in MANO's file format. It is not MANO and is not fitted to it, nor to any "
    "scan: errors measured on it cannot be compared with published numbers on real data."
)
_ORIGIN_M = np.array([0.095, 0.006, 0.006])
"""Where the wrist joint of the mean hand lies, so that numbers are of the usual size."""
_TEMPLATE_ROUNDS = 25
_N_POSES = 20000
_N_REGRESSOR_POSES = 100
_POSE_SEED = 7


def build_open_hand(n_shapes: int = N_SHAPES) -> HandModelData:
    """The right hand. Deterministic; about half a minute of one core."""
    anatomy = default_anatomy()
    default = place_vertices(anatomy, _TEMPLATE_ROUNDS)
    faces = triangulate(default)
    space = shape_space(*sample_shapes(n_shapes))
    weights = skinning_weights(anatomy, default)
    correctives = pose_correctives(anatomy, default, weights)
    poses = sample_poses(_N_POSES, np.random.default_rng(_POSE_SEED))
    posed = posed_meshes(default, anatomy.joints, weights, correctives, poses[:_N_REGRESSOR_POSES])
    regressor = joint_regressor((space.verts, space.joints), posed)
    mean_pose, components = pose_components(poses)
    order = mano_numbering()
    place = np.argsort(order)
    vt, ft = texture_atlas(faces)
    return HandModelData(
        v_template=_metres(space.mean[order]) + _ORIGIN_M.astype(np.float32),
        faces=place[faces],
        shapedirs=_metres(space.directions[order]),
        posedirs=_metres(correctives[order]),
        weights=weights[order].astype(np.float32),
        J_regressor=regressor[:, order].astype(np.float32),
        parents=np.array(PARENTS_MANO16, np.int64),
        hands_mean=mean_pose.astype(np.float32),
        hands_components=components.astype(np.float32),
        side="right",
        name=f"open hand {VERSION}",
        about=ABOUT,
        vt=vt.astype(np.float32),
        ft=ft,
        tips=np.array(TIP_VERTICES["smplx"], np.int64),
        wrist_loop=np.array(WRIST_LOOP, np.int64),
    )


def _metres(millimetres: np.ndarray) -> np.ndarray:
    return (millimetres / 1000.0).astype(np.float32)

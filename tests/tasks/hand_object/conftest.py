"""A small clip in memory: a right hand that moves, and a mug-sized object that moves with it."""

import numpy as np
import pytest
import torch
import trimesh
from scipy.spatial.transform import Rotation

from tasks.hand_object import ClipTruth
from tasks.hands.hand import load_hand

FRAMES = 7


def poses(count, seed, turn=0.3, shift_m=0.03):
    """(T, 4, 4) rigid transforms near the identity."""
    rng = np.random.default_rng(seed)
    matrices = np.tile(np.eye(4), (count, 1, 1))
    matrices[:, :3, :3] = Rotation.from_rotvec(rng.normal(0, turn, (count, 3))).as_matrix()
    matrices[:, :3, 3] = rng.normal(0, shift_m, (count, 3))
    return matrices


@pytest.fixture(scope="session")
def truth():
    rng = np.random.default_rng(0)
    hand = load_hand("right")
    pose = rng.normal(0, 0.2, (1, 48)) + np.cumsum(rng.normal(0, 0.03, (FRAMES, 48)), axis=0)
    verts = hand(torch.from_numpy(pose).float(), torch.zeros(FRAMES, 10))[0].double()
    verts += torch.tensor([0.0, 0.0, 0.5])
    solid = trimesh.creation.cylinder(radius=0.04, height=0.1, sections=24)
    handle = trimesh.creation.box(
        extents=[0.03, 0.015, 0.06], transform=trimesh.transformations.translation_matrix([0.05, 0, 0.01])
    )
    mesh = trimesh.util.concatenate([solid, handle])
    return ClipTruth(
        object_verts_m=np.asarray(mesh.vertices),
        object_faces=np.asarray(mesh.faces),
        object_to_hand=poses(FRAMES, seed=1),
        joints_cam_m=hand.joints_from_verts(verts, "manopth").numpy(),
        verts_cam_m=verts.numpy(),
    )


@pytest.fixture
def perfect(truth):
    """The truth as a prediction."""
    fields = ("object_verts_m", "object_faces", "object_to_hand", "joints_cam_m", "verts_cam_m")
    return {name: getattr(truth, name).copy() for name in fields}


@pytest.fixture
def noisy(perfect):
    """A prediction with noise on every point and pose."""
    rng = np.random.default_rng(2)
    for name in ("object_verts_m", "joints_cam_m", "verts_cam_m"):
        perfect[name] += rng.normal(0, 0.004, perfect[name].shape)
    perfect["object_to_hand"] = perfect["object_to_hand"] @ poses(FRAMES, seed=3, turn=0.05, shift_m=0.004)
    return perfect

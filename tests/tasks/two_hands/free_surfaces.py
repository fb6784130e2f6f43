"""Free surfaces for tests: meshes of the true hands that are no longer the hand model's."""

import numpy as np
import torch
import trimesh
from scipy.ndimage import gaussian_filter
from skimage.measure import marching_cubes

from tasks.geometry.inside import contains
from tasks.ragged import Ragged
from tasks.two_hands.solids import sealed

SIDES = ("right", "left")


def closed(verts_m, hands, side):
    """The hand model's mesh with its wrist sealed: vertices and faces as arrays."""
    return tuple(part.numpy() for part in sealed(torch.from_numpy(verts_m), hands[side]))


def subdivided(verts, faces, times=2):
    """The same surface with four times as many faces at each step."""
    for _ in range(times):
        verts, faces = trimesh.remesh.subdivide(verts, faces)
    return verts, faces


def marched(verts, faces, cells=72):
    """What marching cubes makes of the mesh's occupancy on a grid about it."""
    low, high = verts.min(0), verts.max(0)
    step = (high - low).max() / (cells - 4)
    axes = [np.arange(a - 2 * step, b + 3 * step, step) for a, b in zip(low, high, strict=True)]
    grid = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1)
    occupied = contains(
        torch.from_numpy(grid.reshape(-1, 3)), torch.from_numpy(verts), torch.from_numpy(faces)
    )
    field = occupied.numpy().reshape(grid.shape[:3]).astype(np.float32)
    found, triangles, *_ = marching_cubes(gaussian_filter(field, 0.7), 0.5, spacing=(step,) * 3)
    return found + [axis[0] for axis in axes], triangles


def as_fields(meshes, joints_m):
    """A prediction of ``len(meshes)`` frames: for each a right and a left mesh, or None."""
    empty = np.zeros((0, 3)), np.zeros((0, 3), int)
    flat = [empty if mesh is None else mesh for pair in meshes for mesh in pair]
    verts, faces = ([np.asarray(mesh[k]) for mesh in flat] for k in (0, 1))

    def ragged(parts, dtype):
        counts = np.array([len(part) for part in parts]).reshape(len(meshes), 2)
        return Ragged(np.concatenate(parts).astype(dtype), counts)

    return {
        "joints_cam_m": joints_m,
        "surface_verts_cam_m": ragged(verts, np.float32),
        "surface_faces": ragged(faces, np.int32),
    }

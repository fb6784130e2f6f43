"""Meshes and cameras that the geometry tests share."""

import numpy as np
import pytest
import torch
import trimesh


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)


@pytest.fixture
def intrinsics_px():
    """Of an image 48 pixels wide and 40 high, deliberately neither square nor centred."""
    return torch.tensor([[70.0, 0.0, 23.3], [0.0, 66.0, 19.1], [0.0, 0.0, 1.0]])


@pytest.fixture
def bumpy():
    """Three bumpy spheres that occlude themselves, about 30 pixels wide: vertices (3, 162, 3) and faces (320, 3)."""
    sphere = trimesh.creation.icosphere(subdivisions=2, radius=1.0)
    rng = np.random.default_rng(3)
    radius = 0.12 * (1 + 0.35 * rng.standard_normal((3, len(sphere.vertices), 1)).clip(-2, 2))
    verts = np.asarray(sphere.vertices)[None] * radius + np.array([0.01, -0.02, 0.6])
    return torch.tensor(verts, dtype=torch.float32), torch.tensor(np.asarray(sphere.faces), dtype=torch.int64)

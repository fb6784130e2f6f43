import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from tasks.hands.hand import load_hand
from tasks.hands.open_hand.pose_space import sample_poses
from tasks.layouts.freihand.annotations import Annotations, annotate
from tasks.layouts.freihand.files import image_id
from tasks.layouts.freihand.writer import (
    AnnotationFiles,
    json_fragments,
    make_folders,
    write_image,
    write_mask,
)
from tasks.layouts.marker import write_marker

N_TRAINING, N_EVALUATION = 5, 3
MARKER = {
    "generator": "test",
    "generator_version": 1,
    "seed": 0,
    "size": N_TRAINING,
    "hand": "open",
    "hand_fingerprint": "0" * 16,
}


def posed_hands(n: int, seed: int) -> Annotations:
    """Right hands in sampled poses, 0.6 m in front of the camera."""
    rng, hand = np.random.default_rng(seed), load_hand("right")
    pose = np.concatenate([rng.normal(0, 1.5, (n, 3)), sample_poses(n, rng) - hand.data.hands_mean], axis=1)
    betas = rng.normal(0, 0.7, (n, 10))
    with torch.no_grad():
        verts = hand(torch.tensor(pose, dtype=torch.float32), torch.tensor(betas, dtype=torch.float32))[0]
    verts = verts - verts.mean(dim=1, keepdim=True) + torch.tensor([0.01, -0.02, 0.6])
    joints = hand.joints_from_verts(verts).double().numpy()
    camera = np.array([[480.0, 0, 112], [0, 480, 112], [0, 0, 1]])
    return annotate(np.tile(camera, (n, 1, 1)), joints, verts.double().numpy(), pose, betas)


def write_dataset(root: Path, marker: bool = True) -> Path:
    """A dataset of sharp annotations and plain images, each of its own brightness."""
    make_folders(root)
    for sample in range(N_TRAINING):
        for version in range(4):
            colour = np.uint8(20 + 40 * version + 5 * sample)
            write_image(root, "training", image_id(sample, version), np.full((224, 224, 3), colour))
        mask = np.zeros((224, 224), bool)
        mask[60:160, 80:140] = True
        write_mask(root, sample, mask)
    for sample in range(N_EVALUATION):
        write_image(root, "evaluation", sample, np.full((224, 224, 3), np.uint8(30 + sample)))
    with AnnotationFiles(root) as files:
        files.append("training", json_fragments(posed_hands(2, seed=1)))
        files.append("training", json_fragments(posed_hands(N_TRAINING - 2, seed=2)))
        files.append("evaluation", json_fragments(posed_hands(N_EVALUATION, seed=3)))
    if marker:
        write_marker(root, MARKER)
    return root


@pytest.fixture(scope="session")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A flawless dataset; never write into it."""
    return write_dataset(tmp_path_factory.mktemp("freihand") / "data")


@pytest.fixture
def dataset(pristine: Path, tmp_path: Path) -> Path:
    """A copy of the flawless dataset, to be damaged."""
    return Path(shutil.copytree(pristine, tmp_path / "copy"))

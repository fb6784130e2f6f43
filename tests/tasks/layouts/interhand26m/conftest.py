import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from tasks.hands.hand import load_hand
from tasks.hands.open_hand.pose_space import sample_poses
from tasks.hands.skeleton import mirror_pose, reorder
from tasks.layouts.interhand26m.writer import (
    Camera,
    Moment,
    Shot,
    write_annotations,
    write_image,
    write_texts,
)
from tasks.layouts.marker import write_marker

KINDS = ("interacting", "right", "left", "interacting")
"""Of the frames of a split, in the order of the file."""
N_CAMERAS, SIZE_PX = 2, (334, 512)
WORLD_M = np.array([0.3, -1.2, 0.7])
"""Where the hands are in the world."""
MARKER = {
    "generator": "test",
    "generator_version": 1,
    "seed": 0,
    "size": 8,
    "hand": "open",
    "hand_fingerprint": "0" * 16,
}


def look_at(capture: int, number: int) -> Camera:
    """A camera that stands a metre from the hands and looks at them, written by hand."""
    rng = np.random.default_rng([capture, number])
    direction = rng.normal(0, 1, 3)
    z = -direction / np.linalg.norm(direction)
    x = np.cross(z, [0.3, 0.9, 0.1])
    x /= np.linalg.norm(x)
    place = WORLD_M - z
    rotation = np.stack([x, np.cross(z, x), z])
    return Camera(
        capture, f"40{number}", 1000 * place, rotation, np.array([900.0, 905.0]), np.array([165.0, 250.0])
    )


def posed(kind: str, rng: np.random.Generator) -> tuple[dict[str, Any], np.ndarray]:
    """Fits by side and joints (42, 3) in order C in metres, world; zero where a hand is not there."""
    fits: dict[str, Any] = {"right": None, "left": None}
    joints = np.zeros((2, 21, 3))
    betas = rng.normal(0, 0.7, 10)
    for k, side in enumerate(("right", "left")):
        if kind not in (side, "interacting"):
            continue
        model = load_hand(side)
        hand_pose = sample_poses(1, rng)[0].astype(np.float64)
        hand_pose = hand_pose if side == "right" else mirror_pose(hand_pose)
        turn = Rotation.random(random_state=int(rng.integers(1000))).as_rotvec()
        pose = np.round(np.concatenate([turn, hand_pose - model.data.hands_mean]), 6)
        betas = np.round(betas, 6)
        with torch.no_grad():
            verts = model(torch.tensor(pose[None]).float(), torch.tensor(betas[None]).float())[0][0]
        trans = WORLD_M + np.array([0.14 * k - 0.07, 0, 0]) - verts.mean(dim=0).double().numpy()
        trans = np.round(trans, 6)
        fits[side] = (pose, betas, trans)
        regressor = model.joint_regressor21("interhand26m").double().numpy()
        joints[k] = (regressor @ (verts.double().numpy() + trans))[reorder("B", "C")]
    return fits, joints.reshape(42, 3)


def write_split(root: Path, split: Any, seed: int) -> None:
    """Four frames of two captures, each seen by two cameras; every image has a colour of its own."""
    rng = np.random.default_rng(seed)
    cameras = [look_at(capture, number) for capture in (0, 3) for number in range(N_CAMERAS)]
    moments, shots = [], []
    for frame, kind in enumerate(KINDS):
        capture, sequence = (0, 3)[frame // 2], f"ROM{frame // 2}_{'a' if frame == 3 else 'b'}"
        fits, joints = posed(kind, rng)
        there = np.repeat([kind != "left", kind != "right"], 21)
        moments.append(Moment(capture, sequence, 100 + frame, kind, 1000 * joints, there, fits))
        for number in range(N_CAMERAS):
            camera = next(c for c in cameras if (c.capture, c.camera) == (capture, f"40{number}"))
            cam = (joints - camera.campos_mm / 1000) @ camera.camrot.T
            px = cam[:, :2] / cam[:, 2:] * camera.focal_px + camera.princpt_px
            inside = there & ((px >= 0) & (px < SIZE_PX)).all(axis=1)
            low, high = px[there].min(axis=0), px[there].max(axis=0)
            shot = Shot(
                2 * frame + number, capture, "7", sequence, f"40{number}", 100 + frame, SIZE_PX,
                np.concatenate([low, high - low]), inside, kind,
            )  # fmt: skip
            shots.append(shot)
            write_image(root, split, shot, np.full((512, 334, 3), np.uint8(20 + 10 * shot.id)))
    write_annotations(root, split, cameras, moments, shots)


def write_dataset(root: Path) -> Path:
    write_split(root, "train", seed=1)
    write_split(root, "test", seed=2)
    write_texts(root, [("train", 0, "7")])
    write_marker(root, MARKER)
    return root


@pytest.fixture(scope="session")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A flawless dataset; never write into it."""
    return write_dataset(tmp_path_factory.mktemp("interhand26m") / "data")


@pytest.fixture
def dataset(pristine: Path, tmp_path: Path) -> Path:
    """A copy of the flawless dataset, to be damaged."""
    return Path(shutil.copytree(pristine, tmp_path / "copy"))


def edit(root: Path, key: str, change: Callable[[Any], Any], split: str = "test") -> None:
    """Change the content of an annotation file in place, or replace it by what ``change`` returns."""
    path = root / "annotations" / split / f"InterHand2.6M_{split}_{key}.json"
    content = json.loads(path.read_text())
    replaced = change(content)
    path.write_text(json.dumps(content if replaced is None else replaced))

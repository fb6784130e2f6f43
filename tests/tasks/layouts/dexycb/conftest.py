import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from tasks.hands.hand import load_hand
from tasks.hands.skeleton import Side
from tasks.layouts.dexycb.annotations import Sequence, hand_label, label_without_hand
from tasks.layouts.dexycb.files import HAND_LABEL, SERIALS, SUBJECTS
from tasks.layouts.dexycb.writer import (
    write_depth,
    write_extrinsics,
    write_hand,
    write_image,
    write_intrinsics,
    write_label,
    write_sequence,
)
from tasks.layouts.marker import write_marker
from tests.tasks.layouts.views import CAMERA, PosedHands, posed_hands, projected, spotted

CAMERAS = SERIALS[5:]
"""Seen and unseen ones of setup s2."""
N_FRAMES = 2
N_SEQUENCES = 5
PRESENT = (1, 3, 7)
"""Subjects with sequences, by position."""
OBJECT_POSES = np.array([np.eye(3, 4)])


def side_of(subject: int) -> Side:
    return "left" if subject == 3 else "right"


def hands_of(subject: int, index: int) -> PosedHands:
    side = side_of(subject)
    tips = "manopth" if side == "right" else "manopth_left"
    return posed_hands(N_FRAMES, seed=10 * subject + index, tips=tips, side=side)


def name_of(subject: int, index: int) -> str:
    return f"{SUBJECTS[subject]}/{SUBJECTS[subject][:8]}_12000{index}"


ALL = tuple((subject, index) for subject in PRESENT for index in range(N_SEQUENCES))
FEW = ((3, 0), (7, 2), (7, 3))


def write_dataset(root: Path, sequences: tuple[tuple[int, int], ...], cameras: tuple[str, ...]) -> Path:
    """Three frames a sequence, of which the last shows no hand."""
    for serial in cameras:
        write_intrinsics(root, serial, CAMERA)
    write_extrinsics(root, "20200702_151821", dict.fromkeys(SERIALS, np.eye(3, 4)), CAMERAS[0])
    for subject, index in sequences:
        write_one(root, subject, index, cameras)
    about = {"generator": "test", "generator_version": 1, "seed": 0, "size": 5, "hand": "open"}
    write_marker(root, about | {"hand_fingerprint": load_hand("right").fingerprint})
    return root


def write_one(root: Path, subject: int, index: int, cameras: tuple[str, ...]) -> None:
    """A sequence of two frames with a hand and one without, the same in every camera."""
    hands, side, name = hands_of(subject, index), side_of(subject), name_of(subject, index)
    calibration = f"{SUBJECTS[subject]}_{side}_{index}"
    write_hand(root, calibration, hands.betas[0])
    extrinsics = "20200702_151821"
    write_sequence(root, Sequence(name, N_FRAMES + 1, (1, 4), 1, side, calibration, extrinsics, cameras))
    data = load_hand(side).data
    for frame in range(N_FRAMES + 1):
        image = np.zeros((480, 640, 3), np.uint8)
        label = label_without_hand(image[..., 0], OBJECT_POSES)
        if frame < N_FRAMES:
            image = spotted(projected(hands.joints_m[frame : frame + 1], CAMERA)[0])
            seg = np.where(image[..., 0] > 0, HAND_LABEL, 1)
            label = hand_label(
                data,
                hands.pose_aa[frame],
                hands.trans_m[frame],
                hands.joints_m[frame],
                CAMERA,
                seg,
                OBJECT_POSES,
            )
        for serial in cameras:
            write_image(root, name, serial, frame, image)
            write_depth(root, name, serial, frame, np.full((480, 640), 0.6))
            write_label(root, name, serial, frame, label)


@pytest.fixture(scope="session")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A flawless dataset with fifteen sequences; never write into it."""
    return write_dataset(tmp_path_factory.mktemp("dexycb"), ALL, CAMERAS)


@pytest.fixture
def dataset(pristine: Path, tmp_path: Path) -> Path:
    """A copy of it, to be damaged; its files are links, so replace them whole."""
    return Path(shutil.copytree(pristine, tmp_path / "copy", copy_function=os.link))


@pytest.fixture(scope="session")
def small_pristine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A flawless dataset with three sequences of two cameras; never write into it."""
    return write_dataset(tmp_path_factory.mktemp("dexycb"), FEW, CAMERAS[:2])


@pytest.fixture
def small(small_pristine: Path, tmp_path: Path) -> Path:
    """A copy of it, to be damaged; its files are links, so replace them whole."""
    return Path(shutil.copytree(small_pristine, tmp_path / "copy", copy_function=os.link))

import shutil
from pathlib import Path

import numpy as np
import pytest

from tasks.hands.hand import load_hand
from tasks.layouts.ho3d.annotations import (
    Frame,
    ObjectPose,
    contact_meta,
    evaluation_meta,
    evaluation_truth,
    training_meta,
)
from tasks.layouts.ho3d.files import V2, V3, SplitName, Version
from tasks.layouts.ho3d.writer import (
    EvaluationFiles,
    make_sequence,
    truth_fragments,
    write_depth,
    write_image,
    write_list,
    write_meta,
    write_segmentation,
)
from tasks.layouts.marker import write_marker
from tests.tasks.layouts.views import CAMERA, PosedHands, posed_hands, projected, spotted

FRAMES: dict[SplitName, list[str]] = {
    "train": ["ABF10/0000", "ABF11/0000", "MC1/0007", "SS2/0002", "SMu41/1234"],
    "evaluation": ["SM1/0000", "AP12/0003", "AP10/0003"],
}
"""The evaluation list is deliberately not in alphabetical order."""


def frame_of(hands: PosedHands, i: int) -> Frame:
    corners = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)]) * 0.04
    item = ObjectPose("003_cracker_box", 2, np.eye(3), np.array([0.05, 0, 0.65]), corners)
    return Frame(
        intrinsics_px=CAMERA,
        pose_aa=hands.pose_aa[i],
        trans_m=hands.trans_m[i],
        betas=hands.betas[i],
        rest_wrist_m=hands.rest_wrist_m[i],
        joints_m=hands.joints_m[i],
        verts_m=hands.verts_m[i],
        object=item,
    )


def hands_of(split: SplitName) -> PosedHands:
    return posed_hands(len(FRAMES[split]), seed=len(split), tips="ho3d")


def write_dataset(root: Path, version: Version, marker: bool = True) -> Path:
    """Sharp annotations, and images that are black but for a disc on every joint."""
    for split, names in FRAMES.items():
        hands = hands_of(split)
        write_list(root, split, names)
        for i, name in enumerate(names):
            make_sequence(root, version, split, name.split("/")[0])
            frame = frame_of(hands, i)
            meta = training_meta(frame) if split == "train" else evaluation_meta(frame)
            if split == "train" and version.has_masks:
                vertices = hands.verts_m[i]
                meta |= contact_meta(frame, np.ones(len(vertices)), np.zeros(len(vertices)), vertices)
            write_meta(root, split, name, meta)
            image = spotted(projected(hands.joints_m[i : i + 1], CAMERA)[0])
            write_image(root, version, split, name, image)
            write_depth(root, split, name, np.full((480, 640), 0.6))
            if split == "train" and version.has_masks:
                hand = image[..., 0] > 0
                write_segmentation(root, version, name, hand, ~hand)
    hands = hands_of("evaluation")
    with EvaluationFiles(root) as files:
        files.append(truth_fragments([evaluation_truth(frame_of(hands, 0))]))
        files.append(truth_fragments(evaluation_truth(frame_of(hands, i)) for i in (1, 2)))
    if marker:
        about = {"generator": "test", "generator_version": 1, "seed": 0, "size": 5, "hand": "open"}
        write_marker(root, about | {"hand_fingerprint": load_hand("right").fingerprint})
    return root


@pytest.fixture(scope="session")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A flawless v3; never write into it."""
    folder = tmp_path_factory.mktemp("ho3d") / "v3"
    folder.mkdir()
    return write_dataset(folder, V3)


@pytest.fixture(scope="session")
def pristine_v2(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A flawless v2; never write into it."""
    folder = tmp_path_factory.mktemp("ho3d") / "v2"
    folder.mkdir()
    return write_dataset(folder, V2)


@pytest.fixture
def dataset(pristine: Path, tmp_path: Path) -> Path:
    """A copy of the flawless v3, to be damaged."""
    return Path(shutil.copytree(pristine, tmp_path / "copy"))

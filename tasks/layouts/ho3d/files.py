"""HO-3D on disk: what tells v2 from v3, the names of its files, and which sequences are one performance.

Facts: the official repository shreyashampali/ho3d (README.md, vis_HO3D.py, vis_pcl_all_cameras.py, eval.py) and the
README inside the download. The colours of the segmentations are those that third-party readers go by.
"""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

SplitName = Literal["train", "evaluation"]
SPLITS: tuple[SplitName, ...] = ("train", "evaluation")
IMAGE_SIZE_PX = (640, 480)
"""Width and height of every colour and depth image."""
MULTI_CAMERA = ("ABF1", "BB1", "GPMF1", "GSF1", "MDF1", "SB1", "ShSu1", "SiBF1", "SMu4", "MPM1", "AP1")
"""Prefixes of sequences that one performance gave to several cameras; the last digit is the camera."""
FRAME_ID = re.compile(r"[A-Za-z]+[0-9]+/[0-9]{4,6}")
MASK_SIZE_PX = (160, 120)
EVALUATION_FILES = {"joints_m": "evaluation_xyz.json", "verts_m": "evaluation_verts.json"}
"""The evaluation truth that was published in November 2024, in the form of a submission's two halves."""
SEGMENTATIONS_V2 = "HO3D_v2_segmentations_rendered"
"""A separate download for v2, beside or inside the dataset folder."""


@dataclass(frozen=True)
class Version:
    """What differs between the two releases."""

    layout: str
    title: str
    image_suffix: str
    image_format: str
    """As Pillow names it."""
    has_masks: bool
    """Whether ``train/<SEQ>/seg`` is part of the release."""
    mask_suffix: str
    mask_channel: int
    """Of the segmentation's RGB: the hand's colour."""
    n_train: int
    n_evaluation: int


V2 = Version("ho3d_v2", "HO-3D v2", ".png", "PNG", False, ".jpg", 0, 66_034, 11_524)
V3 = Version("ho3d_v3", "HO-3D v3", ".jpg", "JPEG", True, ".png", 2, 83_325, 20_137)


def list_path(root: Path, split: SplitName) -> Path:
    """The text file that lists a split's frames, a line ``SEQ/FRAME`` each."""
    return root / f"{split}.txt"


def image_path(root: Path, version: Version, split: SplitName, frame: str) -> Path:
    """The colour image of ``SEQ/FRAME``."""
    return _path(root, split, frame, "rgb", version.image_suffix)


def depth_path(root: Path, split: SplitName, frame: str) -> Path:
    """The depth image of ``SEQ/FRAME``."""
    return _path(root, split, frame, "depth", ".png")


def meta_path(root: Path, split: SplitName, frame: str) -> Path:
    """The annotation of ``SEQ/FRAME``."""
    return _path(root, split, frame, "meta", ".pkl")


def segmentation_path(root: Path, version: Version, frame: str) -> Path:
    """The segmentation of a training frame, a quarter of the image's width and height."""
    if version.has_masks:
        return _path(root, "train", frame, "seg", version.mask_suffix)
    inside = root / SEGMENTATIONS_V2
    folder = inside if inside.is_dir() else root.parent / SEGMENTATIONS_V2
    return _path(folder, "train", frame, "seg", version.mask_suffix)


def _path(root: Path, split: SplitName, frame: str, folder: str, suffix: str) -> Path:
    sequence, number = frame.split("/")
    return root / split / sequence / folder / f"{number}{suffix}"


def performance_of(sequence: str) -> str:
    """What a sequence shows: cameras of one performance share a name."""
    return sequence[:-1] if sequence[:-1] in MULTI_CAMERA else sequence

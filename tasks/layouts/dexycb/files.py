"""DexYCB on disk: subjects, cameras, the four setups, and the names of its files.

Facts: the official toolkit NVlabs/dex-ycb-toolkit (dex_ycb_toolkit/dex_ycb.py, sequence_loader.py).
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

SplitName = Literal["train", "val", "test"]
IMAGE_SIZE_PX = (640, 480)
SUBJECTS = (
    "20200709-subject-01",
    "20200813-subject-02",
    "20200820-subject-03",
    "20200903-subject-04",
    "20200908-subject-05",
    "20200918-subject-06",
    "20200928-subject-07",
    "20201002-subject-08",
    "20201015-subject-09",
    "20201022-subject-10",
)
SERIALS = (
    "836212060125",
    "839512060362",
    "840412060917",
    "841412060263",
    "932122060857",
    "932122060861",
    "932122061900",
    "932122062010",
)
"""The eight cameras, in the order of their positions."""
SEQUENCES_PER_SUBJECT = 100
HAND_LABEL = 255
"""Of the hand in ``seg``; 0 is background, 1 to 21 are YCB objects."""
N_OBJECTS = 21


@dataclass(frozen=True)
class Part:
    """Subjects, cameras and sequences of one split, by their positions in the sorted lists."""

    subjects: tuple[int, ...]
    cameras: tuple[int, ...]
    takes: Callable[[int], bool]
    """Whether it has the subject's sequence at this position."""


_ALL_SUBJECTS, _ALL_CAMERAS = tuple(range(10)), tuple(range(8))


def _every(position: int) -> bool:
    return True


SETUPS: dict[str, dict[SplitName, Part]] = {
    "s0": {
        "train": Part(_ALL_SUBJECTS, _ALL_CAMERAS, lambda i: i % 5 != 4),
        "val": Part((0, 1), _ALL_CAMERAS, lambda i: i % 5 == 4),
        "test": Part((2, 3, 4, 5, 6, 7, 8, 9), _ALL_CAMERAS, lambda i: i % 5 == 4),
    },
    "s1": {
        "train": Part((0, 1, 2, 3, 4, 5, 9), _ALL_CAMERAS, _every),
        "val": Part((6,), _ALL_CAMERAS, _every),
        "test": Part((7, 8), _ALL_CAMERAS, _every),
    },
    "s2": {
        "train": Part(_ALL_SUBJECTS, (0, 1, 2, 3, 4, 5), _every),
        "val": Part(_ALL_SUBJECTS, (6,), _every),
        "test": Part(_ALL_SUBJECTS, (7,), _every),
    },
    "s3": {
        "train": Part(_ALL_SUBJECTS, _ALL_CAMERAS, lambda i: i // 5 not in (3, 7, 11, 15, 19)),
        "val": Part(_ALL_SUBJECTS, _ALL_CAMERAS, lambda i: i // 5 in (3, 19)),
        "test": Part(_ALL_SUBJECTS, _ALL_CAMERAS, lambda i: i // 5 in (7, 11, 15)),
    },
}
"""Seen subjects, cameras and objects; unseen subjects; unseen cameras; unseen grasped objects."""


def intrinsics_path(root: Path, serial: str) -> Path:
    """A camera's intrinsics."""
    width, height = IMAGE_SIZE_PX
    return root / "calibration" / "intrinsics" / f"{serial}_{width}x{height}.yml"


def extrinsics_path(root: Path, name: str) -> Path:
    """The places of the cameras."""
    return root / "calibration" / f"extrinsics_{name}" / "extrinsics.yml"


def hand_path(root: Path, name: str) -> Path:
    """The shape of a subject's hand."""
    return root / "calibration" / f"mano_{name}" / "mano.yml"


def sequence_path(root: Path, sequence: str) -> Path:
    """What is known of a whole sequence ``SUBJECT/TIME``."""
    return root / sequence / "meta.yml"


def image_path(root: Path, sequence: str, serial: str, frame: int) -> Path:
    """A colour image."""
    return root / sequence / serial / f"color_{frame:06d}.jpg"


def depth_path(root: Path, sequence: str, serial: str, frame: int) -> Path:
    """A depth image, 16 bits, millimetres."""
    return root / sequence / serial / f"aligned_depth_to_color_{frame:06d}.png"


def label_path(root: Path, sequence: str, serial: str, frame: int) -> Path:
    """The annotation of one image."""
    return root / sequence / serial / f"labels_{frame:06d}.npz"

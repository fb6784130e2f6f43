"""What a dataset reader hands over, whatever the layout on disk."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tasks.errors import RequestError


@dataclass(frozen=True)
class Problem:
    """One defect that ``data check`` found, named by file and record."""

    file: str
    record: str
    text: str

    def __str__(self) -> str:
        where = f"{self.file}[{self.record}]" if self.record else self.file
        return f"{where}: {self.text}"


class HandSamples(ABC):
    """One split of a single-hand dataset: annotations as arrays, images on demand.

    Annotations may be shared by several images (FreiHAND's four backgrounds): ``annotation_of[i]`` is the row of
    image ``i``. Joints are in order B (finger-major, wrist first), points in metres in the OpenCV camera frame.
    """

    ids: list[str]
    """One id per image, stable across copies of the dataset; images of one sample share ``clusters``."""
    clusters: list[str]
    """The unit of replication of each image, for the bootstrap."""
    annotation_of: np.ndarray
    """(n_images,) int64."""
    intrinsics_px: np.ndarray
    """(n, 3, 3) float64."""
    joints_m: np.ndarray
    """(n, 21, 3) float32; float64, exactly as on disk, in a test split."""
    verts_m: np.ndarray
    """(n, 778, 3), likewise."""
    pose_aa: np.ndarray
    """(n, 48) float32: global rotation and 45 hand angles **with** ``hands_mean`` still to be added."""
    betas: np.ndarray
    """(n, 10) float32."""

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def mirrored(self) -> np.ndarray:
        """(n_images,) bool: the hand is a left one, so image, camera and labels are given mirrored in x."""
        return np.zeros(len(self), dtype=bool)

    def verts(self, rows: np.ndarray) -> np.ndarray:
        """(k, 778, 3): the vertices of these annotations, decoded on demand where the layout stores none."""
        return self.verts_m[rows]

    @abstractmethod
    def image(self, index: int) -> np.ndarray:
        """(H, W, 3) uint8, sRGB. Raises RequestError that names the file when it is missing or undecodable."""

    @abstractmethod
    def mask(self, index: int) -> np.ndarray | None:
        """(H, W) bool, the hand's own pixels, or None where the layout stores none for this split."""


class TwoHandSamples(ABC):
    """One split of a two-hand dataset. Hands are right, then left; joints per hand in order B, metres, camera frame.

    Where a hand has no annotation its numbers are NaN and its flags False.
    """

    ids: list[str]
    """``capture/sequence/camera/frame`` or alike, one per image, stable across copies of the dataset."""
    clusters: list[str]
    """Capture and sequence of each image: the unit of replication."""
    intrinsics_px: np.ndarray
    """(n, 3, 3) float64, of the whole image."""
    joints_m: np.ndarray
    """(n, 2, 21, 3) float32; float64 in a test split."""
    joint_valid: np.ndarray
    """(n, 2, 21) bool: annotated, inside the image, and the hand's wrist is valid."""
    hand_type: np.ndarray
    """(n,) str: ``right``, ``left`` or ``interacting``."""
    hand_type_valid: np.ndarray
    """(n,) bool."""
    has_fit: np.ndarray
    """(n, 2) bool: the hand has MANO parameters."""
    box_px: np.ndarray
    """(n, 4) float64: x, y, width, height of the annotated box around the hands."""
    image_size_px: np.ndarray
    """(n, 2) int64: width and height of the whole image, as annotated."""

    def __len__(self) -> int:
        return len(self.ids)

    @abstractmethod
    def fits(self, indices: np.ndarray) -> dict[str, np.ndarray]:
        """Camera-frame MANO fits of these images, NaN where ``has_fit`` is False.

        ``verts_m`` (k, 2, 778, 3), ``pose_aa`` (k, 2, 48) with ``hands_mean`` still to be added, ``betas`` (k, 2, 10).
        """

    @abstractmethod
    def image(self, index: int) -> np.ndarray:
        """(H, W, 3) uint8, sRGB, whole. Raises RequestError that names the file when it is missing or undecodable."""

    def brightness(self, index: int) -> float:
        """The image's mean, 0 to 255; NaN for one that cannot be decoded."""
        try:
            return float(self.image(index).mean())
        except RequestError:
            return float("nan")


class Layout(ABC):
    """A real dataset's on-disk layout: read, check, fingerprint."""

    name: str

    def __init__(self, root: Path) -> None:
        self.root = Path(root)

    @abstractmethod
    def split(self, name: str) -> Any:
        """``HandSamples`` or ``TwoHandSamples`` of ``train`` or ``test``.

        Raises RequestError for a missing or damaged file.
        """

    @abstractmethod
    def check(self) -> Iterator[Problem]:
        """Read every record and yield every problem."""

    @abstractmethod
    def fingerprint(self) -> str:
        """16 hex digits that depend on the content only: never on path, host or date."""

    @property
    @abstractmethod
    def synthetic(self) -> bool:
        """Whether the folder says that a generator wrote it."""

"""What a dataset reader hands over, whatever the layout on disk."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np


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
    """(n, 21, 3) float32."""
    verts_m: np.ndarray
    """(n, 778, 3) float32."""
    pose_aa: np.ndarray
    """(n, 48) float32: global rotation and 45 hand angles **with** ``hands_mean`` still to be added."""
    betas: np.ndarray
    """(n, 10) float32."""

    def __len__(self) -> int:
        return len(self.ids)

    @abstractmethod
    def image(self, index: int) -> np.ndarray:
        """(H, W, 3) uint8, sRGB. Raises RequestError that names the file when it is missing or undecodable."""

    @abstractmethod
    def mask(self, index: int) -> np.ndarray | None:
        """(H, W) bool, the hand's own pixels, or None where the layout stores none for this split."""


class Layout(ABC):
    """A real dataset's on-disk layout: read, check, fingerprint."""

    name: str

    def __init__(self, root: Path) -> None:
        self.root = Path(root)

    @abstractmethod
    def split(self, name: str) -> HandSamples:
        """The samples of ``train`` or ``test``. Raises RequestError for a missing or damaged file."""

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

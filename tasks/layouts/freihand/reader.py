"""Reads FreiHAND's official layout, synthetic or real, whole or cut to its first samples."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from tasks.errors import RequestError, unknown_name
from tasks.layouts.base import HandSamples, Layout, Problem
from tasks.layouts.freihand.annotations import N_BETAS, N_POSE, split_mano
from tasks.layouts.freihand.check import check_freihand
from tasks.layouts.freihand.files import (
    RECORD_SHAPES,
    SPLITS,
    VERSION_STRIDE,
    SplitName,
    annotation_path,
    image_id,
    image_ids_in,
    image_path,
    mask_path,
    read_annotation,
    sample_of,
    versions_of,
)
from tasks.layouts.images import decode
from tasks.layouts.marker import MARKER, is_synthetic

_SPLIT_OF: dict[str, SplitName] = {"train": "training", "test": "evaluation"}
_KEYS: dict[SplitName, tuple[str, ...]] = {
    "training": ("K", "xyz", "verts", "mano"),
    "evaluation": ("K", "xyz", "verts"),
}
"""Annotations that a split needs; ``scale`` follows from the joints, and scoring asks for no parameters."""
MASK_THRESHOLD = 128
"""Masks are JPEG: their values ring around 0 and 255."""


class FreiHand(Layout):
    """A FreiHAND folder. Nothing is ever written into it."""

    name = "freihand"

    def split(self, name: str) -> "FreiHandSamples":
        """The samples of ``train`` or ``test``. Raises RequestError for a missing or damaged file."""
        if name not in _SPLIT_OF:
            raise unknown_name("split", name, _SPLIT_OF)
        split = _SPLIT_OF[name]
        needed = [annotation_path(self.root, split, key) for key in _KEYS[split]]
        missing = [path.name for path in needed if not path.is_file()]
        if missing:
            raise RequestError(f"{self.root} lacks {', '.join(missing)}: {_remedy(split)}")
        return FreiHandSamples(self.root, split)

    def check(self) -> Iterator[Problem]:
        """Read every record and every image, and yield every problem; no content makes it raise."""
        return check_freihand(self.root)

    def fingerprint(self) -> str:
        """16 hex digits of all annotations, byte by byte, and of the name and length of every image."""
        digest = hashlib.sha256()
        for path in [
            self.root / MARKER,
            *(annotation_path(self.root, s, k) for s in SPLITS for k in RECORD_SHAPES),
        ]:
            digest.update(f"\n{path.name}\n".encode())
            if path.is_file():
                with path.open("rb") as file:
                    digest.update(hashlib.file_digest(file, "sha256").digest())
        for folder in ("training/rgb", "training/mask", "evaluation/rgb"):
            for path in sorted((self.root / folder).glob("*.jpg")):
                digest.update(f"{folder}/{path.name} {path.stat().st_size}\n".encode())
        return digest.hexdigest()[:16]

    @property
    def synthetic(self) -> bool:
        """Whether the marker file says that a generator wrote the folder."""
        return is_synthetic(self.root)


class FreiHandSamples(HandSamples):
    """One split: the annotations in memory, images on demand, ordered by image id."""

    def __init__(self, root: Path, split: SplitName) -> None:
        self._root, self._split = root, split
        self.intrinsics_px = read_annotation(root, split, "K", np.float64)
        exact = np.float64 if split == "evaluation" else np.float32
        self.joints_m = read_annotation(root, split, "xyz", exact)
        self.verts_m = read_annotation(root, split, "verts", exact)
        self.pose_aa, self.betas = self._parameters()
        self._image_ids = self._find_images()
        self.annotation_of = np.array([sample_of(i) for i in self._image_ids], dtype=np.int64)
        self.ids = [f"{split}/{i:08d}" for i in self._image_ids]
        self.clusters = [f"{split}/{sample_of(i):08d}" for i in self._image_ids]

    def _parameters(self) -> tuple[np.ndarray, np.ndarray]:
        """Pose (n, 48) and betas (n, 10); NaN in an evaluation set without them."""
        if self._split == "evaluation" and not annotation_path(self._root, self._split, "mano").is_file():
            n = len(self.joints_m)
            return np.full((n, N_POSE), np.nan, np.float32), np.full((n, N_BETAS), np.nan, np.float32)
        return split_mano(read_annotation(self._root, self._split, "mano"))

    def _find_images(self) -> list[int]:
        """Ids of the versions that are there: a copy may lack a whole version, never single images.

        An evaluation set may lack all of them: predictions are scored against annotations alone.
        """
        n = self._count()
        present, _ = image_ids_in(self._root / self._split / "rgb")
        versions = [
            v for v in range(versions_of(self._split)) if any(image_id(s, v) in present for s in range(n))
        ]
        if not versions and self._split == "evaluation":
            return list(range(n))
        if not versions:
            raise RequestError(
                f"{self._root / self._split / 'rgb'} holds no image: expected 00000000.jpg and on."
            )
        return [image_id(s, v) for v in versions for s in range(n)]

    def _count(self) -> int:
        counts = {"K": self.intrinsics_px, "xyz": self.joints_m, "verts": self.verts_m, "mano": self.pose_aa}
        sizes = {f"{self._split}_{key}.json": len(rows) for key, rows in counts.items()}
        if len(set(sizes.values())) > 1:
            found = ", ".join(f"{file} {n}" for file, n in sizes.items())
            raise RequestError(f"{self._root}: counts of records differ ({found}); copy the files again.")
        n = len(self.joints_m)
        if not 0 < n <= VERSION_STRIDE:
            raise RequestError(f"{self._root}: {n} {self._split} records; 1 to {VERSION_STRIDE} expected.")
        return n

    def image(self, index: int) -> np.ndarray:
        """(224, 224, 3) uint8. Raises RequestError that names the file when it is missing or undecodable."""
        return decode(image_path(self._root, self._split, self._image_ids[index]), "RGB", "JPEG", "freihand")

    def mask(self, index: int) -> np.ndarray | None:
        """(224, 224) bool, shared by all versions of a training sample; None for the evaluation set."""
        if self._split == "evaluation":
            return None
        path = mask_path(self._root, sample_of(self._image_ids[index]))
        return decode(path, "L", "JPEG", "freihand") > MASK_THRESHOLD


def _remedy(split: SplitName) -> str:
    if split == "training":
        return "expected the folder FreiHAND_pub_v2, or one that 'palmares data make freihand' wrote."
    return "the test split cannot be scored; unpack FreiHAND_pub_v2_eval.zip into the folder."

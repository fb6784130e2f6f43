"""Reads InterHand2.6M's official layout, synthetic or real: v1.0, any frame rate, any part of its captures."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from tasks.errors import RequestError, unknown_name
from tasks.layouts.base import Layout, Problem, TwoHandSamples
from tasks.layouts.images import coarse_mean, decode
from tasks.layouts.interhand26m.check import check_interhand26m
from tasks.layouts.interhand26m.files import (
    HAND_TYPES,
    KEYS,
    MM,
    SIDES,
    SPLITS,
    SplitName,
    annotation_path,
    image_folder,
    two_hands,
)
from tasks.layouts.interhand26m.fits import camera_fits, joint_regressor21
from tasks.layouts.interhand26m.frames import to_camera
from tasks.layouts.interhand26m.tables import Tables, official_order, read_flawless, scored_joints
from tasks.layouts.marker import MARKER, is_synthetic

_AT_ONCE = 65536
_SURELY_LIT = 20.0
"""Twice the level below which IntagHand's preparation calls an image black."""


class InterHand26M(Layout):
    """An InterHand2.6M folder. Nothing is ever written into it."""

    name = "interhand26m"

    def split(self, name: str) -> "InterHandSamples":
        """The samples of ``train``, ``val`` or ``test``. Raises RequestError for a missing or damaged file."""
        split = next((known for known in SPLITS if known == name), None)
        if split is None:
            raise unknown_name("split", name, SPLITS)
        paths = [annotation_path(self.root, split, key) for key in KEYS]
        missing = [str(path.relative_to(self.root)) for path in paths if not path.is_file()]
        if missing:
            raise RequestError(
                f"{self.root} lacks {', '.join(missing)}: expected the folder InterHand2.6M of v1.0, or one that "
                "'palmares data make interhand26m' wrote."
            )
        return InterHandSamples(self.root, split)

    def check(self) -> Iterator[Problem]:
        """Read every record and every image, and yield every problem; no content makes it raise."""
        return check_interhand26m(self.root)

    def fingerprint(self) -> str:
        """16 hex digits of all annotations, byte by byte, and of the name and length of every image."""
        digest = hashlib.sha256()
        for path in [self.root / MARKER, *(annotation_path(self.root, s, k) for s in SPLITS for k in KEYS)]:
            digest.update(f"\n{path.name}\n".encode())
            if path.is_file():
                with path.open("rb") as file:
                    digest.update(hashlib.file_digest(file, "sha256").digest())
        for split in SPLITS:
            folder = image_folder(self.root, split)
            for path in sorted(folder.glob("Capture*/*/cam*/*.jpg")):
                digest.update(f"{split}/{path.relative_to(folder)} {path.stat().st_size}\n".encode())
        return digest.hexdigest()[:16]

    @property
    def synthetic(self) -> bool:
        """Whether the marker file says that a generator wrote the folder."""
        return is_synthetic(self.root)


class InterHandSamples(TwoHandSamples):
    """One split: annotations in memory, meshes and images on demand, in the order of the official loader.

    Single-hand frames come first, then interacting ones. Joints are float32; in the test split float64, the numbers of
    the disk turned in float64. A joint that nobody annotated is NaN.
    """

    def __init__(self, root: Path, split: SplitName) -> None:
        self._root, self._split = root, split
        tables, joined = read_flawless(root, split)
        order = official_order(tables.annotations.hand_type)
        if not len(order):
            raise RequestError(f"{annotation_path(root, split, 'data')}: holds no annotation.")
        self._images, self._cameras, self._fits = tables.images, tables.cameras, tables.fits
        self._image_row, self._camera_row, self._fit_row = (
            rows[order] for rows in (joined.image, joined.camera, joined.fit)
        )
        self._exact = np.float64 if split == "test" else np.float32
        self._describe(tables, order)
        self._place_joints(tables, joined.joints[order], order)

    def _describe(self, tables: Tables, order: np.ndarray) -> None:
        annotations, images = tables.annotations, tables.images
        cluster_of: dict[tuple[int, str], str] = {}  # one text for all images of a sequence
        for place in zip(images.capture.tolist(), images.sequence, strict=True):
            cluster_of.setdefault(place, f"{self._split}/Capture{place[0]}/{place[1]}")
        rows = self._image_row.tolist()
        captures, frames = images.capture.tolist(), images.frame.tolist()
        self.clusters = [cluster_of[captures[row], images.sequence[row]] for row in rows]
        views = (f"cam{images.camera[row]}/{frames[row]}" for row in rows)
        self.ids = [f"{cluster}/{view}" for cluster, view in zip(self.clusters, views, strict=True)]
        self.annotation_ids = annotations.id[order]
        """(n,) int64: the official annotation ids, which RootNet's output and lists of human annotations name."""
        self.intrinsics_px = tables.cameras.intrinsics_px[self._camera_row]
        self.hand_type = np.array(HAND_TYPES)[annotations.hand_type[order]]
        self.hand_type_valid = annotations.hand_type_valid[order]
        self.box_px = annotations.box_px[order]
        self.image_size_px = tables.images.size_px[self._image_row]
        self.has_fit = np.concatenate([tables.fits.present, np.zeros((1, 2), bool)])[self._fit_row]

    def _place_joints(self, tables: Tables, joint_row: np.ndarray, order: np.ndarray) -> None:
        """Joints and flags, in portions: a full split has a million images."""
        n, cameras, joints = len(order), tables.cameras, tables.joints
        self.joints_m = np.empty((n, 2, 21, 3), self._exact)
        self.joint_valid = np.empty((n, 2, 21), bool)
        for first in range(0, n, _AT_ONCE):
            at = slice(first, first + _AT_ONCE)
            rows, camera = joint_row[at], self._camera_row[at]
            annotated = joints.annotated[rows]
            world_mm = np.where(annotated[..., None], joints.world_mm[rows], np.nan)
            turned_mm = to_camera(world_mm, cameras.camrot[camera], cameras.campos_mm[camera])
            self.joints_m[at] = two_hands(turned_mm) / MM
            self.joint_valid[at] = scored_joints(tables.annotations.joint_valid[order[at]], annotated)

    def fits(self, indices: np.ndarray) -> dict[str, np.ndarray]:
        """Camera-frame MANO fits of these images, NaN where ``has_fit`` is False.

        ``verts_m`` (k, 2, V, 3), ``pose_aa`` (k, 2, 48) with ``hands_mean`` still to be added, ``betas`` (k, 2, 10) and
        ``trans_m`` (k, 2, 3), with which pose and shape give ``verts_m``; of the type of ``joints_m``.
        """
        at = np.asarray(indices, np.int64)
        found = camera_fits(self._fits, self._fit_row[at], self._cameras, self._camera_row[at])
        return {name: array.astype(self._exact) for name, array in found.items()}

    def joints_of(self, verts_m: np.ndarray) -> np.ndarray:
        """(k, 2, 21, 3) joints in order B of meshes (k, 2, V, 3), right and left, by InterHand2.6M's regressor."""
        regressors = np.stack([joint_regressor21(side, self._root) for side in SIDES])
        return (regressors @ verts_m).astype(verts_m.dtype)

    def mesh_frames(self) -> np.ndarray:
        """(k,) int64: interacting frames beyond doubt with both fits, as protocols on meshes want them.

        IntagHand's preparation also drops frames that are dark, which only the images tell.
        """
        interacting = self.hand_type == "interacting"
        return np.flatnonzero(interacting & self.hand_type_valid & self.has_fit.all(axis=1))

    def image_path(self, index: int) -> Path:
        """The file of an image."""
        return image_folder(self._root, self._split) / self._images.file_name(int(self._image_row[index]))

    def image(self, index: int) -> np.ndarray:
        """(H, W, 3) uint8, sRGB, whole. Raises RequestError that names the file when it is missing or undecodable."""
        return decode(self.image_path(index), "RGB", "JPEG", InterHand26M.name)

    def brightness(self, index: int) -> float:
        """The image's mean, 0 to 255, of a file that is decoded whole only where a coarse mean leaves a doubt.

        An eighth of the resolution, which JPEG gives for a fraction of the time, has the same mean but for rounding.
        """
        coarse = coarse_mean(self.image_path(index))
        return super().brightness(index) if np.isnan(coarse) or coarse < _SURELY_LIT else coarse

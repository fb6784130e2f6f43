"""Reads DexYCB's official layout in one of its four setups, synthetic or real.

Left hands are given mirrored in x: image, camera, joints, vertices and pose are those of the right hand in a mirror.
Labels were made with manopth, which leaves MANO's left hand as released; so do we where we decode them.
"""

import hashlib
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from tasks.errors import RequestError, unknown_name
from tasks.hands.skeleton import MIRROR_POINT, Side, mirror_pose
from tasks.layouts.base import HandSamples, Layout, Problem
from tasks.layouts.crops import (
    crop_image,
    crop_mask,
    first_unusable,
    intrinsics_of_crops,
    joint_boxes,
    square_crops,
)
from tasks.layouts.decoding import hand_in_use, pose_hands
from tasks.layouts.dexycb.annotations import hand_angles
from tasks.layouts.dexycb.check import check_dexycb
from tasks.layouts.dexycb.files import HAND_LABEL, IMAGE_SIZE_PX, SETUPS, SplitName, image_path, label_path
from tasks.layouts.dexycb.grid import GridImage, images_in
from tasks.layouts.dexycb.labels import read_betas, read_intrinsics, read_label
from tasks.layouts.images import decode
from tasks.layouts.marker import MARKER, is_synthetic

SIDES: tuple[Side, ...] = ("right", "left")
_MILLIMETRES = 1000


class DexYcb(Layout):
    """A DexYCB folder in setup s0, the default. Nothing is ever written into it."""

    name, setup = "dexycb", "s0"

    def split(self, name: str) -> "DexYcbSamples":
        """The samples of ``train``, ``val`` or ``test``. Raises RequestError for a missing or damaged file."""
        parts = SETUPS[self.setup]
        if name not in parts:
            raise unknown_name("split", name, parts)
        return DexYcbSamples(self.root, self.setup, name)

    def check(self) -> Iterator[Problem]:
        """Read every record and every image, of all setups, and yield every problem; no content makes it raise."""
        return check_dexycb(self.root)

    def fingerprint(self) -> str:
        """16 hex digits of all annotations, and of the name and length of every image.

        Of a label, names and checksums of its arrays as the archive lists them: they say all that its content does.
        """
        digest = hashlib.sha256()
        texts = [self.root / MARKER, *sorted(self.root.glob("calibration/*/*.yml"))]
        for path in [*texts, *sorted(self.root.glob("*/*/meta.yml"))]:
            digest.update(f"\n{path.relative_to(self.root).as_posix()}\n".encode())
            digest.update(path.read_bytes() if path.is_file() else b"")
        for path in sorted(self.root.glob("*/*/*/labels_*.npz")):
            digest.update(f"{path.relative_to(self.root).as_posix()} {_checksums(path)}\n".encode())
        for path in sorted(self.root.glob("*/*/*/color_*.jpg")):
            digest.update(f"{path.relative_to(self.root).as_posix()} {path.stat().st_size}\n".encode())
        return digest.hexdigest()[:16]

    @property
    def synthetic(self) -> bool:
        """Whether the marker file says that a generator wrote the folder."""
        return is_synthetic(self.root)


class DexYcbS1(DexYcb):
    """Setup s1: unseen subjects."""

    name, setup = "dexycb_s1", "s1"


class DexYcbS2(DexYcb):
    """Setup s2: unseen cameras."""

    name, setup = "dexycb_s2", "s2"


class DexYcbS3(DexYcb):
    """Setup s3: unseen grasped objects."""

    name, setup = "dexycb_s3", "s3"


class DexYcbSamples(HandSamples):
    """One split: every image with a hand, in the official order; vertices decoded on demand."""

    def __init__(self, root: Path, setup: str, split: SplitName) -> None:
        self._root, self._split = root, split
        self._images: list[GridImage] = []
        labels: dict[str, list[np.ndarray]] = {"pose_m": [], "joint_3d": [], "joint_2d": []}
        for image in images_in(root, SETUPS[setup][split]):
            label = read_label(_label_path(root, image))
            if not (label["joint_3d"] == -1).all():
                self._images.append(image)
                for key, rows in labels.items():
                    rows.append(label[key][0])
        if not self._images:
            raise RequestError(f"{root}: the {split} split of setup {setup} holds no image with a hand.")
        self.ids = [image.name for image in self._images]
        self.clusters = [image.sequence.name for image in self._images]
        self.annotation_of = np.arange(len(self.ids), dtype=np.int64)
        self.image_ids = np.array([image.image_id for image in self._images], dtype=np.int64)
        self._left = np.array([image.sequence.side == "left" for image in self._images])
        self._read_hands(np.stack(labels["pose_m"]))
        self.joints_m = self._truth(np.stack(labels["joint_3d"]))
        self._crop(np.stack(labels["joint_2d"]).astype(np.float64))

    image_ids: np.ndarray
    """(n,) int64: the id of each image in official result files."""

    @property
    def mirrored(self) -> np.ndarray:
        """(n,) bool: the hand is a left one."""
        return self._left

    def _read_hands(self, pose_m: np.ndarray) -> None:
        """Pose and shape as the right hand's, from (n, 51)."""
        names = [image.sequence.hand for image in self._images]
        betas = {name: read_betas(self._root, name) for name in sorted(set(names))}
        self._own_betas = np.stack([betas[name] for name in names])
        self.betas = self._own_betas.astype(np.float32)
        self._trans_m = pose_m[:, 48:].astype(np.float64)
        self._own_pose_aa = pose_m[:, :48].astype(np.float64)
        for side in SIDES:
            rows = np.flatnonzero(self._left == (side == "left"))
            if len(rows):
                angles = hand_angles(hand_in_use(side, as_released=True).data, self._own_pose_aa[rows, 3:])
                self._own_pose_aa[rows, 3:] = angles
        pose = np.where(self._left[:, None], mirror_pose(self._own_pose_aa), self._own_pose_aa)
        pose[:, 3:] -= hand_in_use("right").data.hands_mean
        self.pose_aa = pose.astype(np.float32)

    def _truth(self, joints_m: np.ndarray) -> np.ndarray:
        """(n, 21, 3) joints; in a test split float64, and as the official script has them: millimetres made of the
        file's float32.
        """
        if self._split == "test":
            millimetres = joints_m * joints_m.dtype.type(_MILLIMETRES)
            joints_m = millimetres.astype(np.float64) / _MILLIMETRES
        else:
            joints_m = joints_m.astype(np.float32)
        return np.where(self._left[:, None, None], joints_m * MIRROR_POINT.astype(joints_m.dtype), joints_m)

    def _crop(self, joints_px: np.ndarray) -> None:
        """Choose the crops around the projected joints (n, 21, 2), in mirrored images of left hands."""
        width = IMAGE_SIZE_PX[0]
        cameras = {serial: read_intrinsics(self._root, serial) for serial in {i.serial for i in self._images}}
        intrinsics_px = np.stack([cameras[image.serial] for image in self._images])
        intrinsics_px[self._left, 0, 2] = width - intrinsics_px[self._left, 0, 2]
        joints_px[self._left, :, 0] = width - joints_px[self._left, :, 0]
        self.crops_px = square_crops(joint_boxes(joints_px))
        bad = first_unusable(self.crops_px)
        if bad is not None:
            raise RequestError(
                f"{_label_path(self._root, self._images[bad])}: its hand has no usable place in the image; "
                "'palmares data check dexycb' lists every problem."
            )
        self.intrinsics_px = intrinsics_of_crops(intrinsics_px, self.crops_px)

    @property
    def verts_m(self) -> np.ndarray:  # type: ignore[override]
        """(n, 778, 3) all of them decoded."""
        return self.verts(np.arange(len(self)))

    def verts(self, rows: np.ndarray) -> np.ndarray:
        """(k, 778, 3): these vertices, decoded with the model of the hand's side, left ones then mirrored.

        In a test split float64, so that scores do not depend on what is scored together; else float32.
        """
        rows, exact = np.asarray(rows), self._split == "test"
        verts = np.empty((len(rows), 778, 3), np.float64 if exact else np.float32)
        for side in SIDES:
            at = np.flatnonzero(self._left[rows] == (side == "left"))
            if len(at):
                hand = hand_in_use(side, as_released=True, exact=exact)
                pose, betas = self._own_pose_aa[rows[at]], self._own_betas[rows[at]]
                own = pose_hands(hand, pose, betas, flat_hand_mean=True)[0] + self._trans_m[rows[at]][:, None]
                verts[at] = own * MIRROR_POINT if side == "left" else own
        return verts

    def image(self, index: int) -> np.ndarray:
        """(224, 224, 3) uint8, mirrored for a left hand. Raises RequestError that names the file."""
        image = self._images[index]
        path = image_path(self._root, image.sequence.name, image.serial, image.frame)
        rgb = decode(path, "RGB", "JPEG", "dexycb", IMAGE_SIZE_PX)
        return crop_image(rgb[:, ::-1] if self._left[index] else rgb, self.crops_px[index])

    def mask(self, index: int) -> np.ndarray | None:
        """(224, 224) bool, the hand's own visible pixels, mirrored for a left hand."""
        hand = read_label(_label_path(self._root, self._images[index]), ("seg",))["seg"] == HAND_LABEL
        return crop_mask(hand[:, ::-1] if self._left[index] else hand, self.crops_px[index])


def _label_path(root: Path, image: GridImage) -> Path:
    return label_path(root, image.sequence.name, image.serial, image.frame)


def _checksums(path: Path) -> str:
    try:
        with zipfile.ZipFile(path) as archive:
            return " ".join(f"{i.filename}:{i.CRC:08x}:{i.file_size}" for i in archive.infolist())
    except (OSError, zipfile.BadZipFile, ValueError, NotImplementedError):
        return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""

"""Reads HO-3D's official layout, v2 or v3, synthetic or real."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from tasks.errors import RequestError, unknown_name
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
from tasks.layouts.ho3d.annotations import AXES, joints_from_official, opencv_pose
from tasks.layouts.ho3d.check import check_ho3d
from tasks.layouts.ho3d.files import (
    EVALUATION_FILES,
    IMAGE_SIZE_PX,
    SPLITS,
    V2,
    V3,
    SplitName,
    Version,
    image_path,
    list_path,
    meta_path,
    performance_of,
    segmentation_path,
)
from tasks.layouts.ho3d.meta import META_SHAPES, read_list, read_metas
from tasks.layouts.images import decode
from tasks.layouts.marker import MARKER, is_synthetic
from tasks.layouts.records import read_records

_SPLIT_OF: dict[str, SplitName] = {"train": "train", "test": "evaluation"}
MASK_THRESHOLD = 128


class _Ho3d(Layout):
    """An HO-3D folder. Nothing is ever written into it."""

    version: Version

    def split(self, name: str) -> "Ho3dTraining | Ho3dEvaluation":
        """The samples of ``train`` or ``test``, in the order of the list. Raises RequestError for a damaged file."""
        if name not in _SPLIT_OF:
            raise unknown_name("split", name, _SPLIT_OF)
        return (Ho3dTraining if name == "train" else Ho3dEvaluation)(self.root, self.version)

    def check(self) -> Iterator[Problem]:
        """Read every listed record and image, and yield every problem; no content makes it raise."""
        return check_ho3d(self.root, self.version)

    def fingerprint(self) -> str:
        """16 hex digits of lists, truth and annotations, byte by byte, and of the name and length of every image."""
        digest = hashlib.sha256()
        whole = [MARKER, *(list_path(self.root, split).name for split in SPLITS), *EVALUATION_FILES.values()]
        metas = sorted(path for split in SPLITS for path in (self.root / split).glob("*/meta/*.pkl"))
        for path in [*(self.root / name for name in whole), *metas]:
            digest.update(f"\n{path.relative_to(self.root).as_posix()}\n".encode())
            if path.is_file():
                with path.open("rb") as file:
                    digest.update(hashlib.file_digest(file, "sha256").digest())
        for split in SPLITS:
            for folder in ("rgb", "seg"):
                for path in sorted((self.root / split).glob(f"*/{folder}/*")):
                    name = path.relative_to(self.root).as_posix()
                    digest.update(f"{name} {path.stat().st_size}\n".encode())
        return digest.hexdigest()[:16]

    @property
    def synthetic(self) -> bool:
        """Whether the marker file says that a generator wrote the folder."""
        return is_synthetic(self.root)


class Ho3dV2(_Ho3d):
    """HO-3D v2."""

    name, version = "ho3d_v2", V2


class Ho3dV3(_Ho3d):
    """HO-3D v3."""

    name, version = "ho3d_v3", V3


class _Ho3dSamples(HandSamples):
    """What both splits share: frames of the list, each with a crop of its own."""

    def __init__(self, root: Path, version: Version, split: SplitName) -> None:
        self._root, self._version, self._split = root, version, split
        self.ids = read_list(root, split)
        self.clusters = [f"{split}/{performance_of(frame.split('/')[0])}" for frame in self.ids]
        self.annotation_of = np.arange(len(self.ids), dtype=np.int64)

    def _read_metas(self) -> dict[str, np.ndarray]:
        paths = [meta_path(self._root, self._split, frame) for frame in self.ids]
        return read_metas(self._root, paths, META_SHAPES[self._split])

    _meta: dict[str, np.ndarray]
    """Annotations as on disk, OpenGL, float64."""
    crops_px: np.ndarray
    """(n, 3) left, top and side of each crop in the whole image."""

    def _crop(self, boxes_px: np.ndarray) -> None:
        """Choose the crops around these boxes (n, 4), and what follows from them."""
        self.crops_px = square_crops(boxes_px)
        bad = first_unusable(self.crops_px)
        if bad is not None:
            raise RequestError(
                f"{meta_path(self._root, self._split, self.ids[bad])}: its hand has no usable place in the image; "
                f"'palmares data check {self._version.layout}' lists every problem."
            )
        self.intrinsics_px = intrinsics_of_crops(self._meta["camMat"], self.crops_px)

    def image(self, index: int) -> np.ndarray:
        """(224, 224, 3) uint8. Raises RequestError that names the file when it is missing or undecodable."""
        version = self._version
        path = image_path(self._root, version, self._split, self.ids[index])
        rgb = decode(path, "RGB", version.image_format, version.layout, IMAGE_SIZE_PX)
        return crop_image(rgb, self.crops_px[index])


class Ho3dTraining(_Ho3dSamples):
    """Training frames: joints as annotated, vertices decoded from the parameters with the right hand in use."""

    def __init__(self, root: Path, version: Version) -> None:
        super().__init__(root, version, "train")
        self._meta = self._read_metas()
        joints_m = joints_from_official(self._meta["handJoints3D"])
        homogeneous = joints_m @ np.swapaxes(self._meta["camMat"], 1, 2)
        with np.errstate(all="ignore"):
            self._crop(joint_boxes(homogeneous[..., :2] / homogeneous[..., 2:]))
        self.joints_m = joints_m.astype(np.float32)
        self.betas = self._meta["handBeta"].astype(np.float32)
        mean = hand_in_use("right").data.hands_mean
        self.pose_aa = opencv_pose(self._meta["handPose"], mean).astype(np.float32)

    @property
    def verts_m(self) -> np.ndarray:  # type: ignore[override]
        """(n, 778, 3) float32, all of them decoded."""
        return self.verts(np.arange(len(self)))

    def verts(self, rows: np.ndarray) -> np.ndarray:
        """(k, 778, 3) float32: these vertices, decoded in the file's own axes and then turned."""
        pose, betas, trans = (self._meta[key][rows] for key in ("handPose", "handBeta", "handTrans"))
        verts = pose_hands(hand_in_use("right"), pose, betas, flat_hand_mean=True)[0]
        return ((verts + trans[:, None]) * AXES).astype(np.float32)

    def mask(self, index: int) -> np.ndarray | None:
        """(224, 224) bool from the rendered segmentation; None for v2 without the separate download."""
        path = segmentation_path(self._root, self._version, self.ids[index])
        if not self._version.has_masks and not path.is_file():
            return None
        kind = "PNG" if path.suffix == ".png" else "JPEG"
        colours = decode(path, "RGB", kind, self._version.layout)
        scale = colours.shape[1] / IMAGE_SIZE_PX[0]
        hand = colours[..., self._version.mask_channel] > MASK_THRESHOLD
        return crop_mask(hand, self.crops_px[index] * scale)


class Ho3dEvaluation(_Ho3dSamples):
    """Evaluation frames in the official order: truth as published, float64; no parameters, no masks.

    Submissions are scored against the truth alone: a folder without any evaluation frames has NaN for cameras.
    """

    def __init__(self, root: Path, version: Version) -> None:
        missing = [name for name in EVALUATION_FILES.values() if not (root / name).is_file()]
        if missing:
            raise RequestError(
                f"{root} lacks {', '.join(missing)}: the test split cannot be scored; get the evaluation truth that "
                "was published with HO-3D in November 2024 and put it into the folder."
            )
        super().__init__(root, version, "evaluation")
        if (root / "evaluation").is_dir():
            self._meta = self._read_metas()
            self._crop(self._meta["handBoundingBox"])
        else:
            self._meta = {
                key: np.full((len(self), *shape), np.nan) for key, shape in META_SHAPES["evaluation"].items()
            }
            self.crops_px, self.intrinsics_px = np.full((len(self), 3), np.nan), self._meta["camMat"]
        self.joints_m = joints_from_official(self._read("joints_m", (21, 3)))
        self.verts_m = self._read("verts_m", (778, 3)) * AXES
        self.pose_aa = np.full((len(self), 48), np.nan, np.float32)
        self.betas = np.full((len(self), 10), np.nan, np.float32)

    def _read(self, key: str, shape: tuple[int, ...]) -> np.ndarray:
        path = self._root / EVALUATION_FILES[key]
        rows = read_records(path, shape, "the truth of the evaluation frames")
        if len(rows) != len(self):
            raise RequestError(
                f"{path} holds {len(rows)} records, but evaluation.txt lists {len(self)} frames."
            )
        return rows

    @property
    def given_wrist_m(self) -> np.ndarray:
        """(n, 3) float64 the wrist that the evaluation metas give away, OpenCV."""
        return self._meta["handJoints3D"] * AXES

    def mask(self, index: int) -> np.ndarray | None:
        """None: the evaluation set has no masks."""
        return None

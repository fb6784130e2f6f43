"""The four annotation files of a split together, and the joins between them.

Everything is joined by its keys, never by position: an annotation to its image by ``image_id``, an image to its camera
by capture and camera, to its joints and fits by capture and frame.
"""

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tasks.errors import RequestError
from tasks.layouts.base import Problem
from tasks.layouts.interhand26m.capture_files import (
    Cameras,
    Fits,
    Joints,
    read_cameras,
    read_fits,
    read_joints,
)
from tasks.layouts.interhand26m.data_file import Annotations, Images, read_data
from tasks.layouts.interhand26m.files import (
    HAND_TYPES,
    WRISTS,
    Defect,
    SplitName,
    annotation_path,
    two_hands_flags,
)

Report = Callable[[str, Defect], None]
"""Is told the annotation file (``data``, ``camera``, ...) and the defect."""
_INTERACTING = HAND_TYPES.index("interacting")


@dataclass(frozen=True)
class Tables:
    """One split, as far as it could be read."""

    images: Images
    annotations: Annotations
    cameras: Cameras
    joints: Joints
    fits: Fits


@dataclass(frozen=True)
class Joined:
    """For each annotation its row in the other tables; -1 where there is none."""

    image: np.ndarray
    camera: np.ndarray
    joints: np.ndarray
    fit: np.ndarray

    @classmethod
    def of(cls, tables: Tables) -> "Joined":
        """The joins of all annotations, in the order of the file."""
        images, annotations = tables.images, tables.annotations
        by_id = {int(i): row for row, i in enumerate(images.id)}
        image = _rows(by_id, [int(i) for i in annotations.image_id])
        captures, frames = images.capture.tolist(), images.frame.tolist()
        moments = list(zip(captures, frames, strict=True))
        places = list(zip(captures, images.camera, strict=True))
        return cls(
            image=image,
            camera=_through(image, _rows(tables.cameras.row_of, places)),
            joints=_through(image, _rows(tables.joints.row_of, moments)),
            fit=_through(image, _rows(tables.fits.row_of, moments)),
        )


def read_tables(root: Path, split: SplitName, report: Report) -> Tables:
    """The tables of a split; every file and record that cannot be read is reported and left out."""
    images, annotations, defects = read_data(annotation_path(root, split, "data"))
    cameras, camera_defects = read_cameras(annotation_path(root, split, "camera"))
    joints, joint_defects = read_joints(annotation_path(root, split, "joint_3d"))
    fits, fit_defects = read_fits(annotation_path(root, split, "MANO_NeuralAnnot"))
    found = {"data": defects, "camera": camera_defects, "joint_3d": joint_defects}
    for key, some in {**found, "MANO_NeuralAnnot": fit_defects}.items():
        for defect in some:
            report(key, defect)
    return Tables(images, annotations, cameras, joints, fits)


def read_flawless(root: Path, split: SplitName) -> tuple[Tables, Joined]:
    """The tables and joins of a split without flaw. Raises RequestError at the first record that cannot be used."""

    def refuse(key: str, defect: Defect) -> None:
        problem = Problem(str(annotation_path(root, split, key)), *defect)
        raise RequestError(f"{problem}; 'palmares data check interhand26m' lists every problem.")

    tables = read_tables(root, split, refuse)
    joined = Joined.of(tables)
    for key, rows, lacks in (
        ("data", joined.image, "names an image that is not there"),
        ("camera", joined.camera, "has no camera"),
        ("joint_3d", joined.joints, "has no joints"),
    ):
        if (rows < 0).any():
            refuse(key, (f"annotation {tables.annotations.id[rows < 0][0]}", lacks))
    return tables, joined


def official_order(hand_type: np.ndarray) -> np.ndarray:
    """(n,) single-hand frames first, then interacting ones, each in the order of the file."""
    return np.argsort(hand_type == _INTERACTING, kind="stable")


def scored_joints(joint_valid: np.ndarray, annotated: np.ndarray) -> np.ndarray:
    """(n, 2, 21) bool from (n, 42): inside the image, and the hand's wrist is too; a joint without numbers never."""
    return two_hands_flags(joint_valid & annotated) & joint_valid[:, WRISTS, None]


def _rows(row_of: Mapping[Hashable, int] | dict, keys: list) -> np.ndarray:
    return np.array([row_of.get(key, -1) for key in keys], np.int64)


def _through(image: np.ndarray, row_of_image: np.ndarray) -> np.ndarray:
    """Rows by image as rows by annotation."""
    return np.append(row_of_image, -1)[image]

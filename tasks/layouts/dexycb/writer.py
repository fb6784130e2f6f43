"""Writes DexYCB's official layout: calibration, a ``meta.yml`` a sequence, two images and a label an image."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from PIL import Image

from tasks.layouts.dexycb.annotations import Label, Sequence
from tasks.layouts.dexycb.files import (
    depth_path,
    extrinsics_path,
    hand_path,
    image_path,
    intrinsics_path,
    label_path,
    sequence_path,
)

JPEG_QUALITY = 92


def write_intrinsics(root: Path, serial: str, intrinsics_px: np.ndarray) -> None:
    """A camera's intrinsics (3, 3); depth is aligned to colour, so both have them."""
    k = np.asarray(intrinsics_px, np.float64)
    numbers = {"fx": k[0, 0], "fy": k[1, 1], "ppx": k[0, 2], "ppy": k[1, 2]}
    camera = {key: float(value) for key, value in numbers.items()}
    _write_yaml(intrinsics_path(root, serial), {"color": camera, "depth": dict(camera)})


def write_extrinsics(root: Path, name: str, to_master: Mapping[str, np.ndarray], master: str) -> None:
    """The cameras' (3, 4) transforms to the master camera, by serial; ``apriltag`` is the table's."""
    rows = {serial: [float(x) for x in np.asarray(t).ravel()] for serial, t in to_master.items()}
    _write_yaml(extrinsics_path(root, name), {"extrinsics": rows, "master": master})


def write_hand(root: Path, name: str, betas: np.ndarray) -> None:
    """The shape (10,) of a subject's hand."""
    _write_yaml(hand_path(root, name), {"betas": [float(x) for x in betas]})


def write_sequence(root: Path, sequence: Sequence) -> None:
    """The folders and the ``meta.yml`` of a sequence."""
    for serial in sequence.serials:
        (root / sequence.name / serial).mkdir(parents=True, exist_ok=True)
    content = {
        "serials": list(sequence.serials),
        "num_frames": int(sequence.num_frames),
        "extrinsics": sequence.extrinsics,
        "mano_calib": [sequence.hand],
        "mano_sides": [str(sequence.side)],
        "ycb_ids": [int(i) for i in sequence.ycb_ids],
        "ycb_grasp_ind": int(sequence.ycb_grasp_ind),
    }
    _write_yaml(sequence_path(root, sequence.name), content)


def write_image(root: Path, sequence: str, serial: str, frame: int, rgb: np.ndarray) -> None:
    """One colour image (480, 640, 3) uint8."""
    Image.fromarray(rgb).save(image_path(root, sequence, serial, frame), quality=JPEG_QUALITY)


def write_depth(root: Path, sequence: str, serial: str, frame: int, depth_m: np.ndarray) -> None:
    """One depth image (480, 640), 0 where unknown."""
    millimetres = np.clip(np.round(np.asarray(depth_m, np.float64) * 1000), 0, 2**16 - 1).astype(np.uint16)
    Image.fromarray(millimetres).save(depth_path(root, sequence, serial, frame))


def write_label(root: Path, sequence: str, serial: str, frame: int, label: Label) -> None:
    """The annotation of one image; the same content gives the same bytes."""
    np.savez_compressed(
        label_path(root, sequence, serial, frame),
        seg=label.seg,
        pose_y=label.pose_y,
        pose_m=label.pose_m,
        joint_3d=label.joint_3d,
        joint_2d=label.joint_2d,
    )


def _write_yaml(path: Path, content: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(content, sort_keys=False), encoding="ascii")

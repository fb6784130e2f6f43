"""DexYCB's annotations as they are read: calibration and sequences from YAML, a label an image from ``.npz``."""

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from tasks.errors import RequestError
from tasks.hands.model_file import load_entry
from tasks.layouts.dexycb.annotations import Sequence
from tasks.layouts.dexycb.files import (
    IMAGE_SIZE_PX,
    N_OBJECTS,
    extrinsics_path,
    hand_path,
    intrinsics_path,
    sequence_path,
)
from tasks.layouts.records import BadRecordError, record_array

LABEL_SHAPES: dict[str, tuple[int, ...]] = {"pose_m": (1, 51), "joint_3d": (1, 21, 3), "joint_2d": (1, 21, 2)}
SEG_SHAPE = IMAGE_SIZE_PX[::-1]
_MAX_YAML_BYTES = 2**20
_MAX_FRAMES = 10**6


def read_intrinsics(root: Path, serial: str) -> np.ndarray:
    """(3, 3) of a camera. Raises RequestError for a missing or damaged file."""
    path = intrinsics_path(root, serial)
    colour: Any = _read_yaml(path, "the camera's calibration").get("color")
    try:
        values = [float(colour[key]) for key in ("fx", "fy", "ppx", "ppy")]
    except (TypeError, KeyError, ValueError, OverflowError):
        raise RequestError(f"{path}: 'color' lacks numbers for fx, fy, ppx, ppy.") from None
    fx, fy, cx, cy = values
    if not (np.isfinite(values).all() and fx > 0 and fy > 0):
        raise RequestError(
            f"{path}: 'color' is no camera: finite numbers and positive focal lengths expected."
        )
    return np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1]])


def read_betas(root: Path, name: str) -> np.ndarray:
    """(10,) shape of a subject's hand. Raises RequestError for a missing or damaged file."""
    path = hand_path(root, name)
    content = _read_yaml(path, "the hand's calibration")
    try:
        betas = record_array(content.get("betas"), (10,))
    except BadRecordError as error:
        raise RequestError(f"{path}: 'betas' {error}.") from None
    if not np.isfinite(betas).all():
        raise RequestError(f"{path}: 'betas' holds NaN or infinite numbers.")
    return betas


def read_extrinsics(root: Path, name: str) -> dict[str, np.ndarray]:
    """(3, 4) transforms of the cameras to the master, by serial. Raises RequestError for a missing or damaged file."""
    path = extrinsics_path(root, name)
    places = _read_yaml(path, "the cameras' places").get("extrinsics")
    if not isinstance(places, dict):
        raise RequestError(f"{path}: 'extrinsics' holds no places of cameras.")
    found: dict[str, np.ndarray] = {}
    for serial, numbers in places.items():
        try:
            found[str(serial)] = record_array(numbers, (12,)).reshape(3, 4)
        except BadRecordError as error:
            raise RequestError(f"{path}: '{str(serial)[:40]}' {error}.") from None
        if not np.isfinite(found[str(serial)]).all():
            raise RequestError(f"{path}: '{str(serial)[:40]}' holds NaN or infinite numbers.")
    return found


def read_sequence(root: Path, name: str) -> Sequence:
    """What ``meta.yml`` of ``SUBJECT/TIME`` says. Raises RequestError for a missing or damaged file."""
    path = sequence_path(root, name)
    content = _read_yaml(path, "what is known of the sequence")

    def value(key: str, kind: type, place: int | None = None) -> Any:
        found = content.get(key)
        if place is not None and isinstance(found, list):
            found = found[place] if len(found) > place else None
        if not isinstance(found, kind) or isinstance(found, bool):
            raise RequestError(f"{path}: '{key}' is missing, or no {kind.__name__}.")
        return found

    side, n_frames = value("mano_sides", str, 0), value("num_frames", int)
    objects, serials = value("ycb_ids", list), value("serials", list)
    if side not in ("left", "right"):
        raise RequestError(f"{path}: 'mano_sides' is {side!r}: left or right expected.")
    if not 0 <= n_frames <= _MAX_FRAMES:  # none: a synthetic sequence that only keeps its place
        raise RequestError(f"{path}: 'num_frames' is {n_frames}.")
    if not all(type(i) is int and 1 <= i <= N_OBJECTS for i in objects):
        raise RequestError(
            f"{path}: 'ycb_ids' holds something that is no object number from 1 to {N_OBJECTS}."
        )
    return Sequence(
        name=name,
        num_frames=n_frames,
        ycb_ids=tuple(objects),
        ycb_grasp_ind=value("ycb_grasp_ind", int),
        side=side,
        hand=_plain_name(value("mano_calib", str, 0), path),
        extrinsics=_plain_name(value("extrinsics", str), path),
        serials=tuple(str(serial) for serial in serials),
    )


def _plain_name(name: str, path: Path) -> str:
    """A name that stays inside its folder. Raises RequestError for any other."""
    if "/" in name or "\\" in name or "\0" in name:
        raise RequestError(f"{path}: {name[:40]!r} is no name of a calibration.")
    return name


def _read_yaml(path: Path, what: str) -> dict[str, Any]:
    """The mapping in a small YAML file of plain values. Raises RequestError, naming the file."""
    try:
        if path.stat().st_size > _MAX_YAML_BYTES:
            raise RequestError(f"{path}: is too long for {what}.")
        text = path.read_text(encoding="utf-8")
        if "&" in text:  # an anchor can stand for a billion numbers
            raise RequestError(f"{path}: uses YAML anchors, which no file of DexYCB does.")
        content = yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except OSError as error:
        raise RequestError(f"{path}: cannot be read ({error.strerror}); expected {what}.") from None
    except (yaml.YAMLError, ValueError, RecursionError, OverflowError, TypeError, AttributeError):
        raise RequestError(f"{path}: is no YAML; expected {what}.") from None
    if not isinstance(content, dict):
        raise RequestError(f"{path}: holds no mapping; expected {what}.")
    return content


def read_label(path: Path, keys: tuple[str, ...] = tuple(LABEL_SHAPES)) -> dict[str, np.ndarray]:
    """Arrays of a label as they are on disk. Raises RequestError, naming file and key, for anything unusable."""
    arrays: dict[str, np.ndarray] = {}
    key = ""
    try:
        with zipfile.ZipFile(path) as archive:
            names = set(archive.namelist())
            for key in keys:
                if f"{key}.npy" not in names:
                    raise BadRecordError("is missing")
                arrays[key] = _label_array(key, load_entry(archive, archive.getinfo(f"{key}.npy")))
    except BadRecordError as error:
        raise RequestError(f"{path}[{key}]: {error}; 'palmares data check' lists every problem.") from None
    except FileNotFoundError:
        raise RequestError(f"{path} does not exist; 'palmares data check' lists every problem.") from None
    except Exception as error:  # zipfile and numpy raise a dozen types for a damaged archive
        reason = str(error).splitlines()[0][:120] if str(error) else type(error).__name__
        raise RequestError(
            f"{path}: damaged or no label of DexYCB ({reason}); copy the file again."
        ) from None
    return arrays


def _label_array(key: str, array: np.ndarray) -> np.ndarray:
    """The array, checked for its kind. Raises BadRecordError."""
    if key == "seg":
        if array.shape != SEG_SHAPE or array.dtype != np.uint8:
            raise BadRecordError(f"is {array.dtype} {array.shape}: uint8 {SEG_SHAPE} expected")
        return array
    record_array(array, LABEL_SHAPES[key])
    return array

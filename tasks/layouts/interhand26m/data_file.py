"""``data.json`` as columns: images and their annotations, without a Python object per joint.

The file of the training split holds 1.36 million of each. Its records are packed while the JSON is being read.
"""

from array import array
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from tasks.layouts.interhand26m.files import HAND_TYPES, N_JOINTS, Defect, image_name, load_json


@dataclass(frozen=True)
class Images:
    """n image records in the order of the file."""

    id: np.ndarray
    """(n,) int64."""
    size_px: np.ndarray
    """(n, 2) int64: width, height."""
    capture: np.ndarray
    """(n,) int64."""
    frame: np.ndarray
    """(n,) int64."""
    camera: list[str]
    sequence: list[str]
    odd_names: dict[int, str]
    """File names that do not follow from the other fields, by row."""

    def __len__(self) -> int:
        return len(self.id)

    def file_name(self, row: int) -> str:
        """Below the split's image folder."""
        usual = image_name(int(self.capture[row]), self.sequence[row], self.camera[row], int(self.frame[row]))
        return self.odd_names.get(row, usual)


@dataclass(frozen=True)
class Annotations:
    """n annotation records in the order of the file."""

    id: np.ndarray
    """(n,) int64."""
    image_id: np.ndarray
    """(n,) int64."""
    box_px: np.ndarray
    """(n, 4): x, y, width, height."""
    joint_valid: np.ndarray
    """(n, 42) bool: annotated and inside the image, as the file has it."""
    hand_type: np.ndarray
    """(n,) int64: index into ``HAND_TYPES``."""
    hand_type_valid: np.ndarray
    """(n,) bool."""

    def __len__(self) -> int:
        return len(self.id)


@dataclass
class _Packer:
    """Packs records as they come; a record that cannot be packed becomes a defect and leaves no row."""

    image_numbers: array = field(default_factory=lambda: array("q"))
    image_texts: list[tuple[str, str]] = field(default_factory=list)
    odd_names: dict[int, str] = field(default_factory=dict)
    annotation_numbers: array = field(default_factory=lambda: array("q"))
    boxes: array = field(default_factory=lambda: array("d"))
    valid: bytearray = field(default_factory=bytearray)
    texts: dict[str, str] = field(default_factory=dict)

    def __call__(self, record: dict) -> Any:
        """What stands in the lists afterwards: None for a packed record, a text for what is wrong with another."""
        if "images" in record or "annotations" in record:
            return record
        pack = self._annotation if "image_id" in record else self._image if "file_name" in record else None
        if pack is None:
            return "is neither an image (no 'file_name') nor an annotation (no 'image_id')"
        try:
            return pack(record)
        except KeyError as error:
            return f"lacks {error}"
        except (TypeError, ValueError, OverflowError) as error:
            return f"holds a value of the wrong kind ({str(error)[:80]})"

    def _image(self, record: dict) -> None:
        capture, frame = int(record["capture"]), int(record["frame_idx"])
        numbers = (int(record["id"]), int(record["width"]), int(record["height"]), capture, frame)
        camera, sequence = self._text(record["camera"]), self._text(record["seq_name"])
        packed = array("q", numbers)  # before anything is kept
        if record["file_name"] != image_name(capture, sequence, camera, frame):
            self.odd_names[len(self.image_texts)] = str(record["file_name"])
        self.image_numbers.extend(packed)
        self.image_texts.append((camera, sequence))

    def _annotation(self, record: dict) -> str | None:
        box = array("d", record["bbox"])
        valid = np.asarray(record["joint_valid"], np.float64).ravel()
        if len(box) != 4 or not np.isfinite(box).all():
            return "has a 'bbox' that is not four finite numbers"
        if valid.size != N_JOINTS or not np.isin(valid, (0, 1)).all():
            return f"has a 'joint_valid' that is not {N_JOINTS} times 0 or 1"
        if record["hand_type"] not in HAND_TYPES:
            return f"has the hand type {record['hand_type']!r}: one of {', '.join(HAND_TYPES)} expected"
        kind, kind_valid = HAND_TYPES.index(record["hand_type"]), int(float(record["hand_type_valid"]) == 1)
        numbers = array("q", (int(record["id"]), int(record["image_id"]), kind, kind_valid))
        self.annotation_numbers.extend(numbers)
        self.boxes.extend(box)
        self.valid.extend(valid.astype(np.uint8).tobytes())
        return None

    def _text(self, value: Any) -> str:
        """One object for equal texts: a million images come from some hundred cameras."""
        return self.texts.setdefault(str(value), str(value))


def read_data(path: Path) -> tuple[Images, Annotations, list[Defect]]:
    """The columns, and what could not be read."""
    packer = _Packer()
    content, defects = load_json(path, packer)
    for key in ("images", "annotations") if not defects else ():
        records = content.get(key)
        if not isinstance(records, list):
            defects.append((key, "is missing, or no list"))
            continue
        defects += [
            (f"{key} {i}", _text_of(record)) for i, record in enumerate(records) if record is not None
        ]
    return _images(packer), _annotations(packer), defects


def _text_of(record: Any) -> str:
    return record if isinstance(record, str) else "is no record"


def _images(packer: _Packer) -> Images:
    numbers = np.array(packer.image_numbers, np.int64).reshape(-1, 5)
    return Images(
        id=numbers[:, 0],
        size_px=numbers[:, 1:3],
        capture=numbers[:, 3],
        frame=numbers[:, 4],
        camera=[camera for camera, _ in packer.image_texts],
        sequence=[sequence for _, sequence in packer.image_texts],
        odd_names=packer.odd_names,
    )


def _annotations(packer: _Packer) -> Annotations:
    numbers = np.array(packer.annotation_numbers, np.int64).reshape(-1, 4)
    return Annotations(
        id=numbers[:, 0],
        image_id=numbers[:, 1],
        box_px=np.array(packer.boxes).reshape(-1, 4),
        joint_valid=np.frombuffer(bytes(packer.valid), np.uint8).reshape(-1, N_JOINTS).astype(bool),
        hand_type=numbers[:, 2],
        hand_type_valid=numbers[:, 3].astype(bool),
    )

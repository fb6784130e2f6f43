"""Which images a split of DexYCB has, in the toolkit's order: subject, sequence, camera, frame.

The position in this order is the image id of the official result files; images without a hand keep theirs.
Source: NVlabs/dex-ycb-toolkit, dex_ycb_toolkit/dex_ycb.py (``_mapping``), hpe_eval.py.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tasks.errors import RequestError
from tasks.layouts.dexycb.annotations import Sequence
from tasks.layouts.dexycb.files import SEQUENCES_PER_SUBJECT, SERIALS, SUBJECTS, Part
from tasks.layouts.dexycb.labels import read_sequence
from tasks.layouts.marker import is_synthetic


@dataclass(frozen=True)
class GridImage:
    """One image of a split, with or without a hand."""

    image_id: int
    sequence: Sequence
    serial: str
    frame: int

    @property
    def name(self) -> str:
        """``SUBJECT/TIME/SERIAL/FRAME``."""
        return f"{self.sequence.name}/{self.serial}/{self.frame:06d}"


def sequences_of(root: Path, subject: str) -> list[str]:
    """The sequences ``SUBJECT/TIME`` of a subject, sorted; hidden files do not count."""
    folder = root / subject
    names = [p.name for p in folder.iterdir() if p.is_dir()] if folder.is_dir() else []
    return [f"{subject}/{name}" for name in sorted(names) if not name.startswith(".")]


def cameras_of(root: Path, sequence: Sequence) -> tuple[str, ...]:
    """The cameras that filmed a sequence: all eight, or in a synthetic folder those that its ``meta.yml`` names."""
    if not is_synthetic(root):
        return SERIALS
    return tuple(serial for serial in SERIALS if serial in sequence.serials)


def sequences_in(root: Path, part: Part) -> list[Sequence]:
    """The sequences of a split. Raises RequestError where a subject's are incomplete: positions would shift."""
    found: list[Sequence] = []
    whole = not is_synthetic(root)
    for subject in (SUBJECTS[i] for i in part.subjects):
        names = sequences_of(root, subject)
        if whole and len(names) != SEQUENCES_PER_SUBJECT:
            raise RequestError(
                f"{root / subject} holds {len(names)} sequences, expected {SEQUENCES_PER_SUBJECT}: splits go by their "
                "positions; unpack the subject's archive again."
            )
        found += [read_sequence(root, name) for position, name in enumerate(names) if part.takes(position)]
    return found


def images_in(root: Path, part: Part) -> Iterator[GridImage]:
    """Every image of a split in the official order. Raises RequestError for a damaged folder."""
    serials = {SERIALS[i] for i in part.cameras}
    image_id = 0
    for sequence in sequences_in(root, part):
        for serial in (serial for serial in cameras_of(root, sequence) if serial in serials):
            for frame in range(sequence.num_frames):
                yield GridImage(image_id, sequence, serial, frame)
                image_id += 1

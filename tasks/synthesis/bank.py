"""Skins and scenes that many samples share: drawn where they are needed, or baked once into files for all processes."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from tasks.hands.hand import load_hand
from tasks.layouts.freihand.files import SPLITS, SplitName
from tasks.synthesis.backgrounds import N_SCENES, bank_scene
from tasks.synthesis.subjects import COUNTS, skin_picture

SCENES_PER_TASK = 8
BANK = "bank"
"""Folder of the files."""


@dataclass(frozen=True)
class Bank:
    """The shared pictures of one seed. What has no file in ``folder`` is drawn and kept in memory."""

    seed: int
    folder: Path

    def skin(self, split: SplitName, subject: int) -> np.ndarray:
        """(SKIN_TEXELS, SKIN_TEXELS, 3) float32 sRGB of a subject."""
        path = self._skin_path(split, subject)
        return _load(path) if path.is_file() else skin_picture(self.seed, split, subject)

    def scene(self, split: SplitName, number: int) -> np.ndarray:
        """(SCENE_PX, SCENE_PX, 3) uint8 sRGB of a background scene."""
        path = self._scenes_path(split, number // SCENES_PER_TASK)
        if path.is_file():
            return _load(path)[number % SCENES_PER_TASK]
        return bank_scene(self.seed, split, number)

    def tasks(self) -> Iterator["BakeTask"]:
        """Everything that can be baked, in portions for processes."""
        painted = load_hand("right").data.vt is not None
        for split in SPLITS:
            for subject in range(COUNTS[split] if painted else 0):
                yield BakeTask(self.folder.parent, self.seed, split, "skin", subject)
            for portion in range(N_SCENES[split] // SCENES_PER_TASK):
                yield BakeTask(self.folder.parent, self.seed, split, "scenes", portion)

    def _skin_path(self, split: SplitName, subject: int) -> Path:
        return self.folder / f"skin-{split}-{subject}.npy"

    def _scenes_path(self, split: SplitName, portion: int) -> Path:
        return self.folder / f"scenes-{split}-{portion}.npy"


@dataclass(frozen=True)
class BakeTask:
    """One file of a bank."""

    root: Path
    """What the bank's folder is in."""
    seed: int
    split: SplitName
    kind: str
    number: int

    def run(self) -> None:
        """Draw the pictures and write the file."""
        bank, split = Bank(self.seed, self.root / BANK), self.split
        bank.folder.mkdir(exist_ok=True)
        if self.kind == "skin":
            np.save(bank._skin_path(split, self.number), skin_picture(bank.seed, split, self.number))
            return
        numbers = range(self.number * SCENES_PER_TASK, (self.number + 1) * SCENES_PER_TASK)
        scenes = np.stack([bank_scene(bank.seed, split, number) for number in numbers])
        np.save(bank._scenes_path(split, self.number), scenes)


@lru_cache(maxsize=256)
def _load(path: Path) -> np.ndarray:
    return np.load(path)

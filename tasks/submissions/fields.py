"""The fields of a prediction as a submission holds them: their shapes, where they are kept, and their left hands."""

import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from tasks.errors import RequestError
from tasks.prediction_fields import SHAPES
from tasks.ragged import Fields
from tasks.registry import TASKS

BLOCK_BYTES = 2**20
"""Numbers are moved in blocks of about this size, so that memory does not grow with the number of frames."""
MAX_VERTS = 3200
"""Of a mesh in a topology of its own (a once-subdivided hand has 3,093)."""
MAX_SURFACE_ROWS = 2 * 10**6
"""Vertices or faces of one free surface (a hand that fills a dense grid of 256^3 has 3e5)."""
MIRRORED_FIELDS = ("joints_cam_m", "verts_cam_m")


class ScoredSet(Protocol):
    """What is asked of a task's test dataset."""

    @property
    def ids(self) -> Sequence[str]:
        """One id per image, in the order of the predictions."""

    samples: Any
    """``HandSamples`` or ``TwoHandSamples``."""


def task_of(layout: str) -> str:
    """The task whose predictions are handed in for a layout. Raises RequestError where there is none."""
    for name, shapes in TASKS.items():
        if layout in shapes.layouts and name in SHAPES:
            return name
    known = sorted(layout for name in SHAPES for layout in TASKS[name].layouts)
    raise RequestError(f"no submissions in the layout '{layout}': known: {', '.join(known)}.")


def sample_rows(dataset: ScoredSet) -> np.ndarray:
    """(n,) int64: the position in ``dataset.samples`` of each id."""
    position = {name: row for row, name in enumerate(dataset.samples.ids)}
    return np.array([position[name] for name in dataset.ids], np.int64)


def left_hands(dataset: ScoredSet) -> np.ndarray:
    """(n,) bool: the images that the task shows mirrored, because their hand is a left one."""
    mirrored = getattr(dataset.samples, "mirrored", None)
    if mirrored is None:
        return np.zeros(len(dataset.ids), bool)
    return np.asarray(mirrored, bool)[sample_rows(dataset)]


def mirror_left_hands(fields: Fields, dataset: ScoredSet) -> None:
    """Change the points of left hands, in place, between the original camera and the task's mirrored one."""
    left = np.flatnonzero(left_hands(dataset))
    for name in MIRRORED_FIELDS:
        values = fields.get(name)
        if isinstance(values, np.ndarray):
            for rows in np.array_split(left, max(1, -(-len(left) // block_rows(values.shape[1:])))):
                values[rows, ..., 0] *= -1


def block_rows(shape: Sequence[int], itemsize: int = 8) -> int:
    """How many records of this shape make a block."""
    return max(1, BLOCK_BYTES // max(1, itemsize * int(np.prod(shape, dtype=np.int64))))


def blocks(array: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    """The rows of an array in blocks, each with the number of its first row."""
    step = block_rows(array.shape[1:], array.dtype.itemsize)
    for start in range(0, len(array), step):
        yield start, array[start : start + step]


@dataclass
class Spool:
    """Arrays on disk: one ``.npy`` file each, in a folder that holds none of them when reading fails."""

    folder: Path
    keep: bool = True
    """Whether the arrays stay when all went well."""

    def __enter__(self) -> "Spool":
        self._is_new = not self.folder.exists()
        self._files: list[Path] = []
        self.folder.mkdir(exist_ok=True)
        return self

    def array(
        self, name: str, shape: tuple[int, ...], dtype: type[np.float64 | np.int64] = np.float64
    ) -> np.ndarray:
        """A new array on disk, to be filled; one without elements stays in memory. Raises RequestError without room.

        A full disk would not raise an error where a memory map is written to: it would end the process.
        """
        if 0 in shape:
            return np.zeros(shape, dtype)
        needed, free = 8 * int(np.prod(shape, dtype=np.int64)), shutil.disk_usage(self.folder).free
        if needed > free:
            raise RequestError(
                f"{self.folder}: '{name}' needs {needed // 10**6 + 1} MB of disk and {free // 10**6} are free; "
                "make room, or set TMPDIR to a larger disk."
            )
        path = self.folder / f"{name}.npy"
        self._files.append(path)
        return np.lib.format.open_memmap(path, mode="w+", dtype=dtype, shape=shape)

    def copy(self, name: str, values: np.ndarray) -> np.ndarray:
        """A new array with these values."""
        copied = self.array(name, values.shape)
        for start, block in blocks(values):
            copied[start : start + len(block)] = block
        return copied

    def drop(self, name: str) -> None:
        """Remove an array that was needed on the way only."""
        (self.folder / f"{name}.npy").unlink(missing_ok=True)

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if self.keep and kind is None:
            return
        for path in self._files:
            path.unlink(missing_ok=True)
        if self._is_new:
            shutil.rmtree(self.folder, ignore_errors=True)

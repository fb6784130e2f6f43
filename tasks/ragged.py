"""Predictions of which every sample has another number of rows: the vertices and faces of meshes that a field gave.

A ``Ragged`` array travels like any field of a prediction: portions are put together with ``concatenate``, rows are
taken with ``[...]``. On disk it is two plain arrays, ``name`` and ``name/counts`` (``to_arrays``, ``from_arrays``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from tasks.errors import RequestError

COUNTS = "/counts"


@dataclass(frozen=True)
class Ragged:
    """Rows of many samples, one after the other: those of sample 0 first, and of each in the order of its parts."""

    values: np.ndarray
    """(N, ...)."""
    counts: np.ndarray
    """(B, ...) int64: rows of each part of each sample; they add up to N."""

    def __post_init__(self) -> None:
        if int(self.counts.sum()) != len(self.values) or (self.counts.size and self.counts.min() < 0):
            raise RequestError(
                f"a ragged field has {len(self.values)} rows, but its counts add up to {int(self.counts.sum())}: "
                "write both again."
            )

    def __len__(self) -> int:
        return len(self.counts)

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the counts: samples first."""
        return self.counts.shape

    def __getitem__(self, rows: slice | np.ndarray) -> Ragged:
        """The samples of these rows."""
        ends = self._ends
        chosen = np.arange(len(self))[rows]
        parts = [self.values[ends[i] : ends[i + 1]] for i in chosen]
        return Ragged(np.concatenate([self.values[:0], *parts]), self.counts[rows])

    def parts(self, sample: int) -> list[np.ndarray]:
        """The rows of each part of a sample, in order."""
        counts = self.counts[sample].reshape(-1)
        first = self._ends[sample]
        return np.split(self.values[first : first + int(counts.sum())], np.cumsum(counts)[:-1])

    def part_of(self, rows: np.ndarray) -> np.ndarray:
        """The part of each of these rows of ``values``, numbered through all samples."""
        return np.searchsorted(self._part_ends, rows, side="right")

    def sample_of(self, row: int) -> int:
        """The sample that a row of ``values`` is of."""
        return int(np.searchsorted(self._ends, row, side="right")) - 1

    @cached_property
    def _part_ends(self) -> np.ndarray:
        return np.cumsum(self.counts.ravel())

    @cached_property
    def _ends(self) -> np.ndarray:
        per_sample = self.counts.reshape(len(self), -1).sum(axis=1)
        return np.concatenate([[0], np.cumsum(per_sample)]).astype(np.int64)


Field = np.ndarray | Ragged
Fields = Mapping[str, Field]


def concatenate(portions: Sequence[Field]) -> Field:
    """The samples of all portions, one after the other."""
    first = portions[0]
    if not isinstance(first, Ragged):
        return np.concatenate([np.asarray(portion) for portion in portions])
    ragged = [portion for portion in portions if isinstance(portion, Ragged)]
    return Ragged(
        np.concatenate([portion.values for portion in ragged]),
        np.concatenate([portion.counts for portion in ragged]),
    )


def to_arrays(fields: Fields, counts: str = COUNTS) -> dict[str, np.ndarray]:
    """The fields as plain arrays; ``counts`` ends the name of those that count rows."""
    arrays: dict[str, np.ndarray] = {}
    for name, field in fields.items():
        if isinstance(field, Ragged):
            arrays |= {name: field.values, name + counts: field.counts}
        else:
            arrays[name] = np.asarray(field)
    return arrays


def from_arrays(arrays: Mapping[str, np.ndarray]) -> dict[str, Field]:
    """The fields of plain arrays. Raises RequestError for counts that do not fit their rows."""
    fields: dict[str, Field] = {}
    for name, values in arrays.items():
        if name.endswith(COUNTS):
            continue
        counts = arrays.get(name + COUNTS)
        fields[name] = values if counts is None else Ragged(values, counts.astype(np.int64))
    return fields

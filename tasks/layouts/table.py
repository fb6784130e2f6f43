"""One annotation while it is being checked: its records, and which of them are still worth looking at."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from tasks.layouts.base import Problem


@dataclass
class Table:
    """Records of one kind. A record that has a problem stops being ``sound``, so that one defect is told once."""

    file: str
    rows: np.ndarray
    """(n, *shape) float64; NaN in a record that could not be read."""
    sound: np.ndarray
    """(n,) bool."""
    whole: bool = True
    """Whether the file could be read to its end."""
    places: Sequence[tuple[str, str]] | None = None
    """File and record of each row, where the rows do not come from one file."""

    @classmethod
    def of(cls, file: str, rows: Sequence[np.ndarray | None], shape: tuple[int, ...], whole: bool) -> "Table":
        """The table of these records; None is one that could not be read."""
        absent = np.full(shape, np.nan)
        stacked = np.stack([absent if row is None else row for row in rows])
        return cls(file, stacked, np.array([row is not None for row in rows]), whole)

    def __len__(self) -> int:
        return len(self.rows)

    def finite(self) -> np.ndarray:
        """(n,) bool: whether a record holds numbers only."""
        return np.isfinite(self.rows).reshape(len(self), -1).all(axis=1)

    def drop(self, bad: np.ndarray | np.bool, text: str | Callable[[int], str]) -> Iterator[Problem]:
        """Yield a problem for each sound record that is bad (n,) bool, and take it for sound no longer."""
        for index in np.flatnonzero(self.sound & bad).tolist():
            self.sound[index] = False
            file, record = self.places[index] if self.places else (self.file, str(index))
            yield Problem(file, record, text if isinstance(text, str) else text(index))

    def drop_at(self, indices: np.ndarray, text: str | Callable[[int], str]) -> Iterator[Problem]:
        """``drop`` for records given by index."""
        yield from self.drop(np.isin(np.arange(len(self)), indices), text)


def sound_together(*tables: Table) -> np.ndarray:
    """(m,) int64: the records that are sound in every table."""
    n = min(len(table) for table in tables)
    return np.flatnonzero(np.logical_and.reduce([table.sound[:n] for table in tables]))

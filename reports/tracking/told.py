"""What was told of cells, sweeps and tunings under way, and how much of it MLflow does not have yet."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from reports.record import HEADER_FILE, read_record
from reports.tracking.mirror import Mirror
from reports.tracking.sweeps import MirroredSweep, begin_sweep, end_sweep, leave_sweep
from reports.tracking.tunings import RUNNING, MirroredTuning, mirror_tuning
from reports.tracking.values import Point

LEASE = "cells/{}/lease.json"
"""In the home folder: there while some process works on a cell."""


class Told(ABC):
    """A cell, a sweep or a tuning. Writing what it owes may end in an error anywhere, and is then begun again."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.is_left = False
        """Whether nothing more will be told of it, so that it is left without an end if it has none."""
        self.is_over = False
        """Whether MLflow knows how it ended."""
        self.again_s = 0.0
        """When to try again what the server refused, by the monotonic clock."""

    @property
    @abstractmethod
    def owes(self) -> bool:
        """Whether MLflow does not know everything yet."""

    @abstractmethod
    def pay(self, mirror: Mirror) -> None:
        """Write what it owes. Raises what MLflow raises."""


class ToldCell(Told):
    """A cell that was begun (with its header) or finished (with its record)."""

    def __init__(self, name: str, header: Mapping[str, Any] | None = None) -> None:
        super().__init__(name)
        self.header = header
        self.points: list[Point] = []
        self.record_dir: Path | None = None
        self.reason: str | None = None
        self._run_id: str | None = None
        self._seen: set[tuple[str, int]] = set()

    @property
    def _has_ended(self) -> bool:
        return self.record_dir is not None or self.reason is not None or self.is_left

    @property
    def owes(self) -> bool:
        return self._has_ended or bool(self.points) or self._run_id is None

    def pay(self, mirror: Mirror) -> None:
        """Write what it owes. Raises what MLflow raises; the run may then be gone, and is found again the next time."""
        try:
            if self.record_dir is not None:
                mirror.mirror(read_record(self.record_dir))
            elif self.header is not None:
                self._pay_unfinished(self.header, mirror)
        except Exception:
            self._run_id = None
            raise
        self.is_over = self._has_ended

    def _pay_unfinished(self, header: Mapping[str, Any], mirror: Mirror) -> None:
        if self._run_id is None:
            self._run_id = mirror.begin(header).info.run_id
            self._seen = mirror.store.points_of(self._run_id)
        if self.points:
            mirror.store.log_points(self._run_id, self.points, self._seen)
            self.points = []
        if self.reason is not None:
            mirror.fail(header, self.reason)
        elif self.is_left:
            self._leave(header, mirror)

    def _leave(self, header: Mapping[str, Any], mirror: Mirror) -> None:
        """Another process may have finished it, or work on it."""
        record_dir = mirror.store.home / "records" / self.name
        if (record_dir / HEADER_FILE).exists():
            mirror.mirror(read_record(record_dir))
        elif not (mirror.store.home / LEASE.format(self.name)).exists():
            mirror.stop(header)


class ToldSweep(Told):
    """A sweep that was begun."""

    def __init__(self, declaration: Mapping[str, Any]) -> None:
        super().__init__(str(declaration["sweep"]))
        self.declaration = declaration
        self.end: MirroredSweep | None = None
        self._begun = False

    @property
    def owes(self) -> bool:
        return not self._begun or self.end is not None or self.is_left

    def pay(self, mirror: Mirror) -> None:
        """Write what it owes. Raises what MLflow raises."""
        if not self._begun:
            begin_sweep(mirror, self.declaration)
            self._begun = True
        if self.end is not None:
            end_sweep(mirror, self.end)
        elif self.is_left:
            leave_sweep(mirror, self.declaration)
        self.is_over = self.end is not None or self.is_left


class ToldTuning(Told):
    """A tuning as it was told last; what is told later holds all that was told before."""

    def __init__(self, tuning: MirroredTuning) -> None:
        super().__init__(tuning.id)
        self.tuning = tuning
        self._is_paid = False

    def hear(self, tuning: MirroredTuning) -> None:
        """How it stands by now."""
        self.tuning, self._is_paid = tuning, False

    @property
    def owes(self) -> bool:
        return not self._is_paid

    def pay(self, mirror: Mirror) -> None:
        """Write what it owes. Raises what MLflow raises."""
        mirror_tuning(mirror.store, self.tuning)
        self._is_paid = True
        self.is_over = self.tuning.state != RUNNING

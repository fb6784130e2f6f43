"""Mirroring cells, sweeps and tunings while they run, from a thread of its own."""

from __future__ import annotations

import logging
import math
import queue
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from reports.tracking.mirror import Mirror
from reports.tracking.sweeps import MirroredSweep
from reports.tracking.told import Told, ToldCell, ToldSweep, ToldTuning
from reports.tracking.tunings import MirroredTuning
from reports.tracking.values import Point, reason_of

RETRY_S = 30.0
"""How long a server that did not answer is left alone."""

log = logging.getLogger(__name__)


class LiveMirror:
    """Mirrors cells while they run: every call returns at once and none ever raises.

    A daemon thread does the writing. When the server does not answer it says so once, keeps what it is told and tries
    again after a while, and for the last time when it is closed.
    """

    def __init__(self, home: Path, retry_s: float = RETRY_S) -> None:
        self.home, self.retry_s = Path(home), retry_s
        self._jobs: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._mirror: Mirror | None = None
        self._cells: dict[str, ToldCell] = {}
        """For the thread alone, like all that follows."""
        self._sweeps: dict[str, ToldSweep] = {}
        self._tunings: dict[str, ToldTuning] = {}
        self._down, self._again_s = False, 0.0
        self._thread = threading.Thread(target=self._work, name="mlflow-mirror", daemon=True)
        self._thread.start()

    @property
    def gave_up(self) -> bool:
        """Whether the server did not answer when it was last asked."""
        return self._down

    def begin_sweep(self, declaration: Mapping[str, Any]) -> None:
        """Cells that begin from now on are children of the run of this sweep."""
        self._jobs.put(lambda: self._take_sweep(ToldSweep(declaration)))

    def end_sweep(self, declaration: Mapping[str, Any], files: Mapping[str, bytes], state: str) -> None:
        """The sweep is over for now: its tables and figures become artifacts of its run, and all its cells children."""
        self._jobs.put(lambda: self._take_end(MirroredSweep(declaration, files, state)))

    def tell_tuning(self, tuning: MirroredTuning) -> None:
        """A tuning as it stands by now."""
        self._jobs.put(lambda: self._take_tuning(tuning))

    def start(self, header: Mapping[str, Any]) -> None:
        """A cell begins, or continues: its run is created or found again, tagged ``running``."""
        self._jobs.put(lambda: self._take_cell(ToldCell(str(header["cell"]), header)))

    def log(self, cell: str, points: Sequence[Point | Mapping[str, Any]]) -> None:
        """Points of a running cell's training curves: ``Point``s or mappings with the same fields."""
        made = [point if isinstance(point, Point) else Point(**point) for point in points]
        self._jobs.put(lambda: self._take_points(cell, made))

    def finish(self, record_dir: Path) -> None:
        """A cell's record is published: complete its run from it."""
        self._jobs.put(lambda: self._take_record(Path(record_dir)))

    def fail(self, cell: str, reason: str) -> None:
        """A running cell failed."""
        self._jobs.put(lambda: self._take_failure(cell, reason))

    def close(self, timeout_s: float = 30.0) -> None:
        """Wait until everything is written, at most ``timeout_s``; ``sync`` mirrors what is left.

        What has come to no end by then is left as it is, and its run does not say that it runs.
        """
        self._jobs.put(None)
        self._thread.join(timeout_s)
        if self._thread.is_alive():
            log.warning("MLflow is slow to answer; 'palmares sync' mirrors the rest later.")

    def _take_sweep(self, told: ToldSweep) -> None:
        self._sweeps[told.name] = told

    def _take_end(self, sweep: MirroredSweep) -> None:
        told = self._sweeps.setdefault(str(sweep.said["sweep"]), ToldSweep(sweep.said))
        told.end = sweep

    def _take_tuning(self, tuning: MirroredTuning) -> None:
        self._tunings.setdefault(tuning.id, ToldTuning(tuning)).hear(tuning)

    def _take_cell(self, told: ToldCell) -> None:
        self._cells[told.name] = told

    def _take_points(self, cell: str, points: Sequence[Point]) -> None:
        if told := self._cells.get(cell):
            told.points += points

    def _take_record(self, record_dir: Path) -> None:
        told = self._cells.setdefault(record_dir.name, ToldCell(record_dir.name))
        told.record_dir = record_dir

    def _take_failure(self, cell: str, reason: str) -> None:
        if told := self._cells.get(cell):
            told.reason = reason

    def _work(self) -> None:
        while self._listen():
            self._write()
        for told in self._in_order():
            told.is_left = True
        self._write(at_once=True)

    def _listen(self) -> bool:
        """Take in all that was told since, at least one thing unless something is owed; False at the end."""
        owes = any(told.owes for told in self._in_order())
        try:
            job = self._jobs.get(timeout=self.retry_s if owes else None)
            while job is not None:
                job()
                job = self._jobs.get_nowait()
        except queue.Empty:
            return True
        return False

    def _in_order(self) -> list[Told]:
        """A sweep is there before its cells, and its end comes after them."""
        begun = [sweep for sweep in self._sweeps.values() if sweep.end is None]
        ended = [sweep for sweep in self._sweeps.values() if sweep.end is not None]
        return [*begun, *self._cells.values(), *ended, *self._tunings.values()]

    def _write(self, at_once: bool = False) -> None:
        """Write what is owed, as long as the server answers."""
        now_s = math.inf if at_once else time.monotonic()
        if now_s < self._again_s:
            return
        for told in self._in_order():
            if told.owes and told.again_s <= now_s and not self._pay(told):
                break
        self._cells = {name: told for name, told in self._cells.items() if not told.is_over}
        self._sweeps = {name: told for name, told in self._sweeps.items() if not told.is_over}
        self._tunings = {name: told for name, told in self._tunings.items() if not told.is_over}

    def _pay(self, told: Told) -> bool:
        """Write what is owed of one cell, sweep or tuning; False where the server does not answer."""
        try:
            self._mirror = self._mirror or Mirror(self.home)
            told.pay(self._mirror)
        except Exception as error:
            return self._missed(told, reason_of(error))
        self._down = False
        return True

    def _missed(self, told: Told, why: str) -> bool:
        """Something could not be written: whether the server answers all the same. It is tried again later."""
        again_s = time.monotonic() + self.retry_s
        if self._mirror is not None and self._mirror.store.answers():
            if not told.again_s:
                log.warning(
                    "MLflow did not take what %s says (%s); 'palmares sync' tries later.", told.name, why
                )
            told.again_s = again_s
            self._down = False
            return True
        if not self._down:
            log.warning("MLflow does not answer (%s); 'palmares sync' mirrors later.", why)
        self._down, self._again_s = True, again_s
        return False

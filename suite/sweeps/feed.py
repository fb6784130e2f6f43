"""What Ray Tune asks: which trial next, how one ended, and whether all is to be stopped."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from ray.tune import Stopper
from ray.tune.search import Searcher

from suite.plan import Cell
from suite.sweeps.stop import Stop
from suite.under_tune import Here

if TYPE_CHECKING:
    from suite.sweeps.driver import Driver


class Feed(Here, Searcher):
    """Hands the driver's cells to Tune, which takes it for a search algorithm."""

    def __init__(self, driver: Driver) -> None:
        Searcher.__init__(self, metric="state", mode="max")
        self.driver = driver
        self._cells: dict[str, Cell] = {}

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:
        """The next cell; None where none can begin now; FINISHED when there is none left to begin."""
        queue = self.driver.queue
        if queue.is_over or (self.driver.stop.reason and not queue.running):
            return Searcher.FINISHED
        if (cell := self.driver.take()) is None:
            return None
        self._cells[trial_id] = cell
        return {"cell": cell.id}

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        """Tell the driver, unless the trial was ended before its cell."""
        cell = self._cells.pop(trial_id, None)
        if cell is not None and not self.driver.stop.at_once:
            self.driver.over(cell, None if error else result)

    def save(self, checkpoint_path: str) -> None:
        """An empty file, since Tune moves one: the home folder knows what is done."""
        Path(checkpoint_path).touch()

    def restore(self, checkpoint_path: str) -> None:
        """Nothing."""


class StopAll(Here, Stopper):
    """Ends all trials when the sweep is stopped at once."""

    def __init__(self, stop: Stop) -> None:
        self.stop = stop

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        """No trial is stopped by what it reports."""
        return False

    def stop_all(self) -> bool:
        """Whether somebody wants an end now."""
        return self.stop.at_once

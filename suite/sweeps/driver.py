"""Running a sweep: the cell queue feeds Ray Tune, whose trials run one cell each.

Tune starts processes, uses them again, places them on the cluster and starts them anew when they die. What is to be
run, what is over and what failed is read from the home folder alone: the same command replaces a driver that died.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from suite.attempt import recorded
from suite.failures import DISK_FULL
from suite.home import Home
from suite.places import Room
from suite.plan import Cell, Header
from suite.sweeps.budget import Budget
from suite.sweeps.queue import CellQueue
from suite.sweeps.stop import Stop
from suite.sweeps.trial import run_trial
from suite.sweeps.view import View
from suite.under_tune import tune_storage
from suite.watch import Watch

FOLLOW_EVERY_S = 1.0
DEATHS_OF_A_TRIAL = 50
"""After so many, Tune gives a trial up. A cell that kills its processes is poison long before."""


class Driver:
    """One run of a sweep's cells on the Ray session that is up."""

    def __init__(
        self,
        home: Home,
        queue: CellQueue,
        cells: Sequence[Cell],
        room: Room,
        view: View,
        mirror: Any,
        budget: Budget,
    ) -> None:
        self.home, self.queue, self.room = home, queue, room
        self.view, self.mirror, self.budget = view, mirror, budget
        self.cells = {cell.id: cell for cell in cells}
        self.stop = Stop()
        self._watches: dict[str, Watch] = {}

    def run(self) -> None:
        """Run until every cell is over, the budget is spent, the disk is full or somebody presses Ctrl-C."""
        from ray import tune

        from suite.sweeps.feed import Feed, StopAll

        trial = tune.with_parameters(
            run_trial,
            home=self.home,
            cells=self.cells,
            resources=self.room.at.resources,
            directory=os.getcwd(),
        )
        with tune_storage(self.home.sweeps) as storage, self._following(), self.stop.on_signals():
            tune.Tuner(
                tune.with_resources(trial, self.room.at.of_trial),
                tune_config=tune.TuneConfig(
                    search_alg=Feed(self),
                    num_samples=-1,
                    reuse_actors=True,
                ),
                run_config=tune.RunConfig(
                    name="cells",
                    storage_path=storage,
                    stop=StopAll(self.stop),
                    failure_config=tune.FailureConfig(max_failures=DEATHS_OF_A_TRIAL),
                    verbose=0,
                ),
            ).fit()

    def take(self) -> Cell | None:
        """The next cell, where one can begin."""
        if not self.stop.reason and len(self.queue.running) >= self.room.count:
            self.room.want(self.queue.startable)
            return None
        self.room.suffices()
        if self.stop.reason or (cell := self.queue.take()) is None:
            return None
        if not self.budget.allows(cell, [task.cell for task in self.queue.running.values()]):
            self.queue.put_back(cell)
            self.stop.softly(f"the budget of {self.budget} is spent")
            return None
        self._watches[cell.id] = Watch(self.home, cell)
        self.mirror.start(cell.header())
        self.view.began(cell)
        return cell

    def over(self, cell: Cell, result: Mapping[str, Any] | None) -> None:
        """A trial has ended: its cell is done, has failed, is another's, or will be tried again."""
        self._watches.pop(cell.id, None)
        said = result or {"state": "failed", "reason": "its processes kept dying", "final": True}
        header: Header = {**cell.header(), "state": said["state"], "reason": said["reason"]}
        if said["state"] == "done":
            self.mirror.finish(self.home.records / cell.id)
            header = recorded(self.home, cell)
            self.budget.spent(header)
            self.queue.close(header)
        elif said["state"] == "failed" and said.get("kind") == DISK_FULL:
            self.queue.put_back(cell)
            self.stop.softly(f"the disk of '{self.home.root}' is full: free some space")
        elif said["state"] == "failed" and said["final"]:
            self.mirror.fail(cell.id, said["reason"])
            self.queue.close(header)
        else:
            self.queue.put_back(cell)
        self.view.ended(cell, header)

    @contextlib.contextmanager
    def _following(self) -> Iterator[None]:
        """A thread looks how far the running cells are, for the view and for MLflow."""
        over = threading.Event()

        def follow() -> None:
            while not over.wait(FOLLOW_EVERY_S):
                for cell, watch in list(self._watches.items()):
                    standing = watch.look()
                    self.mirror.log(cell, watch.news)
                    self.view.stands(cell, standing)

        thread = threading.Thread(target=follow, daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()

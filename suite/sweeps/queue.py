"""Which cell next: one whose work nobody is doing already, the ones that many others wait for first.

A cell makes what is not cached of its stages, and what these learn from. Two cells that would make the same thing at
the same time would have to wait for each other, each on a place of its own; so they are begun one after the other,
and with them in mind: what most waiting cells share is made first.
"""

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import cached_property
from itertools import islice

from suite.attempt import is_recorded, recorded
from suite.failures import is_final, read_failure
from suite.home import Home
from suite.lease import alive, read_lease
from suite.plan import Cell, Header
from suite.stage_plan import planned_stages
from suite.stages import StageCache
from suite.sweeps.sweep import with_sources

LOOK_EVERY_S = 2.0


class Task:
    """A cell in the queue, and what it may have to make."""

    def __init__(self, cell: Cell) -> None:
        self.cell = cell

    @property
    def id(self) -> str:
        return self.cell.id

    @cached_property
    def keys(self) -> frozenset[str]:
        """The stages that it needs, by their keys in the cache."""
        return frozenset(stage.key for stage in planned_stages(self.cell))


class CellQueue:
    """The cells of a sweep that have no record yet, and the headers of those that are over."""

    def __init__(self, home: Home, cells: Sequence[Cell]) -> None:
        self.home = home
        self.outcome: dict[str, Header] = {}
        self.waiting: dict[str, Task] = {}
        self.running: dict[str, Task] = {}
        self._cache = StageCache(home)
        self._made: set[str] = set()
        self._looked_s = time.monotonic()
        for cell in with_sources(cells):
            self._sort_in(cell)
        self._look_for({key for task in self.waiting.values() for key in task.keys})

    def _sort_in(self, cell: Cell) -> None:
        failure = read_failure(self.home.cells / cell.id)
        if is_recorded(self.home, cell):
            self.outcome[cell.id] = recorded(self.home, cell)
        elif failure and is_final(failure):
            self.outcome[cell.id] = {**cell.header(), "state": "failed", "reason": failure["reason"]}
        else:
            self.waiting[cell.id] = Task(cell)

    @property
    def is_over(self) -> bool:
        """Whether nothing waits and nothing runs."""
        return not self.waiting and not self.running

    def take(self) -> Cell | None:
        """The cell to run next, from now on under way; None where all that could begin now would have to wait."""
        task = next(self._startable(), None)
        if task is None:
            return None
        self.running[task.id] = self.waiting.pop(task.id)
        return task.cell

    def startable(self, most: int) -> int:
        """How many of those that wait could begin at the same time now, if there were room; counted up to ``most``."""
        return sum(1 for _ in islice(self._startable(), most))

    def put_back(self, cell: Cell) -> None:
        """The cell was not run after all: another process has it, or it is to be tried again."""
        self.waiting[cell.id] = self.running.pop(cell.id)

    def close(self, header: Header) -> None:
        """A cell is over, done or failed."""
        self.running.pop(header["cell"], None)
        self.outcome[header["cell"]] = header

    def _startable(self) -> Iterator[Task]:
        """What none under way makes already, nor one before it; what most others wait for comes first."""
        self._look_at_others()
        self._look_for({key for task in self.running.values() for key in task.keys})
        in_work = {key for task in self.running.values() for key in self._unmade(task)}
        wanted = Counter(key for task in self.waiting.values() for key in self._unmade(task))
        for task in sorted(self.waiting.values(), key=lambda task: -self._unlocks(task, wanted)):
            if in_work.isdisjoint(self._unmade(task)) and self._is_ready(task.cell):
                in_work |= self._unmade(task)
                yield task

    def _unlocks(self, task: Task, wanted: Counter[str]) -> int:
        """How many other cells wait for what it would make."""
        return sum(wanted[key] - 1 for key in self._unmade(task))

    def _unmade(self, task: Task) -> frozenset[str]:
        return task.keys - self._made

    def _look_for(self, keys: set[str]) -> None:
        self._made |= {key for key in keys - self._made if self._cache.note(key) is not None}

    def _look_at_others(self) -> None:
        """Now and then: what other processes have finished in the meantime."""
        if time.monotonic() - self._looked_s < LOOK_EVERY_S:
            return
        self._looked_s = time.monotonic()
        for task in list(self.waiting.values()):
            if is_recorded(self.home, task.cell):
                del self.waiting[task.id]
                self.outcome[task.id] = recorded(self.home, task.cell)

    def _is_ready(self, cell: Cell) -> bool:
        """Whether nobody else has it, and the cell whose predictions it is given is over."""
        if cell.source and cell.source.id not in self.outcome:
            return False
        lease = read_lease(self.home.cells / cell.id)
        return not (lease and alive(lease))

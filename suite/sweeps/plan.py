"""``palmares plan``: what a sweep would run, take and share. Starts nothing and writes nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from suite.failures import is_final, read_failure
from suite.home import Home
from suite.lease import alive, read_lease
from suite.plan import Cell
from suite.stage_plan import planned_stages
from suite.stages import StageCache
from suite.sweeps.forecast import Costs
from suite.sweeps.queue import with_sources
from suite.sweeps.sweep import Sweep

DONE, PLANNED, RUNNING, FAILED = "done", "planned", "running", "failed"


@dataclass(frozen=True)
class Forecast:
    """What is left of a sweep, in stages and seconds."""

    cells: Sequence[Cell]
    states: Mapping[str, str]
    to_train: int
    """Stages that have to be trained."""
    cached: int
    """Stages that cells to do find trained already."""
    shared: int
    """Trainings that are saved since one is used by several cells to do."""
    seconds: float
    """Of the cells whose cost is known, one after the other."""
    unknown: int
    """Cells of which nothing is known."""
    longest_s: float

    @property
    def count(self) -> Counter[str]:
        """How many cells are in each state."""
        return Counter(self.states.values())

    def finish_s(self, places: int) -> float:
        """When so many cells at a time would be through."""
        return max(self.seconds / places, self.longest_s)


def forecast(home: Home, sweep: Sweep, costs: Costs) -> Forecast:
    """Look at every cell and every stage of a sweep once."""
    cells = with_sources(sweep.cells)
    states = _states(home, cells)
    to_do = [cell for cell in cells if states[cell.id] != DONE]
    planned = {cell.id: planned_stages(cell) for cell in to_do}
    uses = Counter(stage.key for stages in planned.values() for stage in stages)
    cache = StageCache(home)
    made = {key for key in uses if cache.note(key) is not None}
    unmade = set(uses) - made
    each, left = [], set(unmade)
    for cell in to_do:
        mine = {stage.key for stage in planned[cell.id]} & left
        each.append(costs.seconds(cell, lambda stage, mine=mine: stage.key not in mine))
        left -= mine
    known = [seconds for seconds in each if seconds is not None]
    return Forecast(
        cells=cells,
        states=states,
        to_train=len(unmade),
        cached=sum(uses[key] for key in made),
        shared=sum(uses[key] - 1 for key in unmade),
        seconds=sum(known),
        unknown=len(each) - len(known),
        longest_s=max(known, default=0.0),
    )


def _states(home: Home, cells: Sequence[Cell]) -> dict[str, str]:
    """Done, running, failed for good, or planned: two listings and a look at the cells that somebody has begun."""
    recorded, begun = _names(home.records), _names(home.cells)
    found = {}
    for cell in cells:
        if cell.id in recorded:
            found[cell.id] = DONE
        else:
            found[cell.id] = _begun(home, cell.id) if cell.id in begun else PLANNED
    return found


def _names(folder: Any) -> set[str]:
    return {path.name for path in folder.glob("[0-9a-f]*")}


def _begun(home: Home, cell: str) -> str:
    folder = home.cells / cell
    lease, failure = read_lease(folder), read_failure(folder)
    if lease and alive(lease):
        return RUNNING
    return FAILED if failure and is_final(failure) else PLANNED

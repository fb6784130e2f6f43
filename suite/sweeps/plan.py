"""``palmares plan``: what a sweep would run, take and share. Starts nothing and writes nothing."""

from __future__ import annotations

import math
import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from suite.failures import is_final, read_failure
from suite.home import Home
from suite.lease import alive, read_lease
from suite.places import Places, Room, places
from suite.plan import Cell
from suite.progress import duration
from suite.stage_plan import planned_stages
from suite.stages import StageCache
from suite.sweeps.budget import devices
from suite.sweeps.forecast import Costs
from suite.sweeps.sweep import Sweep, with_sources
from suite.train import Resources

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
    made = {key for key in _names(home.stages) & set(uses) if cache.note(key) is not None}
    unmade = set(uses) - made
    each, left = [], set(unmade)
    for cell in to_do:
        mine = [stage for stage in planned[cell.id] if stage.key in left]
        each.append(costs.seconds(cell, mine))
        left.difference_update(stage.key for stage in mine)
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


def here(resources: Resources, jobs: int | None) -> Room:
    """The room on this machine; a cluster's is known once it is asked. GPUs are taken to be there."""
    gpus = math.ceil(resources.gpus_per_worker * max(1, resources.workers) * (jobs or 1))
    machine = {"CPU": float(os.cpu_count() or 1), "GPU": float(gpus)}
    return Room(places(resources, [machine], jobs), lambda: [machine])


def forecast_json(sweep: Sweep, outlook: Forecast, room: Room) -> dict[str, Any]:
    """The forecast for programs."""
    from reports.record import cell_json

    count, unit = outlook.count, _unit(room.at)
    return {
        "sweep": sweep.id,
        "cells": [
            cell_json({**cell.header(), "state": outlook.states[cell.id], "axis": sweep.axis_of.get(cell.id)})
            for cell in outlook.cells
        ],
        "done": count[DONE],
        "to_do": len(outlook.cells) - count[DONE],
        "failed": count[FAILED],
        "stages_to_train": outlook.to_train,
        "stages_cached": outlook.cached,
        "stages_shared": outlook.shared,
        "cost": {
            "seconds": outlook.seconds,
            f"{unit}_hours": outlook.seconds * devices(room.at.resources, f"{unit}h") / 3600,
            "finish_s": outlook.finish_s(room.count),
            "at_once": room.count,
            "cells_of_unknown_cost": outlook.unknown,
        },
    }


def forecast_lines(sweep: Sweep, outlook: Forecast, room: Room) -> Iterator[str]:
    """The forecast for people."""
    count, unit = outlook.count, _unit(room.at)
    to_do = len(outlook.cells) - count[DONE]
    failed = f", {count[FAILED]} failed (palmares requeue puts them back)" if count[FAILED] else ""
    yield f"{sweep.name}, sweep {sweep.id}"
    yield f"cells   {len(outlook.cells):,}: {count[DONE]:,} done, {to_do:,} to do{failed}"
    yield f"stages  {outlook.to_train:,} to train; {outlook.cached:,} cached, {outlook.shared:,} shared between cells"
    if outlook.unknown < to_do:
        hours = outlook.seconds * devices(room.at.resources, f"{unit}h") / 3600
        finish = duration(outlook.finish_s(room.count))
        yield f"cost    about {hours:.1f} {unit.upper()}-hours, {finish} with {room.count} at once"
    if outlook.unknown:
        yield f"        {outlook.unknown:,} cells of unknown cost: nothing of their kind has finished yet"


def _unit(at: Places) -> str:
    return "gpu" if at.resources.gpus_per_worker else "cpu"

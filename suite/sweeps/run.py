"""``palmares sweep`` and ``palmares plan``: from a sweep to its cells' headers, and what that would take."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from suite.cluster import on_cluster, room_on
from suite.failures import read_failure
from suite.home import Home
from suite.output import STOPPED
from suite.plan import Cell, Header
from suite.sweeps.budget import Budget
from suite.sweeps.driver import Driver
from suite.sweeps.forecast import Costs
from suite.sweeps.queue import CellQueue
from suite.sweeps.stop import CTRL_C, TERMINATED
from suite.sweeps.sweep import Sweep, save
from suite.sweeps.view import View
from suite.tidy import tidy
from suite.train import Resources

if TYPE_CHECKING:
    from reports.tracking.sweeps import MirroredSweep


@dataclass(frozen=True)
class Outcome:
    """The headers of a sweep's cells, and why it ended before its time, if it did."""

    headers: list[Header]
    stopped: str | None

    @property
    def state(self) -> str:
        """``done``, ``failed`` where a cell has, ``stopped`` where cells are left to run."""
        states = {header["state"] for header in self.headers}
        if self.stopped or states - {"done", "failed"}:
            return "stopped"
        return "failed" if "failed" in states else "done"

    @property
    def exit_code(self) -> int:
        """0 done; 1 a cell failed, or cells are left; 130 stopped by Ctrl-C."""
        if self.stopped in (CTRL_C, TERMINATED):
            return STOPPED
        return 0 if self.state == "done" else 1


def run_sweep(
    home: Home,
    sweep: Sweep,
    resources: Resources,
    jobs: int | None = None,
    address: str | None = None,
    budget: tuple[float, str] | None = None,
) -> Outcome:
    """Run what is missing of a sweep, and mirror it all; a sweep that is whole starts nothing."""
    from reports.tracking.live import LiveMirror

    declared = save(home, sweep)
    queue = CellQueue(home, sweep.cells)
    mirror = LiveMirror(home.root)
    mirror.begin_sweep(declared)
    for header in queue.outcome.values():
        if header["state"] == "failed":  # by a driver that may have been killed before it could say so
            mirror.start(header)
            mirror.fail(header["cell"], header["reason"])
    stopped = None
    try:
        if not queue.is_over:
            stopped = _run_missing(home, sweep, queue, mirror, resources, jobs, address, budget)
        outcome = Outcome([_header(sweep, cell, queue.outcome) for cell in sweep.cells], stopped)
        mirror.end_sweep(declared, _tables(home, declared), outcome.state)
        return outcome
    finally:
        mirror.close()


def _run_missing(
    home: Home,
    sweep: Sweep,
    queue: CellQueue,
    mirror: Any,
    resources: Resources,
    jobs: int | None,
    address: str | None,
    budget: tuple[float, str] | None,
) -> str | None:
    """Run the queue's cells on Ray; returns why the sweep ended before its time, if it did."""
    costs = Costs.of(home, {cell.method.name for cell in sweep.cells})
    waiting = [task.cell for task in queue.waiting.values()]
    try:
        with on_cluster(resources, address) as machines, View(sweep, queue.outcome, costs) as view:
            room = room_on(machines, resources, jobs, address)
            limit, unit = budget or (None, "cpuh")
            spendable = Budget(limit, unit, room.at.resources, costs)
            driver = Driver(home, queue, waiting, room, view, mirror, spendable)
            driver.run()
            return driver.stop.reason
    finally:
        tidy(home)


def _header(sweep: Sweep, cell: Cell, outcome: Mapping[str, Header]) -> Header:
    """How a cell ended, or that it waits, and which axis it is a value of."""
    header = outcome.get(cell.id) or {**cell.header(), "state": "planned", "reason": None}
    return {**header, "axis": sweep.axis_of.get(cell.id)}


def _tables(home: Home, declared: Mapping[str, Any]) -> dict[str, bytes]:
    """The ablation tables and figures of the sweep, of the cells that are done; for MLflow."""
    from reports.record import read_record
    from reports.sweep_files import sweep_files
    from suite.reporting import published_numbers

    cells = {cell for point in declared["points"] for cell in point["cells"].values()}
    done = [read_record(home.records / cell) for cell in sorted(cells) if (home.records / cell).is_dir()]
    return sweep_files(declared, done, published_numbers()) if done else {}


def every_sweep(home: Home) -> Iterator[MirroredSweep]:
    """The sweeps of a home folder as the mirror shows them."""
    from reports.ablations.declared import read_sweeps
    from reports.tracking.sweeps import MirroredSweep

    for said in read_sweeps(home.sweeps):
        cells = {cell for point in said["points"] for cell in point["cells"].values()}
        missing = [cell for cell in cells if not (home.records / cell).is_dir()]
        failed = any(read_failure(home.cells / cell) for cell in missing)
        state = "failed" if failed else "stopped" if missing else "done"
        yield MirroredSweep(said, _tables(home, said), state)

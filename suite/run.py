"""Running cells one after the other. One failing cell stops no other."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from suite.attempt import attempt, is_recorded, recorded
from suite.cluster import on_cluster
from suite.home import Home
from suite.places import places
from suite.plan import Cell, Header
from suite.progress import say
from suite.tidy import tidy
from suite.train import Resources
from tasks.errors import RequestError

if TYPE_CHECKING:
    from reports.tracking.live import LiveMirror


def run_cells(
    home: Home, cells: Sequence[Cell], resources: Resources, address: str | None = None
) -> list[Header]:
    """Run every cell that has no record yet; returns the headers of all, failed ones with their reason.

    A cell that gives its predictions to another one is run before it.
    """
    from reports.tracking.live import LiveMirror

    mirror = LiveMirror(home.root)
    runner = Runner(home, resources, mirror)
    try:
        if all(runner.is_done(cell) for cell in cells):
            return [runner.header(cell) for cell in cells]
        if resources.workers == 0:
            require_gpu(resources)
            return [runner.header(cell) for cell in cells]
        with on_cluster(resources, address) as machines:
            runner.resources = places(resources, machines(), jobs=1).resources
            return [runner.header(cell) for cell in cells]
    finally:
        tidy(home)
        mirror.close()


def require_gpu(resources: Resources) -> None:
    """Raise RequestError where this process is to use a GPU that torch does not find."""
    import torch

    if resources.gpus_per_worker and not torch.cuda.is_available():
        raise RequestError(
            "a GPU was asked for and torch finds none: leave out --gpus-per-worker ('palmares doctor' tells why)."
        )


class Runner:
    """Runs cells one after the other, each once."""

    def __init__(self, home: Home, resources: Resources, mirror: "LiveMirror") -> None:
        self.home, self.resources, self.mirror = home, resources, mirror
        self._headers: dict[str, Header] = {}

    def is_done(self, cell: Cell) -> bool:
        """Whether the cell has a record."""
        return is_recorded(self.home, cell)

    def header(self, cell: Cell) -> Header:
        """The cell's header, after running it where it has no record."""
        if cell.id not in self._headers:
            self._headers[cell.id] = self._done(cell) if self.is_done(cell) else self._run(cell)
        return self._headers[cell.id]

    def _done(self, cell: Cell) -> Header:
        say(f"{cell.label}: done before, cell {cell.id}")
        self.mirror.finish(self.home.records / cell.id)
        return recorded(self.home, cell)

    def _run(self, cell: Cell) -> Header:
        source = self.header(cell.source) if cell.source else None
        if source and source["state"] == "running":
            return {**cell.header(), "state": "planned", "reason": f"waits: {source['reason']}"}
        return attempt(self.home, cell, self.resources, self.mirror, source)

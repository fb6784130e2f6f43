"""What a person sees of a sweep that runs: a tree of axes and variants on a terminal, plain lines when piped.

Always on standard error. Cells that several axes share are shown with the default alone.
"""

from __future__ import annotations

import sys
import threading
import time
from collections import Counter
from collections.abc import Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any

from suite.plan import Cell, Header
from suite.progress import duration, say
from suite.sweeps.axes import setting_text
from suite.sweeps.forecast import Costs
from suite.sweeps.sweep import Point, Sweep
from suite.watch import Standing

if TYPE_CHECKING:
    from rich.text import Text
    from rich.tree import Tree

PLAIN_LINE_EVERY_S = 30.0
REFRESH_PER_S = 2
WAITING, RUNNING, DONE, FAILED = "waiting", "running", "done", "failed"
MARKS = {WAITING: ("·", "dim"), RUNNING: ("▶", "cyan"), DONE: ("✓", "green"), FAILED: ("✗", "red")}


class Running:
    """A cell under way: since when, how far, and how long it is expected to take."""

    def __init__(self, expected_s: float | None) -> None:
        self.since, self.expected_s = time.monotonic(), expected_s
        self.standing: Standing | None = None

    def __str__(self) -> str:
        spent = duration(time.monotonic() - self.since)
        parts = [_standing_text(self.standing)] if self.standing else []
        parts.append(f"{spent} of about {duration(self.expected_s)}" if self.expected_s else spent)
        return ", ".join(parts)


class View:
    """Told of every cell by the driver, from any thread; a context in which it is shown."""

    def __init__(self, sweep: Sweep, outcome: Mapping[str, Header], costs: Costs) -> None:
        self.sweep, self.costs = sweep, costs
        self.states = {cell.id: outcome.get(cell.id, {}).get("state", WAITING) for cell in sweep.cells}
        self.running: dict[str, Running] = {}
        self._began = self._spoken = time.monotonic()
        self._lock = threading.Lock()
        self._live: Any = None

    def __enter__(self) -> View:
        if sys.stderr.isatty():
            from rich.console import Console
            from rich.live import Live

            self._live = Live(
                console=Console(stderr=True),
                get_renderable=self.tree,
                refresh_per_second=REFRESH_PER_S,
                vertical_overflow="ellipsis",
            )
            self._live.start()
        else:
            say(f"{self.sweep.name}: {self.summary()}")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.stop()
        say(f"{self.sweep.name}: {self.summary()}, {duration(time.monotonic() - self._began)}")

    def began(self, cell: Cell) -> None:
        """A cell begins."""
        with self._lock:
            self.states[cell.id] = RUNNING
            self.running[cell.id] = Running(self.costs.seconds(cell))
        self._plain(f"{cell.label}: begins")

    def stands(self, cell: str, standing: Standing) -> None:
        """A running cell has got so far."""
        with self._lock:
            if cell in self.running:
                self.running[cell].standing = standing
        if self._live is None and time.monotonic() - self._spoken >= PLAIN_LINE_EVERY_S:
            self._plain(f"{self.summary()}; {self._doing()}")

    def ended(self, cell: Cell, header: Header) -> None:
        """A cell is done, has failed, or waits again."""
        state = header["state"] if header["state"] in (DONE, FAILED) else WAITING
        with self._lock:
            self.states[cell.id] = state
            was = self.running.pop(cell.id, None)
        reason = f": {header['reason']}" if header.get("reason") else ""
        self._plain(
            f"{cell.label}: {state}{reason}{f' after {duration(time.monotonic() - was.since)}' if was else ''}"
        )

    def summary(self) -> str:
        """``5 of 12 done, 2 running, 1 failed``."""
        count = Counter(self.states.values())
        parts = [f"{count[DONE]} of {len(self.states)} cells done"]
        parts += [f"{count[state]} {state}" for state in (RUNNING, FAILED) if count[state]]
        return ", ".join(parts)

    def tree(self) -> Tree:
        """The sweep as it stands: axes, their values, and a mark per seed."""
        from rich.tree import Tree

        with self._lock:
            spent = duration(time.monotonic() - self._began)
            root = Tree(f"[bold]{self.sweep.name}[/]  {self.summary()}, {spent}")
            root.add(self._point("default", self.sweep.default))
            if self.sweep.as_grid:
                for point in self.sweep.points[1:]:
                    root.add(self._point(_value_text(point), point))
            for axis in () if self.sweep.as_grid else self.sweep.axes:
                branch = root.add(f"{axis.name}  [dim]{axis.metric}, expected: {axis.expect}[/]")
                for point in self.sweep.of(axis):
                    name = _value_text(point)
                    is_default = point.is_same(self.sweep.default)
                    branch.add(f"{name}  [dim]the default[/]" if is_default else self._point(name, point))
            return root

    def _point(self, name: str, point: Point) -> Text:
        from rich.text import Text

        line = Text(f"{name}  ")
        for cell in point.cells:
            mark, style = MARKS[self.states.get(cell.id, WAITING)]
            line.append(f"{mark} {cell.seed}", style)
            if cell.id in self.running:
                line.append(f" ({self.running[cell.id]})", "cyan")
            line.append("  ")
        return line

    def _doing(self) -> str:
        labels = {cell.id: cell.label for cell in self.sweep.cells}
        with self._lock:
            return "; ".join(f"{labels.get(cell, cell)}: {running}" for cell, running in self.running.items())

    def _plain(self, text: str) -> None:
        if self._live is None:
            self._spoken = time.monotonic()
            say(text)


def _standing_text(standing: Standing) -> str:
    parts = [standing.doing]
    if standing.total:
        parts.append(f"{standing.done}/{standing.total}")
    if standing.loss is not None:
        parts.append(f"loss {standing.loss:.3g}")
    return " ".join(parts)


def _value_text(point: Point) -> str:
    return ", ".join(f"{axis.name} {setting_text(value)}" for axis, value in point.variant.values)

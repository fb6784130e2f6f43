"""Progress of long work: a bar on a terminal, plain lines when piped; always on standard error."""

import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any

from suite.home import read_json

PLAIN_LINE_EVERY_S = 10.0
POLL_S = 0.5


class Progress:
    """One piece of work with a name, a count and a note: ``with Progress("making data") as show: show(3, 10)``."""

    def __init__(self, label: str, unit: str = "") -> None:
        self.label, self.unit = label, unit
        self._started = self._spoken = time.monotonic()
        self._bar: Any = None
        self._task: Any = None

    def __enter__(self) -> "Progress":
        if sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import (
                BarColumn,
                MofNCompleteColumn,
                TextColumn,
                TimeElapsedColumn,
                TimeRemainingColumn,
            )
            from rich.progress import Progress as Bar

            self._bar = Bar(
                TextColumn("{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                TextColumn(self.unit),
                TimeElapsedColumn(),
                TimeRemainingColumn(),
                TextColumn("{task.fields[note]}"),
                console=Console(stderr=True),
            )
            self._bar.start()
            self._task = self._bar.add_task(self.label, total=None, note="")
        return self

    def __call__(self, done: int, total: int, note: str = "") -> None:
        if self._bar is not None:
            self._bar.update(self._task, completed=done, total=total, note=note)
        elif time.monotonic() - self._spoken >= PLAIN_LINE_EVERY_S:
            self._spoken = time.monotonic()
            say(f"{self.label}: {done}/{total} {self.unit} {note}".rstrip())

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()
        elif error is None:
            say(f"{self.label}: done in {time.monotonic() - self._started:.0f} s")


def say(text: str) -> None:
    """A plain line for people."""
    print(text, file=sys.stderr, flush=True)


def duration(seconds: float) -> str:
    """``0:42``, ``12:07`` or ``3:05:00``."""
    minutes, s = divmod(int(seconds), 60)
    hours, m = divmod(minutes, 60)
    return f"{hours}:{m:02d}:{s:02d}" if hours else f"{m}:{s:02d}"


class CurveWatcher:
    """Follows a curve file while a training writes it and hands over what is new.

    A context in which a thread looks again and again, where the training is another process's; or told when to look.
    """

    def __init__(
        self, curve: Path, plan: Path, hear: Callable[[list[dict[str, Any]]], None], show: Progress
    ) -> None:
        self.curve, self.plan, self.hear, self.show = curve, plan, hear, show
        self._said: set[tuple[int, str]] = set()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> "CurveWatcher":
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._stop.set()
        self._thread.join()
        self.look()

    def _watch(self) -> None:
        while not self._stop.wait(POLL_S):
            self.look()

    def look(self) -> None:
        """Hand over the points that were not there at the last look."""
        from suite.curves import read_curve

        points = [p for p in read_curve(self.curve) if (p["step"], p["name"]) not in self._said]
        if not points:
            return
        self._said.update((p["step"], p["name"]) for p in points)
        self.hear(points)
        total = (read_json(self.plan) or {}).get("steps", 0)
        loss = next((p["value"] for p in reversed(points) if p["name"] == "train/total"), None)
        self.show(points[-1]["step"], total, f"loss {loss:.4g}" if loss is not None else "")

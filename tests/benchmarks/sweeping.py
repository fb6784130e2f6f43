"""``palmares`` as a process of its own on a home folder, and what the records there say; for benchmarks of sweeps."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from tests.benchmarks.counting import Counted, counted

SOURCES = Path(__file__).parents[2]
PLUG_INS = {"PALMARES_METHODS": "tests.benchmarks.plugins"}
"""What a process needs in its environment to have ``treadmill``."""
Header = dict[str, Any]


class Ran(NamedTuple):
    """When a command began and ended, Unix time, and what it printed."""

    began_s: float
    ended_s: float
    out: str


def command(*arguments: Any) -> list[str]:
    """The command line of ``palmares``."""
    return [sys.executable, "-m", "suite", *map(str, arguments)]


def environment(home: Path, **more: str) -> dict[str, str]:
    """This environment, with a home folder; these sources can be imported everywhere in it."""
    path = os.pathsep.join(filter(None, (str(SOURCES), os.environ.get("PYTHONPATH"))))
    return {**os.environ, "PYTHONPATH": path, "PALMARES_HOME": str(home), **more}


def palmares(home: Path, *arguments: Any, **more: str) -> Ran:
    """Run a command to its end. Raises RuntimeError with what it complained of."""
    began = time.time()
    done = subprocess.run(
        command(*arguments), env=environment(home, **more), cwd=SOURCES, capture_output=True, text=True
    )
    ended = time.time()
    if done.returncode:
        raise RuntimeError(f"palmares {' '.join(map(str, arguments))}: {done.stderr[-4000:]}")
    return Ran(began, ended, done.stdout)


def counted_palmares(home: Path, *arguments: Any) -> Counted:
    """Run a command to its end, all its processes counted."""
    return counted(command(*arguments), environment(home), SOURCES)


def make_data(layout: str, folder: Path, size: int) -> Path:
    """Synthetic data that several homes read."""
    palmares(folder.parent, "data", "make", layout, folder, "--size", size)
    return folder


def records(home: Path) -> dict[str, Header]:
    """Cell -> header of its record."""
    return {path.parent.name: json.loads(path.read_text()) for path in home.glob("records/*/record.json")}


def in_order(headers: Iterable[Header]) -> list[Header]:
    """Finished cells as they ended."""
    return sorted(headers, key=lambda header: header["finished_ms"])


def ended_s(header: Header) -> float:
    """When a cell ended, Unix time."""
    return header["finished_ms"] / 1000


def began_s(header: Header) -> float:
    """When a cell began, Unix time."""
    return ended_s(header) - header["cost"]["wall_s"]

"""Why a cell failed, how often, and whether trying again can help.

``cells/<cell>/failure.json`` is the last failure; ``tries.json`` counts those since somebody asked for the cell. A
process that is killed leaves no failure: whoever takes its lease over counts it, unless it had got further than the one
before it. After three, a cell is poison: a sweep leaves it alone until ``palmares requeue`` puts it back.
"""

import errno
import shutil
import time
import traceback
from pathlib import Path
from typing import Any

from suite.home import read_json, write_json

TRIES = 3
LOG_LINES = 20
FAILURE_FILE, TRIES_FILE = "failure.json", "tries.json"
REPEATING = ("TrainingDivergedError", "RequestError", "SourceFailedError")
"""Kinds of errors that the same settings would run into again."""
DISK_FULL = "DiskFull"
KILLED = "Killed"
FULL_BYTES = 2 << 20
"""With less than this left on the disk of the home folder, it counts as full."""
Failure = dict[str, Any]


def write_failure(folder: Path, error: BaseException) -> Failure:
    """Keep the reason of a failure, its last log lines and how many there were; returns what was kept."""
    cause = root_cause(error)
    full = _disk_is_full(folder, cause)
    tries = read_tries(folder) + (not full)
    failure: Failure = {
        "reason": " ".join(str(cause).split())[:400] or type(cause).__name__,
        "kind": DISK_FULL if full else type(cause).__name__,
        "log": "".join(traceback.format_exception(error)).splitlines()[-LOG_LINES:],
        "time": int(time.time()),
        "tries": tries,
    }
    try:
        _count(folder, tries)
        write_json(folder / FAILURE_FILE, failure)
    except OSError:  # no room to say so
        failure["kind"] = DISK_FULL
    return failure


def count_death(folder: Path, mark: str) -> Failure | None:
    """Count that the process which ran a cell died; the failure, where that has happened too often.

    ``mark`` says how far it had got: a process that got further than the last one is the first to die.
    """
    before = read_json(folder / TRIES_FILE) or {}
    tries = before.get("tries", 0) + 1 if before.get("mark") in (None, mark) else 1
    _count(folder, tries, mark)
    if tries < TRIES:
        return None
    failure: Failure = {
        "reason": f"its process was killed {tries} times without getting further: out of memory?",
        "kind": KILLED,
        "log": [],
        "time": int(time.time()),
        "tries": tries,
    }
    write_json(folder / FAILURE_FILE, failure)
    return failure


def read_failure(folder: Path) -> Failure | None:
    """The last failure of a cell that has not been run since."""
    failure: Failure | None = read_json(folder / FAILURE_FILE)
    return failure


def read_tries(folder: Path) -> int:
    """How many failures there were since somebody asked for the cell."""
    return int((read_json(folder / TRIES_FILE) or {}).get("tries", 0))


def forget(folder: Path) -> None:
    """As if the cell had never failed."""
    for name in (FAILURE_FILE, TRIES_FILE):
        (folder / name).unlink(missing_ok=True)


def is_poison(failure: Failure) -> bool:
    """Whether it failed so often that only a person should try again."""
    return int(failure.get("tries", 0)) >= TRIES


def is_final(failure: Failure) -> bool:
    """Whether a sweep leaves the cell alone: it is poison, or would fail in the same way again."""
    return failure["kind"] in REPEATING or is_poison(failure)


def root_cause(error: BaseException) -> BaseException:
    """The exception at the bottom: of Ray's wrappers, the first worker's own."""
    for name in ("worker_failures", "controller_failure", "cause", "__cause__"):
        inner = getattr(error, name, None)
        if isinstance(inner, dict) and inner:
            inner = next(iter(inner.values()))
        if isinstance(inner, BaseException):
            return root_cause(inner)
    return error


def _count(folder: Path, tries: int, mark: str | None = None) -> None:
    write_json(folder / TRIES_FILE, {"tries": tries, "mark": mark})


def _disk_is_full(folder: Path, cause: BaseException) -> bool:
    """Libraries tell of a full disk in many ways, so the disk is asked too."""
    if isinstance(cause, OSError) and cause.errno in (errno.ENOSPC, errno.EDQUOT):
        return True
    try:
        return shutil.disk_usage(folder).free < FULL_BYTES
    except OSError:
        return False

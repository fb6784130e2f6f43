"""What sweeps and tunings share of Ray Tune."""

import contextlib
import logging
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

from suite.lease import STALE_S, Lease, alive, held, read_lease

SETTINGS = {
    "TUNE_DISABLE_SIGINT_HANDLER": "1",  # Ctrl-C is ours
    "TUNE_DISABLE_STRICT_METRIC_CHECKING": "1",  # trials of a sweep report states, not metrics
    "TUNE_MAX_PENDING_TRIALS_PG": "1000",  # how many begin at a time is ours as well
    "RAY_AIR_NEW_OUTPUT": "0",
}


PREFIX = ".tune-"


class Here:
    """Stays in this process: Tune writes down and copies what it is given, to restore it one day; nobody will."""

    def __reduce__(self) -> tuple[type, tuple[()]]:
        return Here, ()

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self


@contextlib.contextmanager
def tune_storage(room: Path) -> Iterator[str]:
    """Settings of Tune, and where it keeps its own state, which nobody reads again: every node must be able to write
    there. What a driver left that was killed is removed."""
    os.environ.update(SETTINGS)
    logging.getLogger("ray.tune").setLevel(logging.ERROR)
    room.mkdir(parents=True, exist_ok=True)
    for left in room.glob(f"{PREFIX}*"):
        if _is_left(left):
            shutil.rmtree(left, ignore_errors=True)
    folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=room))
    try:
        with Lease(folder):
            yield str(folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def at_work_since(room: Path) -> float | None:
    """When the first of the drivers that have their state there began, Unix time; None where there is none."""
    leases = map(read_lease, room.glob(f"{PREFIX}*"))
    return min((float(lease["started"]) for lease in leases if lease and held(lease)), default=None)


def _is_left(folder: Path) -> bool:
    if lease := read_lease(folder):
        return not alive(lease)
    with contextlib.suppress(FileNotFoundError):
        return time.time() - folder.stat().st_mtime > STALE_S
    return False

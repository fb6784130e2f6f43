"""Who works on a cell, a stage or what a stage derives, and why a cell failed: the states between planned and done.

``cells/<cell>/`` holds the plan, a lease with a heartbeat while somebody works on it, and the failure if there was one.
A cell that is taken is left to its holder; what several cells share is waited for (``in_turn``).
"""

import json
import os
import socket
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any

from suite.home import read_json, write_json

HEARTBEAT_S = 5.0
POLL_S = 0.5
STALE_S = 60.0
LOG_LINES = 20


class LeaseHeldError(Exception):
    """Another process works in the folder."""


class Lease:
    """A context in which one process, and no other, works in a folder, such as a cell's."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.path = folder / "lease.json"
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._beat, daemon=True)

    def __enter__(self) -> "Lease":
        self.folder.mkdir(parents=True, exist_ok=True)
        holder = read_lease(self.folder)
        if holder and alive(holder):
            raise LeaseHeldError(
                f"cell {self.folder.name} is being run by process {holder['pid']} on {holder['host']}"
            )
        self.path.unlink(missing_ok=True)
        try:
            handle = os.open(self.path, os.O_CREAT | os.O_EXCL | os.O_WRONLY)
        except (FileExistsError, FileNotFoundError):  # another began, or cleared the folder away
            raise LeaseHeldError(f"cell {self.folder.name} was taken by another process just now") from None
        with os.fdopen(handle, "w") as file:
            json.dump({"host": socket.gethostname(), "pid": os.getpid(), "started": int(time.time())}, file)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()
        self.path.unlink(missing_ok=True)

    def _beat(self) -> None:
        while not self._stop.wait(HEARTBEAT_S):
            try:
                os.utime(self.path)
            except OSError:
                return


@contextmanager
def in_turn(folder: Path, wait: Callable[[str], None]) -> Iterator[None]:
    """A lease on a folder, as soon as no other process has it; ``wait`` is told once who does."""
    told = False
    with ExitStack() as held:
        while True:
            try:
                held.enter_context(Lease(folder))
                break
            except LeaseHeldError:
                holder = read_lease(folder)
                if holder and not told:
                    wait(f"process {holder['pid']} on {holder['host']}")
                    told = True
                time.sleep(POLL_S)
        yield


def read_lease(folder: Path) -> dict[str, Any] | None:
    """The lease of a folder with the age of its heartbeat, or None."""
    lease = read_json(folder / "lease.json")
    if not lease:
        return None
    try:
        return {**lease, "age_s": time.time() - (folder / "lease.json").stat().st_mtime}
    except FileNotFoundError:  # given back between the two looks
        return None


def alive(lease: dict[str, Any]) -> bool:
    """Whether the holder still works: its heart beats, and on this host its process exists."""
    if lease["age_s"] > STALE_S:
        return False
    if lease["host"] != socket.gethostname():
        return True
    try:
        os.kill(lease["pid"], 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return lease["pid"] != os.getpid()


def write_failure(folder: Path, error: BaseException) -> dict[str, Any]:
    """Keep the reason of a failure and its last log lines; returns what was kept."""
    cause = root_cause(error)
    text = "".join(traceback.format_exception(error))
    failure = {
        "reason": " ".join(str(cause).split())[:400] or type(cause).__name__,
        "kind": type(cause).__name__,
        "log": text.splitlines()[-LOG_LINES:],
        "time": int(time.time()),
    }
    write_json(folder / "failure.json", failure)
    return failure


def root_cause(error: BaseException) -> BaseException:
    """The exception at the bottom: of Ray's wrappers, the first worker's own."""
    for name in ("worker_failures", "controller_failure", "cause", "__cause__"):
        inner = getattr(error, name, None)
        if isinstance(inner, dict) and inner:
            inner = next(iter(inner.values()))
        if isinstance(inner, BaseException):
            return root_cause(inner)
    return error

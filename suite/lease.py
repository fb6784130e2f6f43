"""Who works on a cell, a stage or what a stage derives: a lease with a heartbeat in its folder.

A cell that is taken is left to its holder; what several cells share is waited for (``in_turn``). A lease is taken,
taken over and given back under a lock beside the folder above: of several processes that find a dead holder one wins.
"""

import contextlib
import fcntl
import os
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any

from suite.home import read_json, write_json

HEARTBEAT_S = 5.0
POLL_S = 0.5
STALE_S = 60.0
LEASE_FILE = "lease.json"


class LeaseHeldError(Exception):
    """Another process works in the folder."""


class Lease:
    """A context in which one process, and no other, works in a folder, such as a cell's."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.path = folder / LEASE_FILE
        self.left_by: dict[str, Any] | None = None
        """The lease of a holder that died, where this one was taken over."""
        self._token = uuid.uuid4().hex
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._beat, daemon=True)

    def __enter__(self) -> "Lease":
        with _one_taker(self.folder):
            holder = read_lease(self.folder)
            if holder and alive(holder):
                raise LeaseHeldError(
                    f"cell {self.folder.name} is being run by process {holder['pid']} on {holder['host']}"
                )
            self.left_by = holder
            write_json(self.path, self._content())
        self._thread.start()
        return self

    def _content(self) -> dict[str, Any]:
        return {
            "host": socket.gethostname(),
            "pid": os.getpid(),
            "started": int(time.time()),
            "token": self._token,
        }

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()
        with _one_taker(self.folder):
            if self._is_ours():
                self.path.unlink(missing_ok=True)

    def _beat(self) -> None:
        while not self._stop.wait(HEARTBEAT_S):
            if not self._is_ours():  # we stood still so long that another took over
                return
            with contextlib.suppress(OSError):
                os.utime(self.path)

    def _is_ours(self) -> bool:
        return (read_json(self.path) or {}).get("token") == self._token


@contextmanager
def _one_taker(folder: Path) -> Iterator[None]:
    """One process at a time looks at and changes the leases of folders that stand beside each other."""
    room = folder.parent
    room.parent.mkdir(parents=True, exist_ok=True)
    with room.with_name(f".{room.name}.lock").open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


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
    lease = read_json(folder / LEASE_FILE)
    if not lease:
        return None
    try:
        return {**lease, "age_s": time.time() - (folder / LEASE_FILE).stat().st_mtime}
    except FileNotFoundError:  # given back between the two looks
        return None


def alive(lease: dict[str, Any]) -> bool:
    """Whether another process still works: its heart beats, and on this host it exists."""
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


def held(lease: dict[str, Any]) -> bool:
    """Whether the holder still works, which may be this process."""
    return alive(lease) or (lease["host"], lease["pid"]) == (socket.gethostname(), os.getpid())


@contextmanager
def unheld(folder: Path) -> Iterator[bool]:
    """Whether no living process works in a folder; as long as this lasts none begins. A dead one's lease is removed."""
    with _one_taker(folder):
        holder = read_lease(folder)
        free = not (holder and alive(holder))
        if holder and free:
            (folder / LEASE_FILE).unlink(missing_ok=True)
        yield free

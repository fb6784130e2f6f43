"""Whether a cluster's head answers: Ray waits for one that does not, and after a while ends the process without a word
of ours."""

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator

LOOK_EVERY_S = 2.0
PATIENCE_S = 1.0
MISSED = 2
"""Looks in a row that find nobody, before it is said."""


@contextlib.contextmanager
def watched_head(address: str, told: Callable[[str], None]) -> Iterator[None]:
    """Inside, say once when the head at ``host:port`` stops to answer, and once when it answers again."""
    over = threading.Event()
    thread = threading.Thread(target=_watch, args=(address, told, over), daemon=True, name="head-watch")
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _watch(address: str, told: Callable[[str], None], over: threading.Event) -> None:
    missed = 0
    while not over.wait(LOOK_EVERY_S):
        before, missed = missed, 0 if answers(address) else missed + 1
        if missed == MISSED:
            told(
                f"Ray's head at {address} does not answer. Should it stay away, Ray ends this process; the same "
                "command then goes on where it ended."
            )
        elif not missed and before >= MISSED:
            told(f"Ray's head at {address} answers again.")


def answers(address: str) -> bool:
    """Whether anybody listens at ``host:port``."""
    host, _, port = address.rpartition(":")
    with contextlib.suppress(OSError), socket.create_connection((host.strip("[]"), int(port)), PATIENCE_S):
        return True
    return False

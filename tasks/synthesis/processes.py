"""An ordered map over processes that end in good order: on an error, on Ctrl-C, and when one of them is killed."""

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from typing import Any

from tasks.errors import RequestError

Map = Callable[..., Iterator[Any]]


@contextmanager
def process_map(workers: int) -> Iterator[Map]:
    """``map`` over this many new processes; the builtin, in this process, for one.

    Raises RequestError when a process was killed.
    """
    if workers == 1:
        yield map
        return
    pool = ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), initializer=_begin)
    try:
        yield pool.map
    except BrokenProcessPool:
        raise RequestError(
            "a process that made data was killed (out of memory?): try fewer workers."
        ) from None
    finally:
        pool.shutdown(cancel_futures=True)


def _begin() -> None:
    """Ctrl-C reaches every process of a terminal; the parent alone decides. Without the parent nobody works on."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_leave_with_parent, daemon=True).start()


def _leave_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent:
        parent.join()
        os._exit(1)

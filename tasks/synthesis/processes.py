"""An ordered map over processes that end in good order: on an error, on Ctrl-C, and when one of them is killed."""

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing.connection import Connection
from typing import Any

from tasks.errors import RequestError

Map = Callable[..., Iterator[Any]]


@contextmanager
def process_map(workers: int) -> Iterator[Map]:
    """``map`` over this many new processes; the builtin, in this process, for one.

    An error ends the processes at once, whatever they are doing, and so does the death of this one. Raises RequestError
    when a process was killed.
    """
    if workers == 1:
        yield map
        return
    context = multiprocessing.get_context("spawn")
    theirs, ours = context.Pipe(duplex=False)
    pool = ProcessPoolExecutor(workers, context, initializer=_begin, initargs=(theirs,))
    try:
        yield pool.map
    except BrokenProcessPool:
        raise RequestError(
            "a process that made data was killed (out of memory?): try fewer workers."
        ) from None
    except BaseException:
        ours.close()
        raise
    finally:
        pool.shutdown(cancel_futures=True)


def _begin(parent: Connection) -> None:
    """Ctrl-C reaches every process of a terminal; the parent alone decides."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_leave_with, args=(parent,), daemon=True).start()


def _leave_with(parent: Connection) -> None:
    """Nothing is ever sent: what can be received is the end."""
    parent.poll(None)
    os._exit(1)

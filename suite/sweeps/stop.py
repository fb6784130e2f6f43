"""Why a sweep begins no more cells, and whether those that run are ended as well."""

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType

CTRL_C, TERMINATED = "stopped by Ctrl-C", "told to end (SIGTERM)"


class Stop:
    """Set once, from any thread: the first reason counts."""

    def __init__(self) -> None:
        self.reason: str | None = None
        self.at_once = False

    def softly(self, reason: str) -> None:
        """Let running cells end."""
        self.reason = self.reason or reason

    def now(self, reason: str) -> None:
        """End running cells; they go on from their last checkpoints another time."""
        self.reason, self.at_once = reason, True

    @contextlib.contextmanager
    def on_signals(self) -> Iterator[None]:
        """Inside, Ctrl-C and SIGTERM end the sweep in good order; the second one is a KeyboardInterrupt."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return

        def told(number: int, frame: FrameType | None) -> None:
            if self.at_once:
                raise KeyboardInterrupt
            self.now(CTRL_C if number == signal.SIGINT else TERMINATED)

        before = {number: signal.signal(number, told) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

"""Graceful interruption: Ctrl-C and SIGTERM set a flag that the training loop reads between steps."""

import signal
import threading
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType


class Interrupted(Exception):
    """The run stopped on request and has written a checkpoint; the same command resumes it."""


@dataclass
class StopFlag:
    """Whether a stop was requested."""

    requested: bool = False


@contextmanager
def stop_signals() -> Generator[StopFlag]:
    """Ctrl-C and SIGTERM set a flag while the block runs; a second Ctrl-C raises KeyboardInterrupt as usual.

    A second SIGTERM only sets the flag again, because a launcher and a scheduler may both send one.
    """
    flag = StopFlag()
    if threading.current_thread() is not threading.main_thread():
        yield flag  # Python allows signal handlers only in the main thread.
        return
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def request_stop(number: int, frame: FrameType | None) -> None:
        flag.requested = True
        signal.signal(signal.SIGINT, handlers[signal.SIGINT])

    for number in handlers:
        signal.signal(number, request_stop)
    try:
        yield flag
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)

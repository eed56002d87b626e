"""Asking a run to stop: Ctrl-C and SIGTERM set a flag that the loop reads between two steps."""

import signal
import threading
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType


class Interrupted(Exception):
    """The run was asked to stop and has saved itself; the same command goes on from there."""


@dataclass
class StopFlag:
    """Whether a stop was asked for."""

    asked: bool = False


@contextmanager
def stop_signals() -> Generator[StopFlag]:
    """Turns Ctrl-C and SIGTERM into a flag while the block runs; a second Ctrl-C acts as it always does.

    A second SIGTERM does nothing: a launcher and a scheduler may both send one.
    """
    flag = StopFlag()
    if threading.current_thread() is not threading.main_thread():
        yield flag  # Only the main thread may set handlers; others cannot be interrupted by signals anyway.
        return
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.getsignal(number) for number in numbers}

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    def ask(number: int, frame: FrameType | None) -> None:
        flag.asked = True
        signal.signal(signal.SIGINT, before[signal.SIGINT])

    for number in numbers:
        signal.signal(number, ask)
    try:
        yield flag
    finally:
        restore()

"""Progress of long operations, reported to a plain callable so that no package depends on a terminal.

Messages go to loggers named by module: sentences for the user as INFO, warnings as WARNING. The command line shows
them; other programs that import clipc see them if they configure logging.
"""

import logging
import math
import sys
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TextIO

from clipc.translation import translate

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress as Bars
    from rich.progress import TaskID

logging.getLogger("clipc").addHandler(logging.NullHandler())

Progress = Callable[[str, int, int], None]
"""A function ``progress(what, done, total)`` that is called often; ``total`` is 0 if unknown."""


def silent(what: str, done: int, total: int) -> None:
    """A :data:`Progress` that shows nothing."""


@contextmanager
def terminal(stream: TextIO | None = None) -> Generator[Progress]:
    """Shows progress on a stream: live bars on a terminal, a plain line now and then elsewhere.

    Args:
        stream: Where to write; standard error by default, so that ``--json`` stays clean.
    """
    output = stream or sys.stderr
    if not output.isatty():
        yield line_progress(output)
        return
    from rich.console import Console

    bars, show = bar_progress(Console(file=output))
    with bars:
        yield show


def bar_progress(console: "Console") -> "tuple[Bars, Progress]":
    """Bars for a terminal, which the caller starts, and the :data:`Progress` that updates them."""
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
    from rich.progress import Progress as Bars

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(elapsed_when_finished=True),
    )
    bars = Bars(*columns, console=console, refresh_per_second=4)
    tasks: dict[str, TaskID] = {}

    def show(what: str, done: int, total: int) -> None:
        if what not in tasks:
            tasks[what] = bars.add_task(translate(what), total=total or None, rate="")
        speed = bars.tasks[tasks[what]].speed
        rate = f"{speed:,.0f}/s" if speed and speed >= 10 else ""
        bars.update(tasks[what], completed=done, total=total or None, rate=rate)

    return bars, show


def line_progress(stream: TextIO, interval: float = 10.0) -> Progress:
    """Lines instead of bars: one every ``interval`` seconds, and one at the end."""
    starts: dict[str, float] = {}
    last_lines: dict[str, float] = {}

    def show(what: str, done: int, total: int) -> None:
        now = time.monotonic()
        start = starts.setdefault(what, now)
        last_line = last_lines.get(what, start)
        finished = total > 0 and done >= total
        if last_line == math.inf if finished else now - last_line < interval:
            return
        last_lines[what] = math.inf if finished else now
        count = f"{done:,}/{total:,}" if total else f"{done:,}"
        told = translate(f"{count} in {duration(now - start)}")
        if total and done and not finished:
            told += translate(f", {duration((now - start) / done * (total - done))} left")
        print(f"{translate(what)}: {told}", file=stream, flush=True)

    return show


def duration(seconds: float) -> str:
    """A readable duration: ``40 s``, ``25 min``, ``3 h 5 min``."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h {minutes % 60} min"

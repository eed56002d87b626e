"""Progress of long work, told through a plain callable so that no room depends on a terminal.

What is decided or noticed on the way goes to loggers named by module: sentences for the user as INFO, warnings as
WARNING. The command line shows them; elsewhere they are silent until the program that imports clipc listens.
"""

import logging
import sys
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress as Bars
    from rich.progress import TaskID

logging.getLogger("clipc").addHandler(logging.NullHandler())

Progress = Callable[[str, int, int], None]
"""``progress(what, done, total)``: called often; ``total`` 0 means that the end is not known."""


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
        yield lines_on(output)
        return
    from rich.console import Console

    bars, show = bars_on(Console(file=output))
    with bars:
        yield show


def bars_on(console: "Console") -> "tuple[Bars, Progress]":
    """Bars for a terminal, not started yet, and the :data:`Progress` that moves them."""
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )
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
            tasks[what] = bars.add_task(what, total=total or None, rate="")
        speed = bars.tasks[tasks[what]].speed
        rate = f"{speed:,.0f}/s" if speed and speed >= 10 else ""
        bars.update(tasks[what], completed=done, total=total or None, rate=rate)

    return bars, show


def lines_on(stream: TextIO, every: float = 10.0) -> Progress:
    """Lines instead of bars: the first, the last, and one each ``every`` seconds in between."""
    began: dict[str, float] = {}
    told: dict[str, float] = {}

    def show(what: str, done: int, total: int) -> None:
        now = time.monotonic()
        began.setdefault(what, now)
        finished = total > 0 and done >= total
        if not finished and now - told.get(what, began[what]) < every:
            return
        if finished and what in told and told[what] == float("inf"):
            return
        told[what] = float("inf") if finished else now
        spent = now - began[what]
        left = f", {duration(spent / done * (total - done))} left" if total and done else ""
        of = f"/{total:,}" if total else ""
        print(f"{what}: {done:,}{of} in {duration(spent)}{'' if finished else left}", file=stream)
        stream.flush()

    return show


def duration(seconds: float) -> str:
    """A time as people say it: ``40 s``, ``25 min``, ``3 h 5 min``."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h {minutes % 60} min"

"""Terminal output of ``clipc study`` and ``clipc pilot``: a live table of trials, and the results in lines."""

import sys
import time
from collections.abc import Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from clipc.errors import sentence
from clipc.progress import Progress, bar_progress, duration, line_progress
from clipc.translation import translate

if TYPE_CHECKING:
    from rich.table import Table

    from clipc.study.board import StatusBoard
    from clipc.study.run import BoardCallback

LINE_SECONDS = 30.0
"""Seconds between two progress lines if standard error is not a terminal."""


@contextmanager
def live_board() -> Generator[tuple[Progress, "BoardCallback"]]:
    """Shows a live table of arms and their trials on standard error; on a pipe, a line every :data:`LINE_SECONDS`.

    Yields:
        The progress of the preparation before the trials, and a function that shows the state of the trials.
    """
    last_time, last_count = 0.0, -1

    def print_line(board: "StatusBoard") -> None:
        nonlocal last_time, last_count
        now, ended = time.monotonic(), board.finished == len(board.trials)
        if now - last_time > LINE_SECONDS or (ended and last_count != board.finished):
            last_time, last_count = now, board.finished
            print(_summary(board), file=sys.stderr, flush=True)

    if not sys.stderr.isatty():
        yield line_progress(sys.stderr), print_line
        return
    from rich.console import Console, Group
    from rich.live import Live

    console = Console(stderr=True)
    bars, progress = bar_progress(console)
    with Live(bars, console=console, refresh_per_second=4) as live:

        def show(board: "StatusBoard") -> None:
            nonlocal last_time
            now = time.monotonic()
            if now - last_time > 0.25 or board.finished == len(board.trials):
                last_time = now
                live.update(Group(bars, _table(board, console.height)))

        yield progress, show


def _summary(board: "StatusBoard") -> str:
    left = board.seconds_left()
    elapsed = duration(time.monotonic() - board.start_time)
    done = f"{board.finished} of {len(board.trials)} trials in {elapsed}"
    return translate(done) + (translate(f", {duration(left)} left") if left else "")


def _table(board: "StatusBoard", height: int) -> "Table":
    from rich.table import Table
    from rich.text import Text

    rows = board.rows()
    has_sizes = len({row.size for row in rows}) > 1
    table = Table(title=_summary(board), title_justify="left", box=None, padding=(0, 2, 0, 0))
    for name, justify in (("arm", "left"), *((("pairs", "right"),) if has_sizes else ()), ("trials", "left")):
        table.add_column(translate(name), justify=justify)  # pyright: ignore[reportArgumentType]
    table.add_column(translate("validation recall"), justify="right")
    limit = max(4, height - 5)
    if hidden := max(0, len(rows) - limit):
        rows = sorted(rows, key=lambda row: (not row.running, row.finished + row.diverged == row.seeds))[:limit]
    for row in rows:
        left = row.seeds - row.finished - row.diverged - row.running
        marks = "●" * row.finished + "✕" * row.diverged + "◐" * row.running + "·" * left
        if row.diverged:
            marks += " " + translate(f"diverged ({row.diverged} of {row.seeds} seeds)")
        recall = "" if row.mean_recall is None else f"{row.mean_recall:.1%}"
        table.add_row(Text(sentence(row.arm)), *((f"{row.size:,}",) if has_sizes else ()), marks, recall)
    if hidden:
        table.add_row(translate(f"and {hidden} more"), *("" for _ in range(len(table.columns) - 1)))
    return table


def study_lines(tables: dict[str, Any]) -> list[str]:
    """One line for each comparison of an arm with the baseline in a main metric, then the power of the tests."""
    from clipc.evaluate.measurement import SHARE
    from clipc.report import readable
    from clipc.study.noise import power_lines
    from clipc.study.verdict import WAITING

    main = {m["key"]: m for m in tables["metrics"] if m["main"]}
    width = max((len(arm["name"]) for arm in tables["arms"]), default=0) + 2
    comparisons = [r for r in tables["comparisons"] if r["against"] == tables["baseline"] and r["metric"] in main]
    lines: list[str] = []
    for key, metric in main.items():
        unit, ceiling = metric["unit"], readable.ceiling(metric["unit"], metric["ceiling"])
        factor, spec = (100, "+5.1f") if unit == SHARE else (1, "+.3g")
        rows = [r for r in comparisons if r["metric"] == key]
        if rows:
            bound = f" (ceiling {ceiling})" if ceiling else ""
            lines.append(f"{key}{bound}, in {'points' if unit == SHARE else unit} against {tables['baseline']}:")
        for row in rows:
            low, high = row["interval"]
            interval = translate("[no interval]")
            if low is not None and high is not None:
                interval = f"[{', '.join(format(factor * end, spec).strip() for end in (low, high))}]"
            verdict = row["verdict"]
            if row["credit"] == "shared":
                verdict = f"gain, which {', '.join(row['shown_by_controls'])} shows too"
            elif row["credit"] == "open":
                verdict = "gain, cause open"
            size = f" n={row['size']:,}" if len(tables["sizes"]) > 1 else ""
            lines.append(
                f"  {row['arm']:{width}s}{size} {factor * row['difference']:{spec}} {interval:16s} {translate(verdict)}"
            )
    waiting_count = sum(r["verdict"] == WAITING for r in comparisons)
    if waiting_count:
        planned = len(tables["seeds"])
        lines.append(f"{waiting_count} comparisons have no verdict before all {planned} planned seeds have finished.")
    count = len(comparisons) - waiting_count
    lines += power_lines(tables["power"], len(tables["seeds"]))
    return [*lines, f"{count} comparisons; Holm's correction of p values is over the {len(main)} main metrics of each."]

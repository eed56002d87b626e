"""What ``clipc study`` and ``clipc pilot`` say on a terminal: a live table, and what came out."""

import sys
import time
from types import TracebackType
from typing import TYPE_CHECKING, Any

from clipc.progress import Progress, bars_on, duration, lines_on

if TYPE_CHECKING:
    from rich.live import Live
    from rich.progress import Progress as Bars
    from rich.table import Table

    from clipc.study.board import Board

EVERY = 30.0
"""Seconds between two lines where standard error is no terminal."""

FEW_EPOCHS = 5
"""Below this a model from nothing is short of training, whatever is done to its examples."""


class LiveBoard:
    """A table of arms that fills while trials run; on a pipe, a line now and then.

    Attributes:
        progress: For what is done before the trials begin.
    """

    def __init__(self) -> None:
        """Takes the screen, where there is one, when entered."""
        self.progress: Progress = lines_on(sys.stderr)
        self._live: Live | None = None
        self._bars: Bars | None = None
        self._told, self._last = 0.0, -1

    def __enter__(self) -> "LiveBoard":
        """Takes the screen, where there is one."""
        if sys.stderr.isatty():
            from rich.console import Console
            from rich.live import Live

            console = Console(stderr=True)
            self._bars, self.progress = bars_on(console)
            self._live = Live(self._bars, console=console, refresh_per_second=4)
            self._live.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Gives the screen back."""
        if self._live is not None:
            self._live.stop()

    def show(self, board: "Board") -> None:
        """Draws the state, a few times a second at most."""
        now = time.monotonic()
        ended = board.finished == len(board.trials)
        if self._live is not None and self._bars is not None:
            if now - self._told > 0.25 or ended:
                from rich.console import Group

                self._told = now
                self._live.update(Group(self._bars, _table(board, self._live.console.height)))
        elif now - self._told > EVERY or (ended and self._last != board.finished):
            self._told, self._last = now, board.finished
            print(_told(board), file=sys.stderr, flush=True)


def _told(board: "Board") -> str:
    left = board.seconds_left()
    took = duration(time.monotonic() - board.start_time)
    return f"{board.finished} of {len(board.trials)} trials in {took}" + (f", {duration(left)} left" if left else "")


def _table(board: "Board", height: int) -> "Table":
    from rich.table import Table

    rows = board.rows()
    sizes = len({row.size for row in rows}) > 1
    table = Table(title=_told(board), title_justify="left", box=None, padding=(0, 2, 0, 0))
    for name, justify in (("arm", "left"), *((("pairs", "right"),) if sizes else ()), ("trials", "left")):
        table.add_column(name, justify=justify)  # pyright: ignore[reportArgumentType]
    table.add_column("validation recall", justify="right")
    most = max(4, height - 5)
    shown = (
        rows
        if len(rows) <= most
        else sorted(rows, key=lambda row: (not row.running, row.finished + row.diverged == row.seeds))[:most]
    )
    for row in shown:
        left = row.seeds - row.finished - row.diverged - row.running
        marks = "●" * row.finished + "✕" * row.diverged + "◐" * row.running + "·" * left
        if row.diverged:
            marks += f" diverged ({row.diverged} of {row.seeds} seeds)"
        found = "" if row.mean_recall is None else f"{row.mean_recall:.1%}"
        table.add_row(row.arm, *((f"{row.size:,}",) if sizes else ()), marks, found)
    if len(shown) < len(rows):
        table.add_row(f"and {len(rows) - len(shown)} more", *("" for _ in range(len(table.columns) - 1)))
    return table


def study_lines(tables: dict[str, Any]) -> list[str]:
    """The main comparisons with the baseline in plain lines."""
    from clipc.evaluate.measurement import SHARE
    from clipc.study.noise import power_lines
    from clipc.study.verdict import WAITING

    main = {m["key"]: m["unit"] for m in tables["metrics"] if m["main"]}
    width = max((len(arm["name"]) for arm in tables["arms"]), default=0) + 2
    asked = [r for r in tables["comparisons"] if r["against"] == tables["baseline"] and r["metric"] in main]
    lines: list[str] = []
    for key, unit in main.items():
        factor, shown = (100, "+5.1f") if unit == SHARE else (1, "+.3g")
        rows = [r for r in asked if r["metric"] == key]
        if rows:
            lines.append(f"{key}, in {'points' if unit == SHARE else unit} against {tables['baseline']}:")
        for row in rows:
            low, high = row["interval"]
            span = "[no interval]"
            if low is not None and high is not None:
                span = f"[{', '.join(format(factor * end, shown).strip() for end in (low, high))}]"
            said = row["verdict"]
            if row["credit"] == "shared":
                said = f"gain, which {', '.join(row['shown_by_controls'])} shows too"
            elif row["credit"] == "open":
                said = "gain, cause open"
            size = f" n={row['size']:,}" if len(tables["sizes"]) > 1 else ""
            lines.append(f"  {row['arm']:{width}s}{size} {factor * row['difference']:{shown}} {span:16s} {said}")
    waiting = sum(r["verdict"] == WAITING for r in asked)
    if waiting:
        lines.append(f"{waiting} comparisons have no verdict before all {len(tables['seeds'])} planned seeds are in.")
    count = len(asked) - waiting
    lines += power_lines(tables["power"], len(tables["seeds"]))
    return [*lines, f"{count} comparisons; p values are corrected over the {len(main)} main metrics of each (Holm)."]


def pilot_lines(tables: dict[str, Any]) -> list[str]:
    """The lines of a study, and what would help where training was short."""
    epochs, model = (tables["settings"].get(name) for name in ("epochs", "model"))
    if epochs is None or epochs >= FEW_EPOCHS:
        return study_lines(tables)
    hint = "more --minutes" if model == "nano" else "more --minutes, or --recipe nano,"
    return [*study_lines(tables), f"Each trial saw the pairs only {epochs:.1f} times; {hint} would show more."]

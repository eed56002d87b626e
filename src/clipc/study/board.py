"""How far a study is: what a live table shows, also of trials that other machines run in the same folder."""

import json
import math
import time
from dataclasses import dataclass, field
from pathlib import Path
from statistics import mean
from typing import Final

READ_EVERY: Final = 2.0
"""Seconds between two scans of the folder of records."""


@dataclass
class Row:
    """One arm at one size.

    Attributes:
        arm: The arm's name.
        size: Training pairs.
        seeds: How many trials it has.
        finished: How many of them are finished.
        running: How many are at work here.
        mean_recall: Their best mean recall on the validation split, on average; None where there is none. The test
            split is not shown while a study runs: who looks at it may stop where it looks well.
        diverged: How many ended because their loss was not a number; they are not among the finished.
    """

    arm: str
    size: int
    seeds: int
    finished: int
    running: int
    mean_recall: float | None
    diverged: int


@dataclass
class Board:
    """The state of all trials.

    Attributes:
        trials: For each its arm, size and record.
        start_time: When work began, by the monotonic clock, in seconds.
    """

    trials: list[tuple[str, int, Path]]
    start_time: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        self._fractions: dict[int, float] = {}
        self._recalls: dict[Path, float | None] = {}  # None: diverged
        self._finished_before = 0
        self._last_read = 0.0

    def begin(self) -> None:
        """Notes what is finished already, so that the rate counts new trials only."""
        self.read_records()
        self._finished_before, self.start_time = self.finished, time.monotonic()

    def update(self, trial: int, done: int, total: int) -> None:
        """Notes how far a trial is: so many pairs of so many."""
        self._fractions[trial] = done / max(1, total)
        if time.monotonic() - self._last_read > READ_EVERY:
            self.read_records()

    def read_records(self) -> None:
        """Reads the records that have come since the last look."""
        self._last_read = time.monotonic()
        for _, _, record in self.trials:
            if record not in self._recalls and record.is_file():
                try:
                    content = json.loads(record.read_text("utf-8"))
                    best = {} if "diverged" in content else content["summary"]["best"] or {}
                    recall = None if "diverged" in content else float(best.get("mean_recall", "nan"))
                except (OSError, ValueError, KeyError, TypeError):
                    continue  # Another process may be at it; the next look reads it.
                self._recalls[record] = recall

    @property
    def finished(self) -> int:
        """How many trials have ended, those that diverged among them."""
        return sum(record in self._recalls for _, _, record in self.trials)

    def seconds_left(self) -> float | None:
        """About how long the rest takes at the rate so far; None while there is no rate yet."""
        running = sum(self._fractions[i] for i in self._running())
        done, remaining = self.finished - self._finished_before + running, len(self.trials) - self.finished - running
        elapsed = time.monotonic() - self.start_time
        return elapsed / done * remaining if done > 0 and elapsed > 5 else None

    def rows(self) -> list[Row]:
        """One row for each arm and size, in the order of the study."""
        groups: dict[tuple[str, int], list[int]] = {}
        for i, (arm, size, _) in enumerate(self.trials):
            groups.setdefault((arm, size), []).append(i)
        running, rows = self._running(), list[Row]()
        for (arm, size), trials in groups.items():
            records = [self.trials[i][2] for i in trials]
            recalls = [self._recalls[record] for record in records if record in self._recalls]
            values = [recall for recall in recalls if recall is not None and not math.isnan(recall)]
            diverged, at_work = recalls.count(None), sum(i in running for i in trials)
            average = mean(values) if values else None
            rows.append(Row(arm, size, len(trials), len(recalls) - diverged, at_work, average, diverged))
        return rows

    def _running(self) -> list[int]:
        return [i for i in self._fractions if self.trials[i][2] not in self._recalls]

"""The state of a running study for a live table, including trials that other machines run in the same folder."""

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
    """The state of one arm at one size.

    Attributes:
        arm: The arm's name.
        size: The number of training pairs.
        seeds: The number of trials, one for each seed.
        finished: How many trials are finished.
        running: How many trials this process runs.
        mean_recall: The best mean recall on the validation split, averaged over finished trials; None without any.
            Values on the test split are not shown, because a study must not be stopped where they look good.
        diverged: How many trials ended because their loss was not a number; ``finished`` does not count them.
    """

    arm: str
    size: int
    seeds: int
    finished: int
    running: int
    mean_recall: float | None
    diverged: int


@dataclass
class StatusBoard:
    """The state of all trials of a study.

    Attributes:
        trials: The arm, size and record file of each trial.
        start_time: The time at which work began, on the monotonic clock, in seconds.
    """

    trials: list[tuple[str, int, Path]]
    start_time: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        self._fractions: dict[int, float] = {}
        self._recalls: dict[Path, float | None] = {}  # None for a diverged trial
        self._finished_before = 0
        self._last_read = 0.0

    def begin(self) -> None:
        """Starts the clock, and notes which trials are finished already, so that the rate counts only new ones."""
        self.read_records()
        self._finished_before, self.start_time = self.finished, time.monotonic()

    def update(self, trial: int, done: int, total: int) -> None:
        """Notes the progress of a trial: it has been shown ``done`` of ``total`` pairs."""
        self._fractions[trial] = done / max(1, total)
        if time.monotonic() - self._last_read > READ_EVERY:
            self.read_records()

    def read_records(self) -> None:
        """Reads the records that were written since the last call."""
        self._last_read = time.monotonic()
        for _, _, record in self.trials:
            if record not in self._recalls and record.is_file():
                try:
                    content = json.loads(record.read_text("utf-8"))
                    best = {} if "diverged" in content else content["summary"]["best"] or {}
                    recall = None if "diverged" in content else float(best.get("mean_recall", "nan"))
                except (OSError, ValueError, KeyError, TypeError):
                    continue  # Another process may be writing it; the next call reads it.
                self._recalls[record] = recall

    @property
    def finished(self) -> int:
        """The number of trials that have ended; unlike :attr:`Row.finished` it counts those that diverged."""
        return sum(record in self._recalls for _, _, record in self.trials)

    @property
    def seconds_per_trial(self) -> float | None:
        """Wall-clock seconds since work began, divided by the trials done since, also in part; None if none is."""
        done = self.finished - self._finished_before + self._running_share
        return (time.monotonic() - self.start_time) / done if done > 0 else None

    def seconds_left(self) -> float | None:
        """The estimated seconds until all trials have ended; None until there is a rate to estimate from."""
        seconds, remaining = self.seconds_per_trial, len(self.trials) - self.finished - self._running_share
        return seconds * remaining if seconds is not None and time.monotonic() - self.start_time > 5 else None

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

    @property
    def _running_share(self) -> float:
        """How much of the running trials is done, as a number of trials."""
        return sum(self._fractions[i] for i in self._running())

    def _running(self) -> list[int]:
        return [i for i in self._fractions if self.trials[i][2] not in self._recalls]

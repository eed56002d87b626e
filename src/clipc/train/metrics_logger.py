"""The log of a run: one line every few steps, in ``metrics.jsonl`` and wherever else it is tracked."""

from collections.abc import Sequence
from typing import Any

from clipc.recipe.run import Run
from clipc.train.throughput import Meter
from clipc.train.trackers import Tracker


class MetricsLogger:
    """Writes what a run measures; on all ranks but the first it only keeps what must not go unseen."""

    def __init__(self, run: Run, meter: Meter, trackers: Sequence[Tracker] = ()) -> None:
        """Opens the log.

        Args:
            run: Whose ``metrics.jsonl`` it is.
            meter: Knows speed, waiting and memory.
            trackers: Are told the same numbers.
        """
        self.meter, self._run, self._trackers = meter, run, trackers

    def write(self, step: int, record: dict[str, Any]) -> None:
        """Adds a line.

        Args:
            step: The number of steps done.
            record: Values for JSON; trackers are told those that are numbers.
        """
        self._run.log({"step": step, **record})
        for tracker in self._trackers:
            tracker.log(record, step)

    def close(self) -> None:
        """Lets trackers write what they still hold."""
        for tracker in self._trackers:
            tracker.close()

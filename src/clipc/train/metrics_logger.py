"""The log of a run, in ``metrics.jsonl`` and in trackers, and the counts of the whole run."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from clipc.errors import UserError
from clipc.recipe.recipe import Recipe
from clipc.recipe.run import Run
from clipc.render.batch import Batch
from clipc.train.distributed import World
from clipc.train.throughput import Meter
from clipc.train.timing import Timer
from clipc.train.trackers import Tracker, make_trackers


class MetricsLogger:
    """Writes the metrics of a run to the rank's metrics file and to trackers."""

    def __init__(self, run: Run, meter: Meter, trackers: Sequence[Tracker] = ()) -> None:
        """Opens the log.

        Args:
            run: The run to whose ``metrics.jsonl`` records are added.
            meter: The meter of throughput, waiting time and memory.
            trackers: Trackers that receive the same numbers.
        """
        self.meter, self._run, self._trackers = meter, run, trackers

    def write(self, step: int, record: dict[str, Any]) -> None:
        """Adds a record.

        Args:
            step: The number of steps done.
            record: Values that JSON can hold; trackers receive the numbers among them.
        """
        self._run.log({"step": step, **record})
        for tracker in self._trackers:
            tracker.log(record, step)

    def close(self) -> None:
        """Closes the trackers."""
        for tracker in self._trackers:
            tracker.close()


def open_log(run: Run, recipe: Recipe, meter: Meter, step: int) -> MetricsLogger:
    """The log of a run from a step on, with the recipe's trackers in the main process."""
    names = () if run.rank else recipe.track
    config = recipe.model_dump(mode="json")
    return MetricsLogger(run, meter, make_trackers(names, run.folder, run.folder.name, config, step))


@dataclass
class RunCounters:
    """Counts of a run. Checkpoints store them, so that they include the steps before a resume.

    Attributes:
        seconds: Time in training steps, including loading, without validation.
        core_seconds: Processor time of this process in those steps.
        validation_core_seconds: Processor time of this process in validation.
        treated: Examples that were composed, or strongly augmented in the control arm of plain augmentation.
        shortened: Captions that were shortened to fit the context length.
        unreadable: Images that could not be read and were replaced by grey ones.
    """

    seconds: float = 0.0
    core_seconds: float = 0.0
    validation_core_seconds: float = 0.0
    treated: int = 0
    shortened: int = 0
    unreadable: int = 0

    def count(self, batch: Batch, timer: Timer) -> None:
        """Adds the times and the examples of one step of this process."""
        self.seconds += timer.seconds
        self.core_seconds += timer.core_seconds
        self.treated += batch.treated
        self.shortened += batch.shortened
        self.unreadable += len(batch.unreadable)

    def add(self, recent: "RunCounters", world: World) -> None:
        """Adds recent counts: times of this process, and examples summed over all processes."""
        self.seconds += recent.seconds
        self.core_seconds += recent.core_seconds
        treated, shortened, unreadable = world.sum([recent.treated, recent.shortened, recent.unreadable])
        self.treated += round(treated)
        self.shortened += round(shortened)
        self.unreadable += round(unreadable)

    def check_unreadable(self, examples: int, root: Path, run: Run) -> None:
        """Ends a run in which too many images could not be read: more than one in a hundred, and more than 100.

        Args:
            examples: The number of training examples so far.
            root: The folder of the images, for the message.
            run: The run, whose log names the images.

        Raises:
            UserError: There are too many.
        """
        if self.unreadable > max(100, examples // 100):
            raise UserError(
                f"{self.unreadable} images under {root} could not be read in {examples} training examples; "
                f"{run.folder / 'metrics.jsonl'} lists them; check whether the data were moved or changed."
            )

    def summary(self, examples: int) -> dict[str, float]:
        """The counts, the share of treated examples and the training speed, for the summary of a finished run."""
        rates = {"composite_share": self.treated / examples, "pairs_per_second": examples / self.seconds}
        return rates | asdict(self)

"""What a run has counted so far."""

from dataclasses import dataclass

from clipc.render.batch import Batch
from clipc.train.distributed import World
from clipc.train.timing import Timer


@dataclass
class RunCounters:
    """Counts of a run; they travel with its checkpoints, so that a resumed run ends with those of the whole.

    Attributes:
        seconds: Time in training steps, loading included, validation not.
        core_seconds: Processor time of this process in those steps.
        validation_core_seconds: Processor time of this process in validation.
        treated: Examples that were composed, or strongly augmented in the control.
        shortened: Captions that were cut to fit the context.
        unreadable: Images that could not be read and were shown as grey.
    """

    seconds: float = 0.0
    core_seconds: float = 0.0
    validation_core_seconds: float = 0.0
    treated: int = 0
    shortened: int = 0
    unreadable: int = 0

    def count(self, batch: Batch, lap: Timer) -> None:
        """Adds one step."""
        self.seconds += lap.seconds
        self.core_seconds += lap.core_seconds
        self.treated += batch.treated
        self.shortened += batch.shortened
        self.unreadable += len(batch.unreadable)

    def add(self, more: "RunCounters", world: World) -> None:
        """Adds what was counted since: the times of this process, the examples of all."""
        self.seconds += more.seconds
        self.core_seconds += more.core_seconds
        examples = world.sum([more.treated, more.shortened, more.unreadable])
        self.treated, self.shortened, self.unreadable = (
            before + round(now)
            for before, now in zip((self.treated, self.shortened, self.unreadable), examples, strict=True)
        )

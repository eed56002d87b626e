"""How much training fits into the time there is: measured, not guessed."""

import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import harmonic_mean, mean
from typing import Final

from clipc.catalog import Catalog
from clipc.evaluate.embed import embed_images
from clipc.progress import Progress, silent
from clipc.recipe.recipe import Recipe
from clipc.recipe.run import Run
from clipc.study.trials import Measuring
from clipc.train.loop import Trainer
from clipc.train.timing import Timer
from clipc.train.train import make_trainer
from clipc.train.validation import validate

BUDGETS: Final = {"quick": 4.5, "standard": 20.0, "long": 90.0}
"""The named budgets, in minutes."""

SLACK: Final = 0.9
"""The share of the time that is planned for: machines are noisy, and a late report is a broken promise."""


@dataclass(frozen=True)
class Pace:
    """What one worker manages on this machine while the others work too.

    Attributes:
        pairs_per_second: In training, loading included.
        validation_seconds: For one validation.
        fixed_seconds: Beside training: for the start of a trial and the evaluation of its models, about.
    """

    pairs_per_second: float
    validation_seconds: float
    fixed_seconds: float

    @classmethod
    def mean(cls, paces: Sequence["Pace"]) -> "Pace":
        """The pace of trials of all these kinds in equal numbers."""
        return cls(
            harmonic_mean(p.pairs_per_second for p in paces),
            mean(p.validation_seconds for p in paces),
            mean(p.fixed_seconds for p in paces),
        )


def measure(
    recipe: Recipe, catalog: Catalog, measuring: Measuring, renderer: str, seconds: float, progress: Progress = silent
) -> Pace:
    """Trains for a few seconds, validates and evaluates once, and discards the model.

    Probes are not fitted here: on the features of a model that has learnt nothing they take many times
    longer than later. They are counted as once more the time that encoding all images takes.

    Args:
        recipe: The recipe whose pace is measured.
        catalog: Its data.
        measuring: How finished trials are evaluated.
        renderer: The one that all trials will use.
        seconds: How long to train.
        progress: Unused; every task of a worker takes one.
    """
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        trainer = make_trainer(recipe, Run(Path(folder)), catalog, renderer=renderer)
        setup_seconds = time.perf_counter() - start
        rate = _pairs_per_second(trainer, seconds)
        start = time.perf_counter()
        if trainer.validation is not None:
            validate(trainer.model, trainer.validation, trainer.learner.precision)
        validation_end = time.perf_counter()
        measuring(trainer.model.eval(), catalog, probe=False)
        test_end = time.perf_counter()
        evaluation = 2 * (test_end - validation_end)  # the best and the last model
        if catalog.about.label_columns:
            embed_images(trainer.model, catalog.split("test"))
            evaluation += 2 * (time.perf_counter() - test_end) * len(catalog) / catalog.splits["test"]
        return Pace(rate, validation_end - start, setup_seconds + evaluation)


def samples_within(seconds: float, pace: Pace, *, trials: int, jobs: int, validations: int) -> int:
    """The number of pairs each trial may be shown so that all end in time.

    Args:
        seconds: The time for all trials together.
        pace: What one worker manages.
        trials: How many trials there are.
        jobs: How many run at a time.
        validations: How often each validates.

    Returns:
        At least 1.
    """
    rounds = -(-trials // jobs)
    fixed = pace.fixed_seconds + validations * pace.validation_seconds
    return max(1, int((seconds * SLACK / rounds - fixed) * pace.pairs_per_second))


def _pairs_per_second(trainer: Trainer, seconds: float) -> float:
    """Trains for about so long; the first steps are not counted. Reading a loss waits for a GPU to be done with it."""
    batches = trainer.batches()
    for step in range(3):
        float(trainer.learner.learn(next(batches), step))
    timer, steps = Timer(), 0
    while timer.seconds < seconds:
        float(trainer.learner.learn(next(batches), steps))
        steps += 1
    return steps * trainer.recipe.batch_size / timer.seconds

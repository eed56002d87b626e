"""How much training fits into a time budget, from the measured pace of training and evaluation."""

import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import harmonic_mean, mean
from typing import Final

from clipc.catalog.catalog import Catalog
from clipc.evaluate.embed import embed_images
from clipc.progress import Progress, silent
from clipc.recipe.recipe import Recipe
from clipc.recipe.run import Run
from clipc.study.trials import EvaluationOptions
from clipc.train.loop import Trainer
from clipc.train.timing import Timer
from clipc.train.train import make_trainer
from clipc.train.validation import validate

BUDGETS: Final = {"quick": 4.5, "standard": 20.0, "long": 90.0}
"""The named budgets, in minutes."""

PLANNED_SHARE: Final = 0.9
"""The share of the time that trials are planned to take; the rest allows for a machine that becomes slower."""


@dataclass(frozen=True)
class Pace:
    """The speed of one worker on this machine while the other workers are busy too.

    Attributes:
        pairs_per_second: Training pairs per second, loading included.
        validation_seconds: Seconds of one validation.
        fixed_seconds: Estimated seconds of a trial's start and of the evaluation of its models.
    """

    pairs_per_second: float
    validation_seconds: float
    fixed_seconds: float

    @classmethod
    def mean(cls, paces: Sequence["Pace"]) -> "Pace":
        """The average pace of equally many trials of each kind."""
        return cls(
            harmonic_mean(p.pairs_per_second for p in paces),
            mean(p.validation_seconds for p in paces),
            mean(p.fixed_seconds for p in paces),
        )


def measure_pace(
    recipe: Recipe,
    catalog: Catalog,
    evaluation: EvaluationOptions,
    renderer: str,
    seconds: float,
    progress: Progress = silent,
) -> Pace:
    """Trains for a few seconds, validates and evaluates once, and discards the model.

    Linear probes are not fitted here: on the features of an untrained model they take many times longer than later.
    Their time is estimated as the time to encode the images of all splits once.

    Args:
        recipe: The recipe whose pace is measured.
        catalog: The pairs, with train, val and test splits.
        evaluation: How finished trials are evaluated.
        renderer: The renderer of all trials.
        seconds: How long to train.
        progress: Unused; a worker passes it to every task.
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
        trainer.model.eval()
        evaluation.evaluate(trainer.encoder, catalog, probe=False)
        test_end = time.perf_counter()
        models = 1 if recipe.selection == "last" and not recipe.wise_ft else 2  # the selected and the last model
        evaluation_seconds = models * (test_end - validation_end)
        if catalog.about.label_columns:
            embed_images(trainer.encoder, catalog.split("test"))
            evaluation_seconds += 2 * (time.perf_counter() - test_end) * len(catalog) / catalog.splits["test"]
        return Pace(rate, validation_end - start, setup_seconds + evaluation_seconds)


def samples_within(seconds: float, pace: Pace, *, trials: int, jobs: int, validations: int) -> int:
    """The number of training examples of each trial with which all trials end in time.

    Args:
        seconds: The time for all trials together.
        pace: The pace of one worker.
        trials: How many trials there are.
        jobs: How many trials run at a time.
        validations: How often each trial validates.

    Returns:
        The number of pairs, at least 1.
    """
    rounds = -(-trials // jobs)
    fixed = pace.fixed_seconds + validations * pace.validation_seconds
    return max(1, int((seconds * PLANNED_SHARE / rounds - fixed) * pace.pairs_per_second))


def _pairs_per_second(trainer: Trainer, seconds: float) -> float:
    """Trains for about this many seconds; the first three steps are not counted.

    ``float`` of a loss waits until the GPU has computed it, so the time of every step is complete.
    """
    batches = trainer.batches()
    for step in range(3):
        float(trainer.learner.learn(next(batches), step))
    timer, steps = Timer(), 0
    while timer.seconds < seconds:
        float(trainer.learner.learn(next(batches), steps))
        steps += 1
    return steps * trainer.recipe.batch_size / timer.seconds

"""How much training fits into the time there is: measured, not guessed."""

import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from clipc.catalog import Catalog
from clipc.progress import Progress, silent
from clipc.train.recipe import Recipe

BUDGETS: Final = {"quick": 4.5, "standard": 20.0, "long": 90.0}
"""The named budgets, in minutes."""

SLACK: Final = 0.88
"""The share of the time that is planned for: machines are noisy, and a late report is a broken promise."""


@dataclass(frozen=True)
class Pace:
    """What one worker manages on this machine while the others work too.

    Attributes:
        pairs_per_second: In training, loading included.
        validation_seconds: For one validation.
        evaluation_seconds: For the evaluation of a finished trial.
    """

    pairs_per_second: float
    validation_seconds: float
    evaluation_seconds: float


def measure(
    recipe: Recipe, catalog: Catalog, evaluation: dict[str, Any], seconds: float, progress: Progress = silent
) -> Pace:
    """Trains for a few seconds, validates and evaluates once, and forgets the model.

    Args:
        recipe: The recipe whose pace is wanted.
        catalog: Its data.
        evaluation: Keyword arguments of :func:`clipc.evaluate.evaluate`.
        seconds: How long to train.
        progress: Not told anything; workers' tasks all take one.
    """
    from clipc.evaluate import evaluate
    from clipc.train.device import choose_device
    from clipc.train.loop import Trainer, validate
    from clipc.train.run import Run

    with tempfile.TemporaryDirectory() as folder:
        trainer = Trainer.create(recipe, Run(Path(folder)), catalog, choose_device(recipe.device))
        rate = trainer.pace(seconds)
        began = time.perf_counter()
        if trainer.validation is not None:
            validate(trainer.model, trainer.validation, trainer.precision)
        validated = time.perf_counter()
        evaluate(trainer.model.eval(), catalog, **evaluation)
        return Pace(rate, validated - began, time.perf_counter() - validated)


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
    # The last model is evaluated too, without the probe.
    fixed = 1.5 * pace.evaluation_seconds + validations * pace.validation_seconds
    return max(1, int((seconds * SLACK / rounds - fixed) * pace.pairs_per_second))

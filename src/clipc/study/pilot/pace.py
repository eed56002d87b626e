"""The pace of this machine: seconds of training, of evaluation, and of features that are kept."""

import hashlib
import tempfile
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from statistics import harmonic_mean, mean
from typing import Final

import numpy as np

from clipc.catalog.catalog import Catalog
from clipc.catalog.subsample import subsample
from clipc.evaluate.embed import embed_images
from clipc.files import cores
from clipc.prepare.feature_renderer import keep_features, keep_training_features, kept_features, kept_key
from clipc.progress import Progress, silent
from clipc.recipe.recipe import Recipe
from clipc.recipe.run import Run
from clipc.study.pool import Pool
from clipc.study.trials import EvaluationOptions
from clipc.train.loop import Trainer
from clipc.train.timing import Timer
from clipc.train.train import make_trainer
from clipc.train.validation import validate

TRAINING_SECONDS: Final = 4.0
"""How long a model trains to measure the pace."""

_SAMPLE: Final = 96
"""The number of pairs of the other splits whose features are computed to measure the pace."""

_PACE_PAIRS: Final = 128
"""On kept features the pace is measured with so many training pairs, on which it hardly depends."""

_SHARE_SECONDS: Final = 0.5


@dataclass(frozen=True)
class Pace:
    """The speed of one worker on this machine while the other workers are busy too.

    Attributes:
        pairs_per_second: Training pairs per second, loading included.
        validation_seconds: Seconds of one validation.
        fixed_seconds: Seconds of a trial's start and of the evaluation of its models.
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

    def trial_seconds(self, recipe: Recipe, pairs: int) -> float:
        """The time of one trial of a recipe on so many training pairs."""
        samples = recipe.steps(pairs) * recipe.batch_size
        return self.fixed_seconds + recipe.validations * self.validation_seconds + samples / self.pairs_per_second


@dataclass(frozen=True)
class FeaturePace:
    """The time that features take which are kept; all zero where none are.

    Attributes:
        start: Seconds until the first feature.
        training: Seconds for each training pair.
        other: Seconds for each pair of the other splits.
    """

    start: float = 0.0
    training: float = 0.0
    other: float = 0.0

    def seconds(self, catalog: Catalog, pairs: int) -> float:
        """The time of the features of so many training pairs, and of all other pairs of a catalog."""
        others = len(catalog) - catalog.splits.get("train", 0)
        return self.start + pairs * self.training + others * self.other


def share_of_cores() -> float:
    """The share of the cores that this process gets, in (0, 1]: clearly below 1 where other programs hold them."""
    until = time.perf_counter() + _SHARE_SECONDS
    block = bytes(1 << 20)

    def work(_: int) -> None:
        while time.perf_counter() < until:
            hashlib.sha256(block)  # which lets other threads run

    wall, used = time.perf_counter(), time.process_time()
    with ThreadPoolExecutor(cores()) as pool:
        list(pool.map(work, range(cores())))
    return min(1.0, (time.process_time() - used) / (time.perf_counter() - wall) / cores())


def measure_features(recipes: Sequence[Recipe], catalog: Catalog, progress: Progress = silent) -> FeaturePace:
    """Computes the features of the pairs that the pace is measured with; what other runs have kept so costs nothing.

    Args:
        recipes: Recipes of trials on kept features.
        catalog: The data.
        progress: Receives the number of features computed.
    """
    sample = subsample(catalog, min(_PACE_PAIRS, catalog.splits["train"])).split("train")
    others = _spread(catalog.take(np.flatnonzero(catalog.split_names != "train")), _SAMPLE)
    start = training = other = 0.0
    for recipe in {kept_key(recipe): recipe for recipe in recipes}.values():
        timer = _Lap()
        kept, captions = kept_features(recipe, catalog, progress)
        start += timer.lap()
        kept.keep(sample, captions=captions)
        keep_training_features(kept, recipe, sample)
        training += timer.lap() / len(sample)
        kept.keep(others, captions=captions)
        other += timer.lap() / len(others)
    return FeaturePace(start, training, other)


def measure_trials(
    recipes: Mapping[str, Recipe],
    baseline: str,
    catalog: Catalog,
    evaluation: EvaluationOptions,
    renderer: str,
    jobs: int,
    threads: int,
    progress: Progress = silent,
) -> Pace:
    """Trains and evaluates a model of the baseline and one of the last other arm for a few seconds.

    Args:
        recipes: The recipe of each arm.
        baseline: The baseline's name.
        catalog: The data.
        evaluation: The options of the evaluation.
        renderer: The renderer of all trials.
        jobs: How many trials run at a time.
        threads: CPU threads of each trial.
        progress: Receives the progress of the measurement.
    """
    if renderer == "features":
        catalog = subsample(catalog, min(_PACE_PAIRS, catalog.splits["train"]))
        for recipe in {kept_key(recipe): recipe for recipe in recipes.values()}.values():
            keep_features([recipe], [catalog], progress)
    last = next(name for name in reversed(list(recipes)) if name != baseline)
    tasks = [
        (recipes[name].model_copy(update={"samples": 10**9, "epochs": None}), catalog, evaluation, renderer)
        for name in (baseline, last)
    ]
    progress("measuring the pace", 0, 1)
    with closing(Pool(jobs, threads)) as pool:
        # Where trials run side by side, so do these: each of them has its share of the machine.
        first, other = pool.map(measure_pace, tasks, silent)
    progress("measuring the pace", 1, 1)
    return Pace.mean([first, *(len(recipes) - 1) * [other]])


def measure_pace(
    recipe: Recipe, catalog: Catalog, evaluation: EvaluationOptions, renderer: str, progress: Progress = silent
) -> Pace:
    """Trains for :data:`TRAINING_SECONDS`, validates and evaluates once, and discards the model.

    Where whole towers are trained, linear probes are not fitted here: on the features of an untrained model they take
    many times longer than later. Their time is estimated as the time to encode the images of all splits once.

    Args:
        recipe: The recipe of a trial; its length does not matter.
        catalog: The data.
        evaluation: The options of the evaluation.
        renderer: The renderer.
        progress: Unused; a worker passes it to every task.
    """
    with tempfile.TemporaryDirectory() as folder:
        timer = _Lap()
        trainer = make_trainer(recipe, Run(Path(folder)), catalog, renderer=renderer)
        setup = timer.lap()
        rate = _pairs_per_second(trainer, TRAINING_SECONDS)
        timer.lap()
        if trainer.validation is not None:
            validate(trainer.model, trainer.validation, trainer.learner.precision)
        validation = timer.lap()
        trainer.model.eval()
        probes = renderer == "features"
        evaluation.evaluate(trainer.encoder, catalog, probe=probes)
        evaluated = timer.lap()
        models = 1 if recipe.selection == "last" and not recipe.wise_ft else 2  # the selected and the last model
        seconds = models * evaluated
        if catalog.about.label_columns and not probes:
            embed_images(trainer.encoder, catalog.split("test"))
            seconds += 2 * timer.lap() * len(catalog) / catalog.splits["test"]
        return Pace(rate, validation, setup + seconds)


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


def _spread(catalog: Catalog, count: int) -> Catalog:
    """So many rows at most, evenly spaced."""
    return catalog.take(np.unique(np.linspace(0, len(catalog) - 1, min(count, len(catalog))).astype(np.int64)))


class _Lap:
    """Seconds since the last call."""

    def __init__(self) -> None:
        self._last = time.perf_counter()

    def lap(self) -> float:
        """The seconds since the last call, or since the beginning."""
        now = time.perf_counter()
        seconds, self._last = now - self._last, now
        return seconds

"""Trials: runs of training and their evaluation, each skipped where its results are already there."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from clipc.catalog import Catalog
from clipc.evaluate.embed import Encoder
from clipc.evaluate.evaluation import EVALUATORS, Evaluation, evaluate
from clipc.evaluate.measurement import dump_measurements
from clipc.evaluate.probe import SHOTS
from clipc.evaluate.subject import own_evaluator
from clipc.models.model import ClipModel
from clipc.progress import Progress, silent
from clipc.recipe.recipe import Recipe
from clipc.train.timing import Timer, threads
from clipc.train.train import train


@dataclass(frozen=True)
class Trial:
    """One arm with one seed.

    Attributes:
        arm: The arm's name.
        recipe: What is trained.
        folder: The run folder, named by the hash of recipe and data.
    """

    arm: str
    recipe: Recipe
    folder: Path

    def with_threads(self, threads: int) -> "Trial":
        """The trial with this many CPU threads, unless its recipe sets their number itself."""
        return replace(self, recipe=self.recipe.with_threads(threads))


@dataclass(frozen=True)
class Measuring:
    """How trials are evaluated.

    Attributes:
        templates: Prompts for zero-shot classification, as for :func:`clipc.evaluate.evaluate`.
        lang: Their language.
        shots: The few-shot probes that are fitted beside the one on all labels.
        evaluators: What measures them beside the evaluators that ship: names ``module:object``, each with the
            fingerprint of its source file.
    """

    templates: str = "auto"
    lang: str = "en"
    shots: tuple[int, ...] = SHOTS
    evaluators: tuple[tuple[str, str], ...] = ()

    def as_json(self) -> dict[str, Any]:
        """The fields as JSON gives them back, to check whether metrics were measured in this way."""
        own = {"evaluators": dict(self.evaluators)} if self.evaluators else {}
        return {"templates": self.templates, "lang": self.lang, "shots": list(self.shots), **own}

    def __call__(self, model: Encoder, catalog: Catalog, *, probe: bool = True) -> Evaluation:
        """Measures a model on the test split."""
        evaluators = (*EVALUATORS, *(own_evaluator(name) for name, _ in self.evaluators))
        return evaluate(
            model,
            catalog,
            templates=self.templates,
            lang=self.lang,
            shots=self.shots,
            probe=probe,
            evaluators=evaluators,
        )


def run_trial(
    trial: Trial, catalog: Catalog, measuring: Measuring, renderer: str | None = None, progress: Progress = silent
) -> None:
    """Trains one trial and measures its best and last model on the test split; what is done is not done again.

    Writes ``eval/test.json``, ``eval/test-items.npz`` (the best model on validation) and
    ``eval/test-last.json`` into the run folder.

    Args:
        trial: What to run.
        catalog: The data, with a test split.
        measuring: How.
        renderer: As for :func:`clipc.train.train.train`.
        progress: Receives the number of pairs shown so far.
    """

    def report(what: str, done: int, total: int) -> None:
        if what == "training":  # making tables of neighbours and the like counts other things than pairs
            progress(what, done, total)

    run = train(trial.recipe, trial.folder, catalog=catalog, renderer=renderer, progress=report)
    previous = run.read_json("eval/test.json")
    if previous is not None and previous["measuring"] == measuring.as_json():
        return
    with threads(trial.recipe.threads or 1):
        timer = Timer()
        last = measuring(ClipModel.load(run.last_model), catalog, probe=False)
        run.write_json("eval/test-last.json", {"metrics": last.metrics})
        best = measuring(ClipModel.load(run.model), catalog)
        descriptions, arrays = dump_measurements(best.measurements)
        with (run.folder / "eval" / "test-items.npz").open("wb") as file:
            np.savez_compressed(file, allow_pickle=False, **arrays)
        facts = {"measuring": measuring.as_json(), "metrics": best.metrics, "descriptions": descriptions}
        run.write_json("eval/test.json", {**facts, "context": best.context, "core_seconds": timer.core_seconds})

"""A trial: its name, one training run, and its evaluation on one split."""

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
from pydantic import ValidationError

from clipc.catalog.catalog import Catalog
from clipc.errors import UserError
from clipc.evaluate.embed import Encoder
from clipc.evaluate.evaluation import EVALUATORS, Evaluation, evaluate
from clipc.evaluate.measurement import dump_measurements
from clipc.evaluate.probe import SHOTS
from clipc.evaluate.subject import own_evaluator
from clipc.extension import mark_untrusted
from clipc.files import whole_file
from clipc.identity import hash_keys
from clipc.prepare.check_start import check_start
from clipc.prepare.feature_renderer import evaluation_encoder
from clipc.progress import Progress, silent
from clipc.recipe.recipe import Recipe
from clipc.train.timing import Timer, threads
from clipc.train.train import train

MEASURING: Final = 2
"""The version of what is measured: increased whenever equal options give other metrics, or other roles to them."""


@dataclass(frozen=True)
class Trial:
    """One arm with one seed, at one size of the training set.

    Attributes:
        arm: The arm's name.
        recipe: The recipe of its run.
        folder: The run folder, named by the hash of recipe and data.
    """

    arm: str
    recipe: Recipe
    folder: Path

    def with_threads(self, threads: int) -> "Trial":
        """The trial with this many CPU threads, unless its recipe sets their number itself."""
        return replace(self, recipe=self.recipe.with_threads(threads))


@dataclass(frozen=True)
class EvaluationOptions:
    """The options with which trials are evaluated.

    Attributes:
        templates: The name of the template set for zero-shot classification. It is never ``auto``, which would choose
            a set for each model, so that arms would be compared under different prompts.
        lang: The language of the templates.
        shots: Numbers of labels per class for few-shot probes, besides the probe on all labels.
        evaluators: The study's own evaluators: pairs of a name ``module:object`` and the fingerprint of its file.
        split: The split to measure on.
    """

    templates: str = "general"
    lang: str = "en"
    shots: tuple[int, ...] = SHOTS
    evaluators: tuple[tuple[str, str], ...] = ()
    split: str = "test"

    def as_json(self) -> dict[str, Any]:
        """The fields with JSON's types, to be compared with those that a record holds."""
        own: dict[str, Any] = {"evaluators": dict(self.evaluators)} if self.evaluators else {}
        own |= {} if self.split == "test" else {"split": self.split}
        options = {"templates": self.templates, "lang": self.lang, "shots": list(self.shots), **own}
        return {"version": MEASURING, **options}

    def evaluate(
        self, model: Encoder, catalog: Catalog, *, probe: bool = True, progress: Progress = silent
    ) -> Evaluation:
        """Measures a model on :attr:`split`."""
        evaluators = (*EVALUATORS, *(own_evaluator(name) for name, _ in self.evaluators))
        return evaluate(
            model,
            catalog,
            split=self.split,
            templates=self.templates,
            lang=self.lang,
            shots=self.shots,
            probe=probe,
            evaluators=evaluators,
            progress=progress,
        )


def run_trial(
    trial: Trial,
    catalog: Catalog,
    evaluation: EvaluationOptions,
    renderer: str | None = None,
    progress: Progress = silent,
) -> None:
    """Trains one trial, and evaluates the model that its ``selection`` names and the last one on the test split.

    A finished training or evaluation is not repeated.

    The function writes ``eval/test.json`` and ``eval/test-items.npz`` for the selected model, and
    ``eval/test-last.json`` for the last one, into the run folder.

    Args:
        trial: The trial.
        catalog: The data, with a test split.
        evaluation: The options of the evaluation.
        renderer: As for :func:`clipc.train.train.train`.
        progress: Receives the number of pairs shown so far.
    """

    def report(what: str, done: int, total: int) -> None:
        if what == "training":  # other operations, such as making tables of neighbours, count other things than pairs
            progress(what, done, total)

    run = train(trial.recipe, trial.folder, catalog=catalog, renderer=renderer, progress=report)
    previous = run.read_json("eval/test.json")
    if previous is not None and previous["measuring"] == evaluation.as_json():
        return
    with threads(trial.recipe.threads or 1):
        timer = Timer()
        cache = trial.recipe.data.cache
        judged = evaluation.evaluate(evaluation_encoder(run, run.model, catalog, cache), catalog)
        same = trial.recipe.selection == "last" and not trial.recipe.wise_ft
        last = judged
        if not same:
            last_encoder = evaluation_encoder(run, run.last_model, catalog, cache)
            last = evaluation.evaluate(last_encoder, catalog, probe=False)
        run.write_json("eval/test-last.json", {"metrics": last.metrics})
        descriptions, arrays = dump_measurements(judged.measurements)
        with whole_file(run.folder / "eval" / "test-items.npz") as new, new.open("wb") as file:
            np.savez_compressed(file, allow_pickle=False, **arrays)
        facts = {"measuring": evaluation.as_json(), "metrics": judged.metrics, "descriptions": descriptions}
        run.write_json("eval/test.json", {**facts, "context": judged.context, "core_seconds": timer.core_seconds})


def trial_name(recipe: Recipe, data: Catalog, records: Path, suffix: str) -> tuple[str, str]:
    """A trial's name: the number of training pairs, the seed, and a hash of recipe, data and initial weights.

    Where the weights are missing on this machine, the name is taken from the record that holds the same recipe, so that
    the trial's metrics can be reported.

    Args:
        recipe: The trial's recipe.
        data: The trial's pairs.
        records: The folder of records.
        suffix: The end of the names of records, before ``.json``.

    Returns:
        The name, and a sentence about the missing weights; it is empty where the trial can be run.
    """
    prefix = f"n{data.splits['train']}-s{recipe.seed}"
    try:
        check_start(recipe)
    except UserError as error:
        problem = str(error)
    else:
        return f"{prefix}-{recipe.identity(data.fingerprint)}", ""
    recipe_hash = _hash_without_weights(recipe, data.fingerprint)
    # A record does not identify the user's own code, so no record can be matched where the policy names any.
    files = [] if recipe.policy.own_names else sorted(records.glob(f"{prefix}-*{suffix}.json"))
    names = [file.stem.removesuffix(suffix) for file in files if _recorded_hash(file, suffix) == recipe_hash]
    if len(names) == 1:
        return names[0], problem
    if names:
        problem += f" Without it these records cannot be told apart: {', '.join(names)}."
    return f"{prefix}-nameless-{recipe_hash}", problem


def _recorded_hash(file: Path, suffix: str) -> str | None:
    """The hash of a record's recipe and data; None where the record is invalid, which is reported when it is read."""
    try:
        record = json.loads(file.read_text("utf-8"))
        if file.stem == record["trial"] + suffix:
            recipe = Recipe.model_validate(mark_untrusted(record["recipe"]))
            return _hash_without_weights(recipe, record["data"]["fingerprint"])
    except (OSError, ValueError, KeyError, TypeError, ValidationError):
        return None
    return None


def _hash_without_weights(recipe: Recipe, data_fingerprint: str) -> str:
    """A hash of recipe and data in which models count by their names, not by their weights."""
    return hash_keys({**recipe.identity_keys(how=False), "data_fingerprint": data_fingerprint})

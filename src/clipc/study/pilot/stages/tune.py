"""The stage before the experiment, where it is asked for: each arm's settings are tuned on the validation split."""

from dataclasses import asdict
from typing import Any, Final

from clipc.errors import UserError
from clipc.recipe.recipe import Recipe
from clipc.study.arms import Range
from clipc.study.design import Search
from clipc.study.pilot.experiment import experiment_scope, scoped, workers
from clipc.study.pilot.stages.stage import Context, Results, StageResult
from clipc.study.tuning import search

TEMPERATURES: Final = Range(0.02, 0.3, log=True)
"""Fixed temperatures of the softmax."""

RATES: Final = Range(0.1, 0.9)
"""The shares of composites; examples that a control changes count as such."""

ENDS: Final = Range(0.4, 1.0)
"""The share of the training after which nothing is composed."""


def tune(context: Context, _: Results) -> StageResult:
    """Tries as many settings for each arm, judged by mean recall on the validation split; Optuna chooses them.

    The rate of composition and its end are tuned in arms that compose, the temperature and the batch in all. What is
    found holds for all later stages; sizes of the curve that are too small for a batch take a smaller one.

    Raises:
        UserError: Optuna is not installed, trials do not validate, or the baseline or all treatments diverged with all
            of their settings.
    """
    # What a call that was stopped had settled already must not shift the ranges.
    design, data = scoped(context, experiment_scope(context) | {"settings": {}})
    tries = context.options.tune
    ranges = {name: ranges_of(recipe) for name, recipe in design.recipes.items()}
    study = design.study.with_settings(ranges).model_copy(update={"search": Search(trials=tries)})
    journal = context.folder / "records" / "search.journal"
    found = search(study, data, context.folder, journal, jobs=workers(context)[0], progress=context.progress)
    settings = {result.arm: result.settings for result in found}
    for names in ([design.study.baseline_name], design.study.treatments):
        if all(settings[name] is None for name in names):
            raise UserError(
                f"the loss was not a number in any of the {tries} settings of {' and '.join(names)}, so there is "
                "nothing to compare; set precision=fp32 or a lower learning_rate."
            )
    context.settled("tune", lambda: {"settings": settings})
    values: dict[str, Any] = {"tries": tries, "arms": len(settings)}
    return StageResult(True, "tuned", values, {"search": [asdict(result) for result in found]})


def ranges_of(recipe: Recipe) -> dict[str, Any]:
    """The ranges in which an arm is tuned, by dotted key.

    Args:
        recipe: The arm's recipe before; batches of its size, of half and of a quarter are tried.
    """
    batches = tuple(dict.fromkeys(max(2, recipe.batch_size // part) for part in (1, 2, 4)))
    ranges: dict[str, Any] = {"batch_size": Range(one_of=batches)}
    ranges |= {"temperature": TEMPERATURES} if recipe.loss == "clip" else {}
    return ranges | ({"policy.rho": RATES, "policy.until": ENDS} if recipe.policy.rho else {})

"""The small experiment of a pilot: its scope is settled once, from the measured pace; then its trials are run."""

import logging
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from clipc.catalog.catalog import Catalog
from clipc.catalog.subsample import subsample
from clipc.errors import UserError
from clipc.progress import Progress, silent
from clipc.recipe.recipe import Recipe
from clipc.recipe.run import Run
from clipc.study.design import Study
from clipc.study.pilot.design import PilotDesign, bind, pilot_study
from clipc.study.pilot.options import PilotOptions
from clipc.study.pilot.pace import FeaturePace, measure_features, measure_trials
from clipc.study.pilot.regime import Cost, Scope, seconds_needed, settle, smaller_arm_sets, subset_sizes
from clipc.study.run import BoardCallback, evaluation_options, jobs_for, renderer_for
from clipc.study.study import run_study
from clipc.train.timing import Timer

logger = logging.getLogger(__name__)

REPORT_SECONDS: Final = 15.0
"""Seconds reserved for reading the records, the probe on the start's features and writing the report."""

Announce = Callable[[Mapping[str, Any]], None]
"""A function that is told what a pilot will run, before its trials begin."""


@dataclass(frozen=True)
class Experiment:
    """A small experiment that was run.

    Attributes:
        design: The study, its recipes and the reason for them.
        catalog: The data with the training pairs of the trials.
        plan: What was settled and why, ready for JSON.
        tables: The study's tables.
    """

    design: PilotDesign
    catalog: Catalog
    plan: dict[str, Any]
    tables: dict[str, Any]


def run_experiment(
    options: PilotOptions,
    folder: Path,
    catalog: Catalog,
    *,
    timer: Timer,
    announce: Announce = lambda _: None,
    progress: Progress = silent,
    watch: BoardCallback = lambda _: None,
) -> Experiment:
    """Settles what fits the time, runs the trials that have no record, and makes the study's tables.

    Args:
        options: The pilot's options.
        folder: The pilot's folder.
        catalog: All data.
        timer: Measures the time since the pilot began.
        announce: Told the plan before the trials begin.
        progress: Receives the progress of long steps before the trials begin.
        watch: Called with the state of all trials while they run.

    Raises:
        UserError: The time is too short, or a trial failed.
        Interrupted: On Ctrl-C or SIGTERM; the same call resumes the experiment.
    """
    study = pilot_study(options)
    whole = bind(study, catalog)
    jobs, threads = jobs_for(whole.baseline, len(whole.recipes) * options.seed_range[0], options.jobs)
    settled = _settled(options, study, whole, catalog, Run(folder), (jobs, threads), timer, progress)
    data = subsample(catalog, settled["pairs"])
    design = _with_scope(bind(study, data), settled)
    plan = _plan(options, design, settled, catalog, jobs)
    announce(plan)
    tables = run_study(
        design.study, folder, catalog=data, jobs=jobs, command=options.command, progress=progress, watch=watch
    )
    return Experiment(design, data, plan, tables)


def _with_scope(design: PilotDesign, settled: Mapping[str, Any]) -> PilotDesign:
    """The design with the arms, seeds and renderer that were settled."""
    study, arms = design.study, settled["arms"]
    study = study.with_settings({arm.name: {} if arm.name in arms else None for arm in study.expanded_arms})
    update = {
        "controls": tuple(name for name in study.controls if name in arms),
        "seeds": study.seeds[: settled["seeds"]],
        "set": {**study.set, "renderer": settled["renderer"]},
    }
    recipes = {name: recipe for name, recipe in design.recipes.items() if name in arms}
    return PilotDesign(study.model_copy(update=update), recipes, design.reason)


def _settled(
    options: PilotOptions,
    study: Study,
    design: PilotDesign,
    catalog: Catalog,
    run: Run,
    workers: tuple[int, int],
    timer: Timer,
    progress: Progress,
) -> dict[str, Any]:
    """What fits the time, as ``pilot.json`` holds it, so that a pilot that was stopped resumes the same trials.

    Args:
        options: The pilot's options.
        study: The study before it was bound to data.
        design: The study on all data.
        catalog: All data.
        run: The pilot's folder.
        workers: How many trials run at a time, and the CPU threads of each.
        timer: Measures the time since the pilot began.
        progress: Receives the progress of features and of the measurement.

    Raises:
        UserError: The time is too short.
    """
    asked = _asked(options, design, catalog, workers[0])
    saved = run.read_json("pilot.json")
    if saved is not None and saved["asked"] == asked:
        return saved["settled"]
    renderer = _renderer(design.recipes, catalog, workers[0], progress)
    features = FeaturePace()
    if renderer == "features":
        features = measure_features(list(design.recipes.values()), catalog, progress)
    evaluation = evaluation_options(design.study)
    pace = measure_trials(design.recipes, design.study.baseline_name, catalog, evaluation, renderer, *workers, progress)
    costs: list[Cost] = []
    for pairs in subset_sizes(catalog.splits["train"]):
        recipe = bind(study, subsample(catalog, pairs)).baseline
        costs.append(Cost(pairs, features.seconds(catalog, pairs), pace.trial_seconds(recipe, pairs)))
    arms = smaller_arm_sets(list(design.recipes), design.study.controls)
    left = options.minutes * 60 - timer.seconds - REPORT_SECONDS
    scope = settle(left, costs, arms, options.seed_range, workers[0])
    if scope is None:
        raise _too_short(options, costs, arms, workers[0], options.minutes * 60 - left)
    settled = _as_json(scope, costs) | {"renderer": renderer}
    run.write_json("pilot.json", {"asked": asked, "settled": settled})
    run.write_json("spent.json", {"minutes": 0.0})
    return settled


def _asked(options: PilotOptions, design: PilotDesign, catalog: Catalog, jobs: int) -> dict[str, Any]:
    """All that the scope follows from, to check whether a stored one still holds."""
    recipes = {name: recipe.model_dump(mode="json", exclude={"data"}) for name, recipe in design.recipes.items()}
    return {
        "data_fingerprint": catalog.fingerprint,
        "recipes": recipes,
        "measuring": evaluation_options(design.study).as_json(),
        "minutes": options.minutes,
        "seeds": list(options.seed_range),
        "jobs": jobs,
    }


def _renderer(recipes: Mapping[str, Recipe], catalog: Catalog, jobs: int, progress: Progress) -> str:
    """The renderer of all trials. Tables of neighbours are made here, so that wrong rules are reported early.

    Raises:
        UserError: Some trials train on kept features and others do not.
    """
    renderers = {renderer_for(recipe, catalog, jobs, progress) for recipe in recipes.values()}
    if len(renderers) > 1 and "features" in renderers:
        raise UserError("some of the pilot's arms train on kept features and others do not; set renderer for all arms.")
    return renderers.pop() if len(renderers) == 1 else "worker"


def _as_json(scope: Scope, costs: Sequence[Cost]) -> dict[str, Any]:
    once = next(cost.once for cost in costs if cost.pairs == scope.pairs)
    return {
        "pairs": scope.pairs,
        "arms": list(scope.arms),
        "seeds": scope.seeds,
        "minutes": scope.seconds / 60,
        "feature_minutes": once / 60,
    }


def _too_short(
    options: PilotOptions, costs: Sequence[Cost], arms: Sequence[Sequence[str]], jobs: int, spent: float
) -> UserError:
    """The sentence that asks for enough time."""
    least = options.seed_range[0]

    def minutes(cost: Cost, names: Sequence[str]) -> str:
        return f"{math.ceil((seconds_needed(cost, names, least, jobs) + spent) / 60):,}"

    return UserError(
        f"{options.minutes:g} minutes are too short for a pilot: it needs --minutes {minutes(costs[-1], arms[-1])} for "
        f"{least} seeds of {len(arms[-1])} arms on {costs[-1].pairs:,} training pairs, and --minutes "
        f"{minutes(costs[0], arms[0])} for all {len(arms[0])} arms on all {costs[0].pairs:,}."
    )


def _plan(
    options: PilotOptions, design: PilotDesign, settled: Mapping[str, Any], catalog: Catalog, jobs: int
) -> dict[str, Any]:
    """What was settled and why, ready for JSON."""
    recipe, pairs = design.baseline, settled["pairs"]
    kept = [arm.name for arm in design.study.expanded_arms]
    all_arms = [arm.name for arm in pilot_study(options).expanded_arms]
    return {
        "recipe": design.study.recipe,
        "recipe_reason": design.reason,
        "epochs": recipe.steps(pairs) * recipe.batch_size / pairs,
        "pairs": pairs,
        "all_pairs": catalog.splits["train"],
        "arms": kept,
        "left_out": [name for name in all_arms if name not in kept],
        "seeds": len(design.study.seeds),
        "seeds_asked": options.seeds is not None,
        "trials": len(kept) * len(design.study.seeds),
        "minutes": settled["minutes"],
        "feature_minutes": settled["feature_minutes"],
        "allowed_minutes": options.minutes,
        "jobs": jobs,
    }

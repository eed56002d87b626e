"""What of a pilot's experiment fits the time: settled once, from the measured pace."""

import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any, Final

from clipc.catalog.catalog import Catalog
from clipc.catalog.subsample import subsample
from clipc.errors import UserError
from clipc.progress import Progress
from clipc.recipe.recipe import Recipe
from clipc.study.pilot.design import PilotDesign, bind
from clipc.study.pilot.options import PilotOptions
from clipc.study.pilot.pace import FeaturePace, measure_features, measure_trials, share_of_cores
from clipc.study.pilot.regime import Cost, Scope, seconds_needed, settle, smaller_arm_sets, subset_sizes
from clipc.study.pilot.stages.stage import Context
from clipc.study.recipes import arm_recipe
from clipc.study.run import evaluation_options, jobs_for, renderer_for

logger = logging.getLogger(__name__)

REPORT_SECONDS: Final = 15.0
"""Seconds reserved for reading the records, the probe on the start's features and writing the report."""

EXPERIMENT_SHARE: Final = 0.75
"""The share of the time that the experiment may take where stages follow it."""

STAGE_SECONDS: Final = 5.0
"""A rough time of a stage without training, however few images there are."""

IMAGE_SECONDS: Final = 0.004
"""A rough time for each image in the stages without training: it is decoded once, and read from the cache then."""

_BUSY: Final = 0.7
"""Below this share of the cores the machine is called busy."""


def light_seconds(catalog: Catalog) -> dict[str, float]:
    """A rough time of each stage without training."""
    return {
        "doctor": STAGE_SECONDS + IMAGE_SECONDS * len(catalog),
        "preview": STAGE_SECONDS,
        "bias": STAGE_SECONDS,
    }


def workers(context: Context) -> tuple[int, int]:
    """How many trials run at a time, and the CPU threads of each."""
    design, options = context.design, context.options
    return jobs_for(design.baseline, len(design.recipes) * options.seed_range[0], options.jobs)


def experiment_scope(context: Context) -> dict[str, Any]:
    """What fits the time, as ``pilot.json`` holds it, so that a pilot that was stopped resumes the same trials.

    Returns:
        ``pairs``, ``arms``, ``seeds``, ``renderer``, ``minutes``, ``feature_minutes``, ``pace``, and ``settings``: for
        each arm the values that were tuned for it, by dotted key, or None where it diverged with all of them; empty
        where nothing was tuned (yet).

    Raises:
        UserError: The time is too short.
    """
    scope, given = context.settled("pilot", lambda: _settle(context)), {"settings": context.options.settings}
    return scope | (context.kept("tune") or given)


def scoped(context: Context, scope: Mapping[str, Any]) -> tuple[PilotDesign, Catalog]:
    """The design with the pairs, arms, seeds and renderer of a scope, and its data."""
    data, study = subsample(context.catalog, scope["pairs"]), context.study
    if data is not context.catalog:
        study = study.model_copy(update={"data": study.data.model_copy(update={"pairs": scope["pairs"]})})
    return with_scope(bind(study, data), scope), data


def with_scope(design: PilotDesign, settled: Mapping[str, Any]) -> PilotDesign:
    """The design with the arms, seeds, renderer and values that were settled; a batch never exceeds the design's."""
    study, tuned = design.study, settled.get("settings", {})
    values = {arm.name: tuned.get(arm.name, {}) if arm.name in settled["arms"] else None for arm in study.expanded_arms}
    for name, value in values.items():
        if value and "batch_size" in value:
            values[name] = value | {"batch_size": min(value["batch_size"], design.baseline.batch_size)}
    study = study.with_settings(values)
    arms = [arm.name for arm in study.expanded_arms]
    update = {
        "controls": tuple(name for name in study.controls if name in arms),
        "seeds": study.seeds[: settled["seeds"]],
        "set": {**study.set, "renderer": settled["renderer"]},
    }
    study = study.model_copy(update=update)
    recipes = {arm.name: arm_recipe(study, arm, study.seeds[0], "all") for arm in study.expanded_arms}
    return PilotDesign(study, recipes, design.reason)


def _settle(context: Context) -> dict[str, Any]:
    design, catalog, options, progress = context.design, context.catalog, context.options, context.progress
    running = workers(context)
    jobs, share_now = running[0], share_of_cores()
    if share_now < _BUSY:
        logger.warning(
            "other programs hold about %.0f%% of this machine's cores, so everything takes about %.1f times as long as "
            "on a quiet machine.",
            100 * (1 - share_now),
            1 / share_now,
        )
    renderer = _renderer(design.recipes, catalog, jobs, progress)
    features = FeaturePace()
    if renderer == "features":
        features = measure_features(list(design.recipes.values()), catalog, progress)
    evaluation = evaluation_options(design.study)
    baseline = design.study.baseline_name
    pace = measure_trials(design.recipes, baseline, catalog, evaluation, renderer, *running, progress)
    costs: list[Cost] = []
    for pairs in subset_sizes(catalog.splits["train"]):
        recipe = bind(context.study, subsample(catalog, pairs)).baseline
        costs.append(Cost(pairs, features.seconds(catalog, pairs), pace.trial_seconds(recipe, pairs)))
    arms = smaller_arm_sets(list(design.recipes), design.study.controls)
    light = sum(time for name, time in light_seconds(catalog).items() if name in options.stages)
    left = context.seconds_left - REPORT_SECONDS - light / share_now
    share = EXPERIMENT_SHARE if options.continues else 1.0
    # The smallest comparison may take all of the time: what follows it is worth less than an answer.
    scope = settle(share * left, costs, arms, options.seed_range, jobs, options.tune) or settle(
        left, costs, arms, options.seed_range, jobs, options.tune
    )
    if scope is None:
        raise _too_short(options, costs, arms, jobs, options.minutes * 60 - left, share_now)
    return _as_json(scope, costs) | {"renderer": renderer, "pace": asdict(pace)}


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
    options: PilotOptions,
    costs: Sequence[Cost],
    arms: Sequence[Sequence[str]],
    jobs: int,
    spent: float,
    share_now: float,
) -> UserError:
    """The sentence that asks for enough time, and on a busy machine says that it is one."""
    least, is_busy = options.seed_range[0], share_now < _BUSY

    def minutes(cost: Cost, names: Sequence[str]) -> str:
        return f"{math.ceil((seconds_needed(cost, names, least + options.tune, jobs) + spent) / 60):,}"

    return UserError(
        f"{options.minutes:g} minutes are too short for a pilot: it needs --minutes {minutes(costs[-1], arms[-1])} for "
        f"{least} seeds of {len(arms[-1])} arms on {costs[-1].pairs:,} training pairs, and --minutes "
        f"{minutes(costs[0], arms[0])} for all {len(arms[0])} arms on all {costs[0].pairs:,}."
        + (f" Other programs hold about {1 - share_now:.0%} of the cores now; without them less will do." * is_busy)
    )


def experiment_plan(context: Context, design: PilotDesign, settled: Mapping[str, Any]) -> dict[str, Any]:
    """What was settled and why, ready for JSON."""
    recipe, pairs, options = design.baseline, settled["pairs"], context.options
    kept = [arm.name for arm in design.study.expanded_arms]
    all_arms = list(context.design.recipes)
    return {
        "recipe": design.study.recipe,
        "recipe_reason": design.reason,
        "epochs": recipe.steps(pairs) * recipe.batch_size / pairs,
        "pairs": pairs,
        "all_pairs": context.catalog.splits["train"],
        "arms": kept,
        "left_out": [name for name in all_arms if name not in kept],
        "seeds": len(design.study.seeds),
        "seeds_asked": options.seeds is not None,
        "trials": len(kept) * len(design.study.seeds),
        "tries": options.tune,
        "minutes": settled["minutes"],
        "feature_minutes": settled["feature_minutes"],
        "allowed_minutes": options.minutes,
        "jobs": workers(context)[0],
    }

"""The sixth stage: CLIP and the winner once with pixels, where the experiment trained on kept features."""

import math
from typing import Any

from clipc.catalog.catalog import Catalog
from clipc.study.pilot.design import PilotDesign
from clipc.study.pilot.experiment import REPORT_SECONDS, experiment_scope, scoped, workers
from clipc.study.pilot.pace import measure_trials
from clipc.study.pilot.regime import PLANNED_SHARE
from clipc.study.pilot.stages.stage import Context, Results, StageResult
from clipc.study.run import evaluation_options, finished_trials, plan_study, renderer_for, run_pending


def confirm(context: Context, results: Results) -> StageResult:
    """Trains CLIP and the winner with one seed on pixels, if that fits what is left of the time.

    On kept features a composite is the mean of its halves' features; on pixels it goes through the tower whole.
    """
    experiment = experiment_scope(context)
    if experiment["renderer"] != "features":
        return StageResult(True, "pixels")
    arms = [context.design.study.baseline_name, results["experiment"].values["winner"]]
    design, data = scoped(context, experiment)
    pixels, _ = _on_pixels(context, arms)
    jobs = workers(context)[0]

    def settle() -> dict[str, Any]:
        missing = confirm_seconds(context, arms) - (context.seconds_left - REPORT_SECONDS)
        return {"fits": missing <= 0, "more_minutes": max(0, math.ceil(missing / 60))}

    settled = context.settled("confirm", settle)
    if not settled["fits"]:
        return StageResult(True, "no-time", {"minutes": settled["more_minutes"]})
    planned = plan_study(pixels.study, data, context.folder, context.folder / "records")
    run_pending(pixels.study, planned, jobs=jobs, progress=context.progress, on_update=context.watch)
    found = {plan.trial.arm: outcome for plan, outcome in finished_trials(pixels.study, planned)}
    kept = plan_study(design.study, data, context.folder, context.folder / "records")
    seed = pixels.study.seeds[0]
    before = {
        plan.trial.arm: outcome
        for plan, outcome in finished_trials(design.study, kept)
        if plan.trial.recipe.seed == seed and plan.trial.arm in arms
    }
    if len(found) < len(arms) or len(before) < len(arms):
        return StageResult(True, "diverged")
    metrics = [m["key"] for m in results["experiment"].tables["metrics"] if m["main"] or m["secondary"]]
    rows = [
        {"metric": m, "arm": arm, "features": before[arm].metrics.get(m), "pixels": found[arm].metrics.get(m)}
        for m in metrics
        for arm in arms
    ]
    return StageResult(True, "measured", {"winner": arms[1], "seed": seed}, {"confirmation": rows})


def confirm_seconds(context: Context, arms: list[str]) -> float:
    """The time that two arms take with pixels; a model of each is trained for a few seconds to measure it."""
    pixels, data = _on_pixels(context, arms)
    jobs, threads = workers(context)
    renderer = renderer_for(pixels.recipes[arms[0]], data, jobs, context.progress)
    evaluation = evaluation_options(pixels.study)
    pace = measure_trials(pixels.recipes, arms[0], data, evaluation, renderer, jobs, threads, context.progress)
    return -(-len(arms) // jobs) * pace.trial_seconds(pixels.baseline, data.splits["train"]) / PLANNED_SHARE


def _on_pixels(context: Context, arms: list[str]) -> tuple[PilotDesign, Catalog]:
    """The design with two arms, one seed, and pixels in place of kept features; and its data."""
    scope = {**experiment_scope(context), "arms": arms, "seeds": 1, "renderer": "auto"}
    return scoped(context, scope)

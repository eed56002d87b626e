"""The fourth stage: the small experiment, CLIP and CLIP-C with their controls on the same pairs and seeds."""

from collections.abc import Mapping
from typing import Any

from clipc.recipe.recipe import Recipe
from clipc.study.board import StatusBoard
from clipc.study.pilot.experiment import experiment_plan, experiment_scope, scoped, workers
from clipc.study.pilot.stages.stage import Context, Results, StageResult
from clipc.study.pilot.tables import beside_arms, composing_cost, composites, pilot_limits, training_curves
from clipc.study.pilot.untrained import untrained_probes
from clipc.study.results import composes
from clipc.study.run import finished_trials, plan_study
from clipc.study.study import run_study


def compare(context: Context, _: Results) -> StageResult:
    """Runs the trials that have no record, and makes the tables of the comparison."""
    scope = experiment_scope(context)
    design, data = scoped(context, scope)
    study, plan = design.study, experiment_plan(context, design, scope)
    context.announce("plan", plan)
    jobs = workers(context)[0]
    seconds: list[float | None] = [None]

    def watch(board: StatusBoard) -> None:
        seconds[0] = board.seconds_per_trial
        context.watch(board)

    tables = run_study(
        study,
        context.folder,
        catalog=data,
        jobs=jobs,
        command=context.options.command,
        progress=context.progress,
        watch=watch,
    )
    finished = finished_trials(study, plan_study(study, data, context.folder, context.folder / "records"))
    shown: Mapping[str, Recipe] = {name: design.recipes[name] for name in study.treatments}
    policies = [recipe.policy for recipe in shown.values() if composes(recipe.policy)]
    tables |= {
        "plan": plan,
        "untrained": beside_arms(untrained_probes(design.baseline, data, context.progress), tables),
        "composites": [composites(name, recipe, data, context.options.pictures) for name, recipe in shown.items()],
        "composing_cost": composing_cost(tables),
        "training": [training_curves(outcome) for _, outcome in finished],
        "not_shown": [*tables["not_shown"], *pilot_limits(policies, data, plan)],
    }
    best = winner(tables)
    headline = tables["verdict"]["headline"]["code"]
    values: dict[str, Any] = {"winner": best, "seeds": plan["seeds"], "arms": len(plan["arms"]), "headline": headline}
    # Of a trial of one worker; none where all trials had a record.
    values["trial_seconds"] = None if seconds[0] is None else jobs * seconds[0]
    return StageResult(True, headline, values, tables)


def winner(tables: Mapping[str, Any]) -> str:
    """The arm under test with the largest mean difference from the baseline, averaged over the main metrics.

    It is chosen on the test split, so whoever decides on it widens its intervals by the number of arms under test.
    """
    main = {m["key"]: 1 if m["higher_is_better"] else -1 for m in tables["metrics"] if m["main"]}
    gains: dict[str, float] = dict.fromkeys(tables["verdict"]["arms"], 0.0)
    for row in tables["comparisons"]:
        if row["metric"] in main and row["against"] == tables["baseline"] and row["arm"] in gains:
            gains[row["arm"]] += main[row["metric"]] * row["difference"]
    return max(gains, key=lambda name: gains[name])

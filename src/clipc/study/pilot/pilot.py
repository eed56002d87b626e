"""The pilot from beginning to end: its stages, and the tables of its page."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from clipc.catalog.catalog import Catalog
from clipc.errors import unknown_name
from clipc.progress import Progress, silent
from clipc.recipe.run import Run, environment
from clipc.study.pilot.costs import planned_stages
from clipc.study.pilot.design import PilotDesign, bind, pilot_study
from clipc.study.pilot.experiment import experiment_scope, workers
from clipc.study.pilot.options import PilotOptions
from clipc.study.pilot.public import measure_public
from clipc.study.pilot.stages.bias import audit_plan
from clipc.study.pilot.stages.confirm import confirm
from clipc.study.pilot.stages.curve import low_data_curve
from clipc.study.pilot.stages.doctor import examine
from clipc.study.pilot.stages.experiment import compare
from clipc.study.pilot.stages.preview import preview_composites
from clipc.study.pilot.stages.stage import Announce, Context, Stage, run_stages, stage_rows, unheard
from clipc.study.pilot.stages.tune import tune
from clipc.study.pilot.tables import beside_arms, limits_left
from clipc.study.pilot.worth import pilot_worth
from clipc.study.recipes import check_recipes
from clipc.study.run import BoardCallback, evaluation_options
from clipc.train.timing import Timer

STAGES: Final[Mapping[str, Stage]] = {
    "doctor": examine,
    "preview": preview_composites,
    "bias": audit_plan,
    "tune": tune,
    "experiment": compare,
    "curve": low_data_curve,
    "confirm": confirm,
}
"""The stages in their order; ``tune`` runs where it is asked for."""


def run_pilot(
    options: PilotOptions,
    folder: Path,
    *,
    catalog: Catalog | None = None,
    stage: str | None = None,
    announce: Announce = unheard,
    progress: Progress = silent,
    watch: BoardCallback = lambda _: None,
) -> dict[str, Any]:
    """Runs the stages of a pilot within its time, or resumes a pilot that was stopped.

    Args:
        options: The pilot's options.
        folder: The pilot's folder; stages that have a result there, and trials that have a record, are not run again.
        catalog: The opened data; otherwise the options' source is opened.
        stage: A stage to run again; those after it keep what they have.
        announce: Told each stage's result, and what the experiment will run and why.
        progress: Receives the progress of long steps.
        watch: Called with the state of all trials while they run.

    Returns:
        The tables that :func:`clipc.report.render_pilot` shows, ready for JSON: those of the experiment's study, and
        ``stages``, ``budget``, ``plan``, ``untrained``, ``composites``, ``composing_cost``, ``training``, and where
        their stages ran ``worth``, ``doctor``, ``preview``, ``meaning``, ``bias``, ``bias_gate``, ``curves`` and
        ``confirmation``.

    Raises:
        UserError: There are too few pairs or seeds, the time is too short, the study has an error, or a stage says
            that going on makes no sense.
        Interrupted: On Ctrl-C or SIGTERM; the same call resumes the pilot.
    """
    asked = {*options.stages, "tune"} if options.tune else {*options.stages} - {"tune"}
    stages = {name: STAGES[name] for name in STAGES if name in asked}
    if stage is not None and stage not in stages:
        raise unknown_name("stage", stage, stages)
    context = make_context(options, folder, catalog, announce, progress, watch)
    try:
        public = measure_public(context)  # First, so that its time counts and a wrong name is reported at once.
        if "experiment" in stages and stage is None:
            experiment_scope(context)  # Before the other stages, so that too little time is reported at once.
        results = run_stages(context, stages, stage)
    finally:
        minutes = _add_minutes(folder, context.timer.seconds / 60)
    tables: dict[str, Any] = {}
    for result in results.values():
        lists = {name: [*tables.get(name, ()), *result.tables.get(name, ())] for name in ("curves", "search")}
        tables |= {**result.tables, **lists}
    if "experiment" in results:
        tables["not_shown"] = limits_left(tables)
    if public is not None and "experiment" in results:
        rows = beside_arms(public.rows(tables["metrics"]), tables)
        tables["untrained"] = [*tables["untrained"], *rows]
        tables["not_shown"] = [*tables["not_shown"], *(() if rows else ["no-public-model"])]
    if results.keys() >= {"experiment", "curve"}:
        tables["worth"] = pilot_worth(context, results, tables, minutes, public)
    budget = {"minutes": options.minutes, "minutes_taken": minutes, "jobs": workers(context)[0]}
    return tables | {"budget": budget, "stages": stage_rows(results)}


def plan_pilot(
    options: PilotOptions, folder: Path, *, catalog: Catalog | None = None, progress: Progress = silent
) -> dict[str, Any]:
    """What a pilot would run, why, and for how long; measures the pace and the public model, and runs no trial.

    What is settled here holds for the pilot that follows with the same options. Returns the tables of
    :func:`~clipc.study.pilot.costs.planned_stages`.
    """
    context = make_context(options, folder, catalog, progress=progress)
    measure_public(context)  # Its time is not the stages'.
    return planned_stages(context)


def make_context(
    options: PilotOptions,
    folder: Path,
    catalog: Catalog | None = None,
    announce: Announce = unheard,
    progress: Progress = silent,
    watch: BoardCallback = lambda _: None,
) -> Context:
    """What the stages of a pilot share; errors in recipes are reported before the data are read."""
    timer, study = Timer(), pilot_study(options)
    check_recipes(study)
    catalog = catalog or options.data.open(progress)
    design = bind(study, catalog)
    asked = _asked(options, design, catalog)
    alone = {"bias": {"attributes": list(options.attributes)}} if options.attributes else {}
    return Context(options, folder, catalog, study, design, asked, alone, timer, announce, progress, watch)


def _asked(options: PilotOptions, design: PilotDesign, catalog: Catalog) -> dict[str, Any]:
    """All that the stages' results follow from, to check whether saved ones still hold."""
    recipes = {name: recipe.model_dump(mode="json", exclude={"data"}) for name, recipe in design.recipes.items()}
    return {
        "clipc": environment("cpu", 1)["clipc"],
        "data_fingerprint": catalog.fingerprint,
        "recipes": recipes,
        "measuring": evaluation_options(design.study).as_json(),
        "minutes": options.minutes,
        "seeds": list(options.seed_range),
        "jobs": options.jobs,
        "stages": list(options.stages),
        "arms": list(options.arms),
        **({"tune": options.tune} if options.tune else {}),
        **({"settings": dict(options.settings)} if options.settings else {}),
        "pictures": options.pictures,
    }


def _add_minutes(folder: Path, minutes: float) -> float:
    """Adds minutes to those that earlier calls of this pilot took, and returns the sum."""
    run = Run(folder)
    total = (run.read_json("spent.json") or {"minutes": 0.0})["minutes"] + minutes
    run.write_json("spent.json", {"minutes": total})
    return total

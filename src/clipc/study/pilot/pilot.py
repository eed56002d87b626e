"""The pilot from beginning to end."""

from pathlib import Path
from typing import Any

from clipc.catalog.catalog import Catalog
from clipc.progress import Progress, silent
from clipc.recipe.run import Run
from clipc.study.pilot.design import pilot_study
from clipc.study.pilot.experiment import Announce, Experiment, run_experiment
from clipc.study.pilot.options import PilotOptions
from clipc.study.pilot.tables import beside_arms, composing_cost, composites, pilot_limits, training_curves
from clipc.study.pilot.untrained import untrained_probes
from clipc.study.recipes import check_recipes
from clipc.study.results import composes
from clipc.study.run import BoardCallback, finished_trials, plan_study
from clipc.train.timing import Timer


def run_pilot(
    options: PilotOptions,
    folder: Path,
    *,
    catalog: Catalog | None = None,
    announce: Announce = lambda _: None,
    progress: Progress = silent,
    watch: BoardCallback = lambda _: None,
) -> dict[str, Any]:
    """Runs the pilot's experiment with what fits the time, or resumes a pilot that was stopped.

    Args:
        options: The pilot's options.
        folder: The pilot's folder; trials that have a record there are not run again.
        catalog: The opened data; otherwise the options' source is opened.
        announce: Told what will run and why, before the trials begin.
        progress: Receives the progress of long steps before the trials begin.
        watch: Called with the state of all trials while they run.

    Returns:
        The tables that :func:`clipc.report.render_pilot` shows, ready for JSON: those of the study, and ``budget``,
        ``plan``, ``untrained``, ``composites``, ``composing_cost`` and ``training``.

    Raises:
        UserError: There are too few pairs or seeds, the time is too short, or the study has an error.
        Interrupted: On Ctrl-C or SIGTERM; the same call resumes the pilot.
    """
    timer = Timer()
    check_recipes(pilot_study(options))  # Errors are reported before the data are read.
    catalog = catalog or options.data.open(progress)
    try:
        experiment = run_experiment(
            options, folder, catalog, timer=timer, announce=announce, progress=progress, watch=watch
        )
        tables = _experiment_tables(experiment, folder, options, progress)
    finally:
        minutes = _add_minutes(folder, timer.seconds / 60)
    policies = [recipe.policy for recipe in _treatments(experiment).values() if composes(recipe.policy)]
    budget = {"minutes": options.minutes, "minutes_taken": minutes, "jobs": experiment.plan["jobs"]}
    limits = pilot_limits(policies, experiment.catalog, experiment.plan)
    return tables | {"budget": budget, "not_shown": [*tables["not_shown"], *limits]}


def _experiment_tables(
    experiment: Experiment, folder: Path, options: PilotOptions, progress: Progress
) -> dict[str, Any]:
    """The study's tables, and those that a pilot has besides."""
    study, catalog = experiment.design.study, experiment.catalog
    finished = finished_trials(study, plan_study(study, catalog, folder, folder / "records"))
    shown = _treatments(experiment).items()
    return experiment.tables | {
        "plan": experiment.plan,
        "untrained": beside_arms(untrained_probes(experiment.design.baseline, catalog, progress), experiment.tables),
        "composites": [composites(name, recipe, catalog, options.pictures) for name, recipe in shown],
        "composing_cost": composing_cost(experiment.tables),
        "training": [training_curves(outcome) for _, outcome in finished],
    }


def _treatments(experiment: Experiment) -> dict[str, Any]:
    """The recipes of the arms under test, by name."""
    return {name: experiment.design.recipes[name] for name in experiment.design.study.treatments}


def _add_minutes(folder: Path, minutes: float) -> float:
    """Adds minutes to those that earlier calls of this pilot took, and returns the sum."""
    run = Run(folder)
    total = (run.read_json("spent.json") or {"minutes": 0.0})["minutes"] + minutes
    run.write_json("spent.json", {"minutes": total})
    return total

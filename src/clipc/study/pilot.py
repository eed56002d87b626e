"""The pilot: a study whose trials are as long as a time budget allows."""

import math
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from clipc.catalog.catalog import Catalog
from clipc.errors import UserError, unknown_name
from clipc.prepare.feature_renderer import keep_features, kept_key
from clipc.progress import Progress, silent
from clipc.recipe.data import Data
from clipc.recipe.recipe import Recipe
from clipc.recipe.run import Run
from clipc.study.budget import BUDGETS, Pace, measure_pace, samples_within
from clipc.study.design import Study, read_study
from clipc.study.pilot_tables import composing_cost, composites, pilot_limits, training_curves
from clipc.study.pool import Pool
from clipc.study.recipes import arm_recipe, check_recipes
from clipc.study.results import composes
from clipc.study.run import BoardCallback, evaluation_options, finished_trials, jobs_for, plan_study, renderer_for
from clipc.study.study import run_study
from clipc.train.timing import Timer

FIXED_KEYS: Final = ("data", "samples", "epochs", "seed", "threads")
"""Recipe keys that a pilot sets itself, from its source and its budget."""

REPORT_SECONDS: Final = 10.0
"""Seconds reserved for reading the records and writing the report."""


@dataclass(frozen=True)
class PilotOptions:
    """The options of a pilot.

    Attributes:
        data: Where the pairs come from.
        budget: A name from :data:`clipc.study.budget.BUDGETS`. The quick budget omits controls and few-shot probes,
            because they would take too much of the training time.
        minutes: The time for the whole pilot, in minutes; the budget's if None.
        seeds: The number of seeds, at least 3.
        jobs: Parallel trials; if None, one per core on a CPU, one at a time on a GPU.
        study: The study's name or file. The options given here replace its data, recipe, seeds, templates and language.
        overrides: ``key=value`` changes to the recipe of all arms.
        recipe: The recipe's name or file.
        templates: The prompt templates for zero-shot classification (see :class:`clipc.study.design.Study`).
        pictures: Whether the report shows images.
        command: The command line, for the report.
    """

    data: Data = field(default_factory=Data)
    budget: str = "standard"
    minutes: float | None = None
    seeds: int = 3
    jobs: int | None = None
    study: str = "pilot"
    overrides: Sequence[str] = ()
    recipe: str = "small"
    templates: str = "auto"
    pictures: bool = True
    command: str = "clipc pilot"

    @property
    def allowed_minutes(self) -> float:
        """The time for the whole pilot, in minutes.

        Raises:
            UserError: There is no such budget.
        """
        if self.budget not in BUDGETS:
            raise unknown_name("budget", self.budget, BUDGETS)
        return BUDGETS[self.budget] if self.minutes is None else self.minutes


def run_pilot(
    options: PilotOptions,
    folder: Path,
    *,
    catalog: Catalog | None = None,
    progress: Progress = silent,
    watch: BoardCallback = lambda _: None,
) -> dict[str, Any]:
    """Runs a study with as many training examples as the time allows, or resumes a pilot that was stopped.

    Args:
        options: The pilot's options.
        folder: The pilot's folder; trials that have a record there are not run again.
        catalog: The opened data; otherwise the options' source is opened.
        progress: Receives the progress of long steps before the trials begin.
        watch: Called with the state of all trials while they run.

    Returns:
        The tables that :func:`clipc.report.render_pilot` shows, ready for JSON: those of the study, and ``budget``,
        ``composites``, ``composing_cost`` and ``training``.

    Raises:
        UserError: There are too few pairs or fewer than 3 seeds, the time is too short, or the study has an error.
        Interrupted: On Ctrl-C or SIGTERM; the same call resumes the pilot.
    """
    timer, allowed = Timer(), options.allowed_minutes
    study = pilot_study(options)
    check_recipes(study)  # Errors are reported before the data are read.
    catalog = catalog or options.data.open(progress)
    recipes = _arm_recipes(study, catalog)
    jobs, threads = jobs_for(recipes[study.baseline_name], len(recipes) * options.seeds, options.jobs)
    try:
        trials = _PilotTrials(study, recipes, catalog, allowed, jobs, threads)
        settings = _shared_settings(trials, Run(folder), timer, progress)
        study = study.model_copy(update={"set": {**study.set, **settings}})
        tables = run_study(
            study, folder, catalog=catalog, jobs=jobs, command=options.command, progress=progress, watch=watch
        )
    finally:
        minutes = _add_minutes(folder, timer.seconds / 60)
    finished = finished_trials(study, plan_study(study, catalog, folder, folder / "records"))
    treatments = {name: recipes[name] for name in study.treatments}
    policies = [recipe.policy for recipe in treatments.values() if composes(recipe.policy)]
    return tables | {
        "budget": {"name": options.budget, "minutes": allowed, "minutes_taken": minutes, "jobs": jobs},
        "composites": [composites(name, recipe, catalog, options.pictures) for name, recipe in treatments.items()],
        "composing_cost": composing_cost(tables),
        "training": [training_curves(outcome) for _, outcome in finished],
        "not_shown": [*tables["not_shown"], *pilot_limits(policies, catalog, tables, minutes)],
    }


def pilot_study(options: PilotOptions) -> Study:
    """The study that a pilot runs; ``set.samples`` is 1 until the pace has been measured.

    Raises:
        UserError: There are fewer than 3 seeds, an override changes one of :data:`FIXED_KEYS`, or the study has sizes
            or ranges.
    """
    if options.seeds < 3:
        raise UserError(f"a pilot needs at least 3 seeds to estimate the variation between seeds, not {options.seeds}.")
    fixed = [change for change in options.overrides if change.partition("=")[0].split(".")[0] in FIXED_KEYS]
    if fixed:
        raise UserError(f"{fixed[0]!r} cannot be set for a pilot: it sets {', '.join(FIXED_KEYS)} itself.")
    study = read_study(options.study, ["set.samples=1", *(f"set.{change}" for change in options.overrides)])
    if study.has_ranges or study.sizes != ("all",) or study.folds:
        raise UserError(
            f"the study {options.study} has sizes, folds or ranges, which a pilot does not run; use clipc study."
        )
    data, seeds = options.data.model_copy(update={"pairs": None}), tuple(range(options.seeds))
    shared = {"data": data, "recipe": options.recipe, "templates": options.templates, "lang": options.data.lang}
    study = study.model_copy(update={**shared, "seeds": seeds})
    return study.without_controls().model_copy(update={"shots": ()}) if options.budget == "quick" else study


def _arm_recipes(study: Study, catalog: Catalog) -> dict[str, Recipe]:
    """The recipe of each arm with the first seed; a batch holds at most a quarter of the training pairs.

    Raises:
        UserError: There are too few pairs, or a treatment has the same recipe as the baseline.
    """
    pairs = catalog.splits.get("train", 0)
    if pairs < 8:
        raise UserError(f"{catalog.about.name} has {pairs} training pairs; a pilot needs at least 8, better 1,000.")
    largest = max(2, 2 ** int(math.log2(pairs / 4)))
    recipes = {arm.name: arm_recipe(study, arm, study.seeds[0], "all") for arm in study.expanded_arms}
    for name in study.treatments:
        if recipes[name] == recipes[study.baseline_name]:
            raise UserError(
                f"the pilot's arm {name!r} is the same as {study.baseline_name!r}, so there is nothing to compare; "
                "set a share of composites (policy.rho) above 0."
            )
    sizes = {name: {"batch_size": min(recipe.batch_size, largest)} for name, recipe in recipes.items()}
    return {name: recipe.model_copy(update=sizes[name]) for name, recipe in recipes.items()}


@dataclass(frozen=True)
class _PilotTrials:
    """The trials of a pilot before their length is known; the length depends on all attributes.

    Attributes:
        study: The study.
        recipes: The recipe of each arm with the first seed, by the arm's name.
        catalog: All data.
        minutes: The time for the whole pilot.
        jobs: How many trials run at a time.
        threads: CPU threads of each trial.
    """

    study: Study
    recipes: Mapping[str, Recipe]
    catalog: Catalog
    minutes: float
    jobs: int
    threads: int

    @property
    def count(self) -> int:
        """The number of trials."""
        return len(self.recipes) * len(self.study.seeds)

    def as_json(self) -> dict[str, Any]:
        """The inputs that the shared settings follow from, to check whether stored settings still hold."""
        recipes = {name: recipe.model_dump(mode="json", exclude={"data"}) for name, recipe in self.recipes.items()}
        evaluation = evaluation_options(self.study).as_json()
        inputs = {"data_fingerprint": self.catalog.fingerprint, "recipes": recipes, "measuring": evaluation}
        return {**inputs, "minutes": self.minutes, "seeds": len(self.study.seeds), "jobs": self.jobs}

    def mean_pace(self, renderer: str) -> Pace:
        """Trains and evaluates a model of every arm for a few seconds."""
        endless = [recipe.model_copy(update={"samples": 10**9}) for recipe in self.recipes.values()]
        tasks = [(recipe, self.catalog, evaluation_options(self.study), renderer, 8.0) for recipe in endless]
        with closing(Pool(self.jobs, self.threads)) as pool:
            return Pace.mean(pool.map(measure_pace, tasks, silent))


def _shared_settings(trials: _PilotTrials, run: Run, timer: Timer, progress: Progress) -> dict[str, Any]:
    """The settings that all trials share: the number of pairs shown, the batch size and the renderer.

    They are stored in ``pilot.json``, so that a stopped pilot resumes the same trials.

    Args:
        trials: The trials.
        run: The pilot's folder.
        timer: Measures the time since the pilot began.
        progress: Receives the progress of the measurement.

    Raises:
        UserError: The remaining time is too short for ten batches.
    """
    baseline, inputs = trials.recipes[trials.study.baseline_name], trials.as_json()
    saved = run.read_json("pilot.json")
    if saved is not None and saved["asked"] == inputs:
        return saved["settled"]
    # Tables of neighbours are made here once; an error in the rules is reported before any training.
    renderers = {renderer_for(recipe, trials.catalog, trials.jobs, progress) for recipe in trials.recipes.values()}
    renderer = renderers.pop() if len(renderers) == 1 else "worker"
    if "features" in renderers:
        raise UserError("some of the pilot's arms train on kept features and others do not; set renderer for all arms.")
    if renderer == "features":
        for recipe in {kept_key(recipe): recipe for recipe in trials.recipes.values()}.values():
            keep_features(recipe, [trials.catalog], progress)
    progress("measuring the pace", 0, 1)
    pace = trials.mean_pace(renderer)
    progress("measuring the pace", 1, 1)
    remaining = trials.minutes * 60 - timer.seconds - REPORT_SECONDS
    validations = baseline.validations
    samples = samples_within(remaining, pace, trials=trials.count, jobs=trials.jobs, validations=validations)
    if samples < 10 * baseline.batch_size:
        raise UserError(
            f"{trials.minutes:g} minutes are enough for {samples} training examples in each of {trials.count} trials, "
            "fewer than ten batches; give more --minutes or fewer pairs."
        )
    settings = {"samples": samples, "batch_size": baseline.batch_size, "renderer": renderer}
    run.write_json("pilot.json", {"asked": inputs, "settled": settings})
    run.write_json("spent.json", {"minutes": 0.0})
    return settings


def _add_minutes(folder: Path, minutes: float) -> float:
    """Adds minutes to those that earlier calls of this pilot took, and returns the sum."""
    run = Run(folder)
    total = (run.read_json("spent.json") or {"minutes": 0.0})["minutes"] + minutes
    run.write_json("spent.json", {"minutes": total})
    return total

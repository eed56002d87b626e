"""The pilot: a study that fits a time budget."""

import math
import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any, Final

from clipc.catalog import Catalog
from clipc.compose.policy import Policy
from clipc.errors import UserError, unknown_name
from clipc.evaluate.probe import SHOTS
from clipc.prepare.new_model import tokenizer_for
from clipc.prepare.plans import group_of, make_plans
from clipc.prepare.preview import preview
from clipc.progress import Progress, silent
from clipc.recipe.recipe import Data, Recipe
from clipc.recipe.run import Run
from clipc.render.worker import WorkerRenderer
from clipc.study.budget import BUDGETS, Pace, measure, samples_within
from clipc.study.design import Study, arm_recipe, check_recipes, read_study
from clipc.study.limitations import Codes
from clipc.study.pool import Pool
from clipc.study.results import Outcome, composes
from clipc.study.run import Watch, finished_of, jobs_for, measuring_of, plan_study, renderer_for
from clipc.study.study import run_study

FIXED_KEYS: Final = ("data", "samples", "epochs", "seed", "threads")
"""Recipe keys that a pilot sets by itself, from its source and its budget."""

REPORT_SECONDS: Final = 10.0
"""Left for reading the trials back and writing the report."""

IMAGES: Final = 8
"""How many composites of each arm the report shows."""


@dataclass(frozen=True)
class PilotOptions:
    """The options of a pilot.

    Attributes:
        data: Where the pairs come from.
        budget: A name from :data:`clipc.study.budget.BUDGETS`. The quick one leaves out the controls, whose trials
            would take the training that a comparison needs, and the few-shot probes, which would take as long.
        minutes: The time for everything, in minutes; the budget's if None.
        seeds: How many seeds, at least 3.
        jobs: Trials at a time; on a CPU one a core if None, on a GPU one after the other.
        study: The study's name or file. Its data, recipe, seeds, templates and language are replaced by those given
            here.
        overrides: ``key=value`` changes to the recipe, for all arms alike.
        recipe: The recipe's name or file.
        templates: The prompt templates for zero-shot classification (see :func:`clipc.evaluate.evaluate`).
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
        """The time for everything, in minutes."""
        if self.budget not in BUDGETS:
            raise unknown_name("budget", self.budget, BUDGETS)
        return BUDGETS[self.budget] if self.minutes is None else self.minutes


def run_pilot(
    options: PilotOptions,
    folder: Path,
    *,
    catalog: Catalog | None = None,
    progress: Progress = silent,
    watch: Watch = lambda _: None,
) -> dict[str, Any]:
    """Runs a study with as many training examples as fit the time, or goes on with one that was stopped.

    Args:
        options: What to do.
        folder: Everything goes there; trials that have a record in it are not run again.
        catalog: The opened data; otherwise the options' source is opened.
        progress: Shows what takes long before the trials begin.
        watch: Shown the state of all trials while they run.

    Returns:
        The tables that :func:`clipc.report.render_pilot` shows, ready for JSON: those of the study, and ``budget``,
        ``composites``, ``composing_cost`` and ``training``.

    Raises:
        UserError: Too few pairs, too little time, fewer than 3 seeds, an error in the study.
        Interrupted: Ctrl-C or SIGTERM; the same call goes on.
    """
    start, allowed = time.monotonic(), options.allowed_minutes
    study = pilot_study(options)
    check_recipes(study)  # Errors are reported before the data are read.
    catalog = catalog or options.data.open(progress)
    arms = _arm_recipes(study, catalog)
    jobs, threads = jobs_for(arms[study.compared_with], len(arms) * options.seeds, options.jobs)
    try:
        settings = _shared_settings(study, options, arms, catalog, jobs, threads, folder, start, progress)
        study = study.model_copy(update={"set": {**study.set, **settings}})
        tables = run_study(
            study, folder, catalog=catalog, jobs=jobs, command=options.command, progress=progress, watch=watch
        )
    finally:
        minutes = _add_minutes(folder, (time.monotonic() - start) / 60)
    finished = finished_of(study, plan_study(study, catalog, folder, folder / "records"))
    treatments = {name: arms[name] for name in study.treatments}
    policies = [recipe.policy for recipe in treatments.values() if composes(recipe.policy)]
    return tables | {
        "budget": {"name": options.budget, "minutes": allowed, "minutes_taken": minutes, "jobs": jobs},
        "composites": [_composites(name, recipe, catalog, options.pictures) for name, recipe in treatments.items()],
        "composing_cost": composing_cost(tables),
        "training": [_training_curves(outcome) for _, outcome in finished],
        "not_shown": [*tables["not_shown"], *_limits(policies, catalog, tables, minutes)],
    }


def pilot_study(options: PilotOptions) -> Study:
    """The study that a pilot runs, but for how many examples each trial is shown.

    Raises:
        UserError: Fewer than 3 seeds, a change of what the pilot decides itself, or a study of sizes or ranges.
    """
    if options.seeds < 3:
        raise UserError(f"a pilot needs at least 3 seeds to say anything about chance, not {options.seeds}.")
    fixed = [word for word in options.overrides if word.partition("=")[0].split(".")[0] in FIXED_KEYS]
    if fixed:
        raise UserError(f"{fixed[0]!r} cannot be set for a pilot: it decides {', '.join(FIXED_KEYS)} itself.")
    study = read_study(options.study, ["set.samples=1", *(f"set.{word}" for word in options.overrides)])
    if study.ranges or study.sizes != ("all",):
        raise UserError(
            f"the study {options.study} has sizes or ranges, for which a pilot has no time: use clipc study."
        )
    data, seeds = options.data.model_copy(update={"pairs": None}), tuple(range(options.seeds))
    shared = {"data": data, "recipe": options.recipe, "templates": options.templates, "lang": options.data.lang}
    study = study.model_copy(update={**shared, "seeds": seeds})
    return study.without_controls().model_copy(update={"shots": ()}) if options.budget == "quick" else study


def composing_cost(tables: Mapping[str, Any]) -> dict[str, Any] | None:
    """The median training speed of the baseline and of each treatment, from the trials themselves.

    Returns:
        ``baseline`` (its pairs a second) and ``arms`` (``arm``, ``pairs_per_second``, ``ratio``); None where the
        baseline has no trial.
    """
    rates = {
        arm["name"]: median(trial["pairs_per_second"] for result in arm["results"] for trial in result["trials"])
        for arm in tables["arms"]
        if any(result["trials"] for result in arm["results"])
    }
    if (baseline := rates.get(tables["baseline"])) is None:
        return None
    tested = {name: rate for name, rate in rates.items() if name in tables["verdict"]["arms"]}
    arms = [{"arm": name, "pairs_per_second": rate, "ratio": rate / baseline} for name, rate in tested.items()]
    return {"baseline": baseline, "arms": arms}


def _arm_recipes(study: Study, catalog: Catalog) -> dict[str, Recipe]:
    """The recipe of each arm with the first seed, its batch no larger than a quarter of a small set.

    Raises:
        UserError: There are too few pairs, or nothing sets a treatment apart from the baseline.
    """
    pairs = catalog.splits.get("train", 0)
    if pairs < 8:
        raise UserError(f"{catalog.about.name} has {pairs} training pairs; a pilot needs at least 8, better 1,000.")
    largest = max(2, 2 ** int(math.log2(pairs / 4)))
    recipes = {arm.name: arm_recipe(study, arm, study.seeds[0], "all") for arm in study.expanded}
    for name in study.treatments:
        if recipes[name] == recipes[study.compared_with]:
            raise UserError(
                f"the pilot's arm {name!r} would be {study.compared_with!r} once more, so there is nothing to compare; "
                "a share of composites (policy.rho) above 0 sets them apart."
            )
    sizes = {name: {"batch_size": min(recipe.batch_size, largest)} for name, recipe in recipes.items()}
    return {name: recipe.model_copy(update=sizes[name]) for name, recipe in recipes.items()}


def _shared_settings(
    study: Study,
    options: PilotOptions,
    arms: Mapping[str, Recipe],
    catalog: Catalog,
    jobs: int,
    threads: int,
    folder: Path,
    start: float,
    progress: Progress,
) -> dict[str, Any]:
    """What all trials share: how many pairs each is shown, in batches of which size, by which renderer.

    It is stored in ``pilot.json``, so that a stopped pilot goes on with the trials it began.
    """
    baseline = arms[study.compared_with]
    inputs = {
        "data_fingerprint": catalog.fingerprint,
        "recipes": {name: recipe.model_dump(mode="json", exclude={"data"}) for name, recipe in arms.items()},
        "measuring": measuring_of(study).as_json(),
        "minutes": options.allowed_minutes,
        "seeds": options.seeds,
        "jobs": jobs,
    }
    run = Run(folder)
    saved = run.read_json("pilot.json")
    if saved is not None and saved["asked"] == inputs:
        return saved["settled"]
    # Tables of neighbours are made here once; an error in the rules is reported before any training.
    renderers = {renderer_for(recipe, catalog, jobs, progress) for recipe in arms.values()}
    renderer = "resident" if renderers == {"resident"} else "worker"
    progress("measuring the pace", 0, 1)
    endless = [recipe.model_copy(update={"samples": 10**9}) for recipe in arms.values()]
    tasks = [(recipe, catalog, measuring_of(study), renderer, 8.0) for recipe in endless]
    with closing(Pool(jobs, threads)) as pool:
        pace = Pace.mean(pool.map(measure, tasks, silent))
    progress("measuring the pace", 1, 1)
    remaining = options.allowed_minutes * 60 - (time.monotonic() - start) - REPORT_SECONDS
    trials = options.seeds * len(arms)
    samples = samples_within(remaining, pace, trials=trials, jobs=jobs, validations=baseline.validations)
    if samples < 10 * baseline.batch_size:
        raise UserError(
            f"{options.allowed_minutes:g} minutes leave each of {trials} trials {samples} pairs here, fewer than ten "
            "batches; give more --minutes or fewer pairs."
        )
    settings = {"samples": samples, "batch_size": baseline.batch_size, "renderer": renderer}
    run.folder.mkdir(parents=True, exist_ok=True)
    run.write_json("pilot.json", {"asked": inputs, "settled": settings})
    run.write_json("spent.json", {"minutes": 0.0})
    return settings


def _add_minutes(folder: Path, minutes: float) -> float:
    """Adds to the minutes that this pilot has taken over all calls, and returns their sum."""
    run = Run(folder)
    total = (run.read_json("spent.json") or {"minutes": 0.0})["minutes"] + minutes
    run.write_json("spent.json", {"minutes": total})
    return total


def _composites(arm: str, recipe: Recipe, catalog: Catalog, pictures: bool) -> dict[str, Any]:
    """The policy of an arm, and some of its composites with their captions if it makes any and they may be shown."""
    samples: list[dict[str, Any]] = []
    if pictures and composes(recipe.policy):
        plans = make_plans(recipe.policy, catalog.split("train"), recipe.seed, cache=recipe.data.cache)
        samples = preview(WorkerRenderer(plans, recipe.augmentation, 64, tokenizer_for(recipe, catalog)), IMAGES)
    return {"arm": arm, "policy": recipe.policy.model_dump(mode="json"), "samples": samples}


def _training_curves(outcome: Outcome) -> dict[str, Any]:
    """How a trial's training went: loss, and mean recall on validation."""
    return {
        "arm": outcome.trial.arm,
        "seed": outcome.trial.recipe.seed,
        "loss": [[r["step"], r["loss"]] for r in outcome.records if "loss" in r],
        "validation": [[r["step"], r["validation"]["mean_recall"]] for r in outcome.records if "validation" in r],
    }


def _limits(policies: Sequence[Policy], catalog: Catalog, tables: Mapping[str, Any], minutes: float) -> Codes:
    """Codes of the limitations of a pilot beside those of any study."""
    codes: Codes = []
    names, columns = {metric["key"] for metric in tables["metrics"]}, catalog.about.label_columns
    missing = [k for k in SHOTS if names.isdisjoint(f"probe/{column}/{k}-shot/top1" for column in columns)]
    if columns and missing:
        codes.append({"code": "few-shot-missing", "shots": ", ".join(map(str, missing))})
    shares = {policy.rho for policy in policies}
    if len(shares) == 1:
        codes.append({"code": "one-share", "share": f"{shares.pop():.0%}"})
    if policies:
        codes.append(partners_limit(policies, catalog))
    return [*codes, {"code": "short-training", "minutes": f"{minutes:.0f}"}, "figures-elsewhere"]


def partners_limit(policies: Sequence[Policy], catalog: Catalog) -> str:
    """The code of the limitation that concerns partners."""
    at_random = all(p.partner == "random" and p.rules is None and group_of(p, catalog) is None for p in policies)
    return "random-partners" if at_random else "one-way-of-partners"

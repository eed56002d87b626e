"""The pilot: CLIP, its augmentation control and CLIP-C on the same pairs, seeds and budget."""

import math
import time
from pathlib import Path
from typing import Any, Final

from clipc.catalog import Catalog
from clipc.compose.plan import Plans
from clipc.errors import UserError
from clipc.models.device import choose_device
from clipc.models.model_config import model_config
from clipc.prepare.plans import make_plans
from clipc.progress import Progress, silent
from clipc.recipe.recipe import Recipe, read_recipe
from clipc.recipe.run import Run
from clipc.render.choose import choose_renderer
from clipc.study.budget import Pace, measure, samples_within
from clipc.study.options import PilotOptions
from clipc.study.pool import Pool
from clipc.study.results import Outcome
from clipc.study.run import jobs_for
from clipc.study.tables import report_tables
from clipc.study.trials import Measuring, Trial, run_trial

DECIDED: Final = ("data", "samples", "epochs", "seed", "threads")
"""Recipe keys that a pilot sets by itself, from its source and its budget."""

REPORT_SECONDS: Final = 10.0
"""Left for reading the trials back and writing the report."""


def pilot(
    options: PilotOptions, folder: Path, *, catalog: Catalog | None = None, progress: Progress = silent
) -> dict[str, Any]:
    """Runs a pilot, or goes on with one that was stopped, and returns the report's tables.

    Args:
        options: What to do.
        folder: Trials go to ``folder/trials``; what is finished there is not run again.
        catalog: The opened data; otherwise the options' source is opened.
        progress: Told the pairs shown so far, over all trials.

    Returns:
        The tables that :func:`clipc.report.render_pilot` shows, ready for JSON.

    Raises:
        UserError: Too few pairs, too little time, fewer than 3 seeds.
        Interrupted: Ctrl-C or SIGTERM; the same call goes on.
    """
    began = time.monotonic()
    if options.seeds < 3:
        raise UserError(f"a pilot needs at least 3 seeds to say anything about chance, not {options.seeds}.")
    catalog = catalog or options.data.open(progress)
    base = _base_recipe(options, catalog)
    jobs, threads = jobs_for(base, len(options.arms) * options.seeds, options.jobs)
    # Made once here, and found in the cache by every trial; a mistake in the rules is told before any training.
    plans = make_plans(base.policy, catalog.split("train"), 0, cache=options.data.cache, progress=progress)
    measuring = Measuring(options.templates, options.data.lang, options.shots)
    pool = Pool(jobs, threads)
    try:
        samples, renderer = _settled(pool, options, base, catalog, plans, measuring, jobs, folder, began, progress)
        sized = base.model_copy(update={"samples": samples, "epochs": None, "threads": threads})
        trials = [
            Trial.of(arm, arm_recipe(sized, arm, seed), catalog, folder / "trials")
            for seed in range(options.seeds)
            for arm in options.arms
        ]
        work = [(trial, catalog, measuring, renderer) for trial in trials]
        pool.map(run_trial, work, _summed(len(trials), sized, catalog, progress))
    finally:
        pool.close()
        minutes = _spend(folder, (time.monotonic() - began) / 60)
    outcomes = [Outcome.read(trial) for trial in trials]
    return report_tables(options, catalog, outcomes, jobs, minutes)


def arm_recipe(recipe: Recipe, arm: str, seed: int) -> Recipe:
    """The recipe of one arm: all arms share everything but what is done to the treated examples."""
    changes: dict[str, dict[str, Any]] = {
        "clip": {"rho": 0.0},
        "augment": {"treatment": "augment"},
        "clip-c": {"treatment": "compose"},
    }
    return recipe.model_copy(update={"seed": seed, "policy": recipe.policy.model_copy(update=changes[arm])})


def _base_recipe(options: PilotOptions, catalog: Catalog) -> Recipe:
    decided = [word for word in options.overrides if word.partition("=")[0].split(".")[0] in DECIDED]
    if decided:
        raise UserError(f"{decided[0]!r} cannot be set for a pilot: it decides {', '.join(DECIDED)} itself.")
    recipe = read_recipe(options.recipe, ["samples=1", *options.overrides]).model_copy(update={"data": options.data})
    pairs = catalog.splits.get("train", 0)
    if recipe.policy.rho == 0:
        raise UserError("policy.rho is 0, so CLIP-C would be CLIP; a pilot needs a share of composites above 0.")
    if pairs < 8:
        raise UserError(f"{catalog.about.name} has {pairs} training pairs; a pilot needs at least 8, better 1,000.")
    # A batch holds a quarter of a small set at most, so that an epoch has several steps.
    largest = max(2, 2 ** int(math.log2(pairs / 4)))
    return recipe.model_copy(update={"batch_size": min(recipe.batch_size, largest)})


def _settled(
    pool: Pool,
    options: PilotOptions,
    base: Recipe,
    catalog: Catalog,
    plans: Plans,
    measuring: Measuring,
    jobs: int,
    folder: Path,
    began: float,
    progress: Progress,
) -> tuple[int, str]:
    """How many pairs each trial is shown, and by which renderer: all arms by the same.

    Both are kept in ``pilot.json``, so that a stopped pilot goes on with the trials it began.
    """
    asked = {
        "data_fingerprint": catalog.fingerprint,
        "recipe": base.model_dump(mode="json", exclude={"data"}),
        "minutes": options.allowed_minutes,
        "seeds": options.seeds,
        "arms": list(options.arms),
        "jobs": jobs,
    }
    record = Run(folder)
    known = record.read_json("pilot.json")
    if known is not None and known["asked"] == asked and "renderer" in known:
        return known["samples"], known["renderer"]
    size = model_config(base.model, base.image_size)["vision_cfg"].get("image_size", 224)
    renderer = choose_renderer(
        base.renderer, plans, base.augmentation, size, device=choose_device(base.device), epochs=math.inf, sharing=jobs
    ).renderer
    endless = base.model_copy(update={"samples": 10**9})
    progress("measuring the pace", 0, 1)
    tasks = [(arm_recipe(endless, arm, 0), catalog, measuring, renderer, 8.0) for arm in options.arms]
    pace = Pace.mean(pool.map(measure, tasks, silent))
    progress("measuring the pace", 1, 1)
    left = options.allowed_minutes * 60 - (time.monotonic() - began) - REPORT_SECONDS
    trials = options.seeds * len(options.arms)
    samples = samples_within(left, pace, trials=trials, jobs=jobs, validations=base.validations)
    if samples < 10 * base.batch_size:
        raise UserError(
            f"{options.allowed_minutes:g} minutes leave each of {trials} trials {samples} pairs here, fewer than ten "
            "batches; give more --minutes or fewer pairs."
        )
    record.folder.mkdir(parents=True, exist_ok=True)
    record.write_json("pilot.json", {"asked": asked, "samples": samples, "renderer": renderer})
    record.write_json("spent.json", {"minutes": 0.0})
    return samples, renderer


def _spend(folder: Path, minutes: float) -> float:
    """Adds to the minutes that this pilot has taken over all calls, and returns their sum."""
    record = Run(folder)
    total = (record.read_json("spent.json") or {"minutes": 0.0})["minutes"] + minutes
    record.write_json("spent.json", {"minutes": total})
    return total


def _summed(trials: int, recipe: Recipe, catalog: Catalog, progress: Progress) -> Progress:
    """Adds up what the trials tell into one bar."""
    total = trials * recipe.steps(catalog.splits["train"]) * recipe.batch_size
    done = dict.fromkeys(map(str, range(trials)), 0)

    def told(what: str, shown: int, of: int) -> None:
        done[what] = shown
        progress(f"training {trials} trials (pairs)", sum(done.values()), total)

    return told

"""The pilot: CLIP, its augmentation control and CLIP-C on the same pairs, seeds and budget."""

import math
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from clipc.catalog import Catalog
from clipc.catalog.summary import summary as source_summary
from clipc.errors import UserError, unknown_name
from clipc.evaluate.probe import SHOTS
from clipc.progress import Progress, silent
from clipc.study.budget import BUDGETS, Pace, measure, samples_within
from clipc.study.results import (
    Outcome,
    arms_table,
    comparisons_table,
    composing_cost,
    metrics_table,
    templates_used,
)
from clipc.study.trials import Measuring, Pool, Trial, run_trial
from clipc.train.recipe import Data, Recipe, read_recipe
from clipc.train.run import Run, environment

ARMS: Final = ("clip", "augment", "clip-c")
"""Plain CLIP; CLIP with equally much more plain augmentation; CLIP with composition."""

QUICK_ARMS: Final = ("clip", "clip-c")
"""Without the control each trial learns half as long again, and the report says what it cannot tell."""

DECIDED: Final = ("data", "samples", "epochs", "seed", "threads")
"""Recipe keys that a pilot sets by itself, from its source and its budget."""

REPORT_SECONDS: Final = 10.0
"""Left for reading the trials back and writing the report."""


@dataclass(frozen=True)
class PilotOptions:
    """What a pilot is asked to do.

    Attributes:
        data: Where the pairs come from.
        budget: A name from :data:`clipc.study.budget.BUDGETS`.
        minutes: The time for everything, in minutes; the budget's if None.
        seeds: How many seeds, at least 3.
        jobs: Trials at a time; on a CPU one a core if None, on a GPU one after the other.
        overrides: ``key=value`` changes to the recipe, for all arms alike.
        recipe: The recipe's name or file.
        templates: The prompt templates for zero-shot classification (see :func:`clipc.evaluate.evaluate`).
        pictures: Whether the report shows pictures.
        command: The command line, for the report.
    """

    data: Data = field(default_factory=Data)
    budget: str = "standard"
    minutes: float | None = None
    seeds: int = 3
    jobs: int | None = None
    overrides: Sequence[str] = ()
    recipe: str = "small"
    templates: str = "auto"
    pictures: bool = True
    command: str = "clipc pilot"

    @property
    def arms(self) -> tuple[str, ...]:
        """The arms that are compared."""
        return QUICK_ARMS if self.budget == "quick" else ARMS

    @property
    def shots(self) -> tuple[int, ...]:
        """The few-shot probes; they would take as long as a quick trial's training."""
        return () if self.budget == "quick" else SHOTS

    @property
    def allowed_minutes(self) -> float:
        """The time for everything, in minutes."""
        if self.budget not in BUDGETS:
            raise unknown_name("budget", self.budget, BUDGETS)
        return BUDGETS[self.budget] if self.minutes is None else self.minutes


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
    jobs, threads = _jobs(options, base)
    measuring = Measuring(options.templates, options.data.lang, options.shots)
    pool = Pool(jobs, threads)
    try:
        samples, earlier = _samples(pool, options, base, catalog, measuring, jobs, folder, began, progress)
        sized = base.model_copy(update={"samples": samples, "epochs": None, "threads": threads})
        trials = [
            Trial.of(arm, arm_recipe(sized, arm, seed), catalog, folder / "trials")
            for seed in range(options.seeds)
            for arm in options.arms
        ]
        work = [(trial, catalog, measuring) for trial in trials]
        pool.map(run_trial, work, _summed(len(trials), sized, catalog, progress))
    finally:
        pool.close()
    outcomes = [Outcome.read(trial) for trial in trials]
    minutes = (time.monotonic() - began) / 60 + earlier
    Run(folder).write_json("spent.json", {"minutes": minutes})
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


def _jobs(options: PilotOptions, recipe: Recipe) -> tuple[int, int]:
    """How many trials run at a time, and with how many CPU threads each."""
    from clipc.train.device import choose_device

    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    on_cpu = choose_device(recipe.device).type == "cpu"
    jobs = options.jobs or (min(cores, len(options.arms) * options.seeds) if on_cpu else 1)
    return jobs, max(1, cores // jobs)


def _samples(
    pool: Pool,
    options: PilotOptions,
    base: Recipe,
    catalog: Catalog,
    measuring: Measuring,
    jobs: int,
    folder: Path,
    began: float,
    progress: Progress,
) -> tuple[int, float]:
    """How many pairs each trial is shown, and the minutes an earlier call has spent.

    The number is kept in ``pilot.json``, so that a stopped pilot goes on with the trials it began.
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
    if known is not None and known["asked"] == asked:
        return known["samples"], (record.read_json("spent.json") or {"minutes": 0.0})["minutes"]
    endless = base.model_copy(update={"samples": 10**9})
    progress("measuring the pace", 0, 1)
    tasks = [(arm_recipe(endless, arm, 0), catalog, measuring, 8.0) for arm in options.arms]
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
    record.write_json("pilot.json", {"asked": asked, "samples": samples})
    return samples, 0.0


def _summed(trials: int, recipe: Recipe, catalog: Catalog, progress: Progress) -> Progress:
    """Adds up what the trials tell into one bar."""
    total = trials * recipe.steps(catalog.splits["train"]) * recipe.batch_size
    done = dict.fromkeys(map(str, range(trials)), 0)

    def told(what: str, shown: int, of: int) -> None:
        done[what] = shown
        progress(f"training {trials} trials (pairs)", sum(done.values()), total)

    return told


def report_tables(
    options: PilotOptions, catalog: Catalog, outcomes: Sequence[Outcome], jobs: int, minutes: float
) -> dict[str, Any]:
    """What a pilot's report shows, ready for JSON.

    Args:
        options: What was asked.
        catalog: The data.
        outcomes: The finished trials.
        jobs: How many ran at a time.
        minutes: How long it took.
    """
    recipe = next(o.trial.recipe for o in outcomes if o.trial.arm == "clip-c")
    summary = outcomes[0].summary
    machine = environment("cpu", 1) | (Run(outcomes[0].trial.folder).read_json("environment.json") or {})
    metrics = metrics_table(outcomes)
    return {
        "clipc": machine["clipc"],
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": options.command,
        "source": source_summary(catalog),
        "machine": machine,
        "settings": {
            **recipe.model_dump(mode="json", exclude={"data", "seed", "samples", "epochs"}),
            **{name: summary[name] for name in ("samples", "steps", "epochs", "parameters", "image_size")},
            "budget": options.budget,
            "minutes": options.allowed_minutes,
            "minutes_taken": minutes,
            "jobs": jobs,
            "seeds": list(range(options.seeds)),
            "prompts": ", ".join(templates_used(outcomes)),
        },
        "arms": arms_table(outcomes),
        "metrics": metrics,
        "comparisons": comparisons_table(outcomes),
        "composing_cost": composing_cost(outcomes),
        "samples": _pictures(recipe, catalog) if options.pictures else [],
        "not_shown": _not_shown(options, catalog, outcomes, metrics, minutes),
    }


def _pictures(recipe: Recipe, catalog: Catalog) -> list[dict[str, str]]:
    from clipc.compose.plan import Plans
    from clipc.render.preview import preview
    from clipc.render.worker import WorkerRenderer
    from clipc.train.model import load_tokenizer

    plans = Plans(catalog.split("train"), recipe.policy, recipe.seed)
    return preview(WorkerRenderer(plans, recipe.augmentation, 64, load_tokenizer(recipe.model)), 8)


def _not_shown(
    options: PilotOptions,
    catalog: Catalog,
    outcomes: Sequence[Outcome],
    metrics: Sequence[dict[str, Any]],
    minutes: float,
) -> list[str | dict[str, Any]]:
    """Codes of what the report cannot tell; the report's words hold a sentence for each."""
    summary = outcomes[0].summary
    recipe = next(o.trial.recipe for o in outcomes if o.trial.arm == "clip-c")
    baseline = [o for o in outcomes if o.trial.arm == "clip"]
    codes: list[str | dict[str, Any]] = []
    if catalog.about.generated:
        codes.append("generated")
    if not catalog.about.label_columns:
        codes.append("no-labels")
    elif missing := [k for k in SHOTS if not any(m["key"].endswith(f"/{k}-shot/top1") for m in metrics)]:
        codes.append({"code": "few-shot-missing", "shots": ", ".join(map(str, missing))})
    if catalog.splits["test"] < 1000:
        codes.append({"code": "small-test-set", "n": catalog.splits["test"]})
    if "augment" not in options.arms:
        codes.append("no-control-arm")
    for metric in metrics:
        found = sum(o.metrics[metric["key"]] for o in baseline) / len(baseline)
        if metric["main"] and metric["chance"] and found < 2 * metric["chance"]:
            codes.append({"code": "near-chance", "metric": metric["key"]})
    if options.seeds < 8:
        codes.append({"code": "few-seeds", "n": options.seeds})
    codes.append({"code": "many-measures", "n": sum(m["main"] for m in metrics)})
    codes += [
        "one-recipe",
        {"code": "one-share", "share": f"{recipe.policy.rho:.0%}"},
        "random-partners",
        "from-scratch",
        {"code": "small-model", "parameters": f"{summary['parameters']:,}", "size": summary["image_size"]},
        {"code": "short-training", "minutes": f"{minutes:.0f}"},
        "one-split",
        "same-source",
        "no-audit",
        "figures-elsewhere",
    ]
    return codes

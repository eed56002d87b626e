"""Everything a pilot's report shows, as tables ready for JSON."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from clipc.catalog import Catalog
from clipc.catalog.summary import summary as source_summary
from clipc.compose.policy import Policy
from clipc.evaluate.probe import SHOTS
from clipc.render.preview import preview
from clipc.render.worker import WorkerRenderer
from clipc.study.options import PilotOptions
from clipc.study.results import (
    Outcome,
    arms_table,
    baseline_near_chance,
    comparisons_table,
    composing_cost,
    metrics_table,
    templates_used,
)
from clipc.train.plans import group_of, make_plans
from clipc.train.recipe import Recipe
from clipc.train.run import Run, environment
from clipc.train.vocabulary import tokenizer_for


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


def _partners(policy: Policy, catalog: Catalog) -> str:
    """The code of what a report cannot tell about partners."""
    at_random = policy.partner == "random" and policy.rules is None and group_of(policy, catalog) is None
    return "random-partners" if at_random else "one-way-of-partners"


def _pictures(recipe: Recipe, catalog: Catalog) -> list[dict[str, str]]:

    plans = make_plans(recipe.policy, catalog.split("train"), recipe.seed, cache=recipe.data.cache)
    return preview(WorkerRenderer(plans, recipe.augmentation, 64, tokenizer_for(recipe, catalog)), 8)


def _shots_missing(catalog: Catalog, metrics: Sequence[Mapping[str, Any]]) -> list[int]:
    """The few-shot probes of which no label column has any."""
    there = {metric["key"] for metric in metrics}
    return [k for k in SHOTS if there.isdisjoint(f"probe/{c}/{k}-shot/top1" for c in catalog.about.label_columns)]


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
    elif missing := _shots_missing(catalog, metrics):
        codes.append({"code": "few-shot-missing", "shots": ", ".join(map(str, missing))})
    if catalog.splits["test"] < 1000:
        codes.append({"code": "small-test-set", "n": catalog.splits["test"]})
    if "augment" not in options.arms:
        codes.append("no-control-arm")
    for metric in metrics:
        if metric["main"] and baseline_near_chance(metric, baseline):
            codes.append({"code": "near-chance", "metric": metric["key"]})
    if options.seeds < 8:
        codes.append({"code": "few-seeds", "n": options.seeds})
    codes.append({"code": "many-measures", "n": sum(m["main"] for m in metrics)})
    codes += [
        "one-recipe",
        {"code": "one-share", "share": f"{recipe.policy.rho:.0%}"},
        _partners(recipe.policy, catalog),
        "from-scratch",
        {"code": "small-model", "parameters": f"{summary['parameters']:,}", "size": summary["image_size"]},
        {"code": "short-training", "minutes": f"{minutes:.0f}"},
        "one-split",
        "same-source",
        "no-audit",
        "figures-elsewhere",
    ]
    return codes

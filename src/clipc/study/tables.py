"""Everything a pilot's report shows, as tables ready for JSON."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from clipc.catalog import Catalog
from clipc.catalog.summary import summary as source_summary
from clipc.compose.policy import Policy
from clipc.evaluate.probe import SHOTS
from clipc.models.vocabulary import tokenizer_for
from clipc.prepare.plans import group_of, make_plans
from clipc.prepare.preview import preview
from clipc.recipe.recipe import Recipe
from clipc.recipe.run import Run, environment
from clipc.render.worker import WorkerRenderer
from clipc.study.options import PilotOptions
from clipc.study.results import (
    Outcome,
    arms_table,
    comparisons_table,
    composing_cost,
    metrics_table,
    near_chance,
    templates_used,
)


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
        if metric["main"] and metric["chance"] and near_chance(found, metric["chance"]):
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

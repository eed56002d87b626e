"""The tables of a pilot besides those of a study: composites, the cost of composing, curves and limitations."""

from collections.abc import Iterator, Mapping, Sequence
from statistics import median
from typing import Any, Final

from clipc.catalog.catalog import Catalog
from clipc.compose.policy import Policy
from clipc.evaluate.statistics.interval import t_interval
from clipc.prepare.new_model import tokenizer_for
from clipc.prepare.plans import auto_group, group_of, make_plans
from clipc.prepare.preview import preview
from clipc.recipe.recipe import Recipe
from clipc.render.worker import WorkerRenderer
from clipc.study.limitations import Codes, search_limits
from clipc.study.results import Outcome, composes
from clipc.study.search_results import SearchResult

CONTROLS: Final = ("wrong-caption", "self-halves")
"""The controls of the built-in study: there is a sentence on what cannot be said without each of them."""

MIN_EPOCHS: Final = 5
"""Training in which each pair is seen less often than this is called short."""

IMAGES: Final = 8
"""The number of composites of each arm in the report."""


def composing_cost(tables: Mapping[str, Any]) -> dict[str, Any] | None:
    """The median training speed of the baseline and of each treatment, over their trials.

    Returns:
        ``baseline`` (pairs per second) and ``arms`` (``arm``, ``pairs_per_second``, ``ratio``); None where the
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


def beside_arms(probes: Sequence[Mapping[str, Any]], tables: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Adds to each row ``arms``: the same metric of each arm, its mean and 95% interval over ``n`` seeds."""

    def row(arm: Mapping[str, Any], metric: str) -> Iterator[dict[str, Any]]:
        trials = [trial for result in arm["results"] for trial in result["trials"]]
        values = [trial["metrics"][metric] for trial in trials if metric in trial["metrics"]]
        if values:
            interval = t_interval(values).as_dict()
            yield {"arm": arm["name"], **{name: interval[name] for name in ("mean", "low", "high", "n")}}

    return [
        {**probe, "arms": [entry for arm in tables["arms"] for entry in row(arm, probe["metric"])]} for probe in probes
    ]


def composites(arm: str, recipe: Recipe, catalog: Catalog, pictures: bool) -> dict[str, Any]:
    """An arm's policy, and sample composites with captions; no samples where it makes none or ``pictures`` is False.

    ``group`` says what partners of the same class come to on these pairs, where the policy asks for them.
    """
    samples: list[dict[str, Any]] = []
    if pictures and composes(recipe.policy):
        plans = make_plans(recipe.policy.without_baseline, catalog.split("train"), recipe.seed, cache=recipe.data.cache)
        samples = preview(WorkerRenderer(plans, recipe.augmentation, 64, tokenizer_for(recipe, catalog)), IMAGES)
    group = auto_group(catalog.split("train")) if recipe.policy.group == "auto" else None
    return {"arm": arm, "policy": recipe.policy.model_dump(mode="json"), "group": group, "samples": samples}


def training_curves(outcome: Outcome) -> dict[str, Any]:
    """The curves of a trial: points (step, loss), and points (step, mean recall on the validation split)."""
    return {
        "arm": outcome.trial.arm,
        "seed": outcome.trial.recipe.seed,
        "loss": [[r["step"], r["loss"]] for r in outcome.records if "loss" in r],
        "validation": [[r["step"], r["validation"]["mean_recall"]] for r in outcome.records if "validation" in r],
    }


def pilot_limits(policies: Sequence[Policy], catalog: Catalog, plan: Mapping[str, Any]) -> Codes:
    """Codes of the limitations that a pilot has besides those of a study.

    Args:
        policies: The policies of the arms under test that compose.
        catalog: The data that the trials trained on.
        plan: What was settled before the trials.
    """
    codes: Codes = []
    if plan["pairs"] < plan["all_pairs"]:
        codes.append({"code": "fewer-pairs", "n": f"{plan['pairs']:,}", "all": f"{plan['all_pairs']:,}"})
    if plan["epochs"] < MIN_EPOCHS:
        codes.append({"code": "short-training", "epochs": f"{plan['epochs']:.1f}"})
    for name in plan["left_out"]:
        codes.append(f"untested-{name}" if name in CONTROLS else {"code": "untested", "arm": name})
    shares = {policy.rho for policy in policies}
    if len(shares) == 1:
        codes.append({"code": "one-share", "share": f"{shares.pop():.0%}"})
    if policies:
        codes.append(partners_limit(policies, catalog))
    return [*codes, "figures-elsewhere"]


def limits_left(tables: Mapping[str, Any]) -> Codes:
    """The codes in ``not_shown`` of an experiment, without those that the pilot's other stages have answered.

    Args:
        tables: The tables of all stages; ``search`` holds what tuning found, ``bias_gate`` what the bias audit did.
    """
    searched = [SearchResult(**row) for row in tables.get("search", ())]
    audited = (tables.get("bias_gate") or {}).get("tested", 0)
    answered = [*(["one-recipe"] if searched else []), *(["no-audit"] if audited else [])]
    return [*(code for code in tables["not_shown"] if code not in answered), *search_limits(searched)]


def partners_limit(policies: Sequence[Policy], catalog: Catalog) -> str:
    """The code of the limitation that concerns partners: whether they were random or chosen in one way."""
    random_partners = all(p.partner == "random" and p.rules is None and group_of(p, catalog) is None for p in policies)
    return "random-partners" if random_partners else "partners-tried"

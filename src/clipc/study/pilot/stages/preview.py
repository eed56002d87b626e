"""The second stage: composites as the guarded arm plans them, and a check of the rules."""

from typing import Any, Final

import numpy as np

from clipc.compose.entries import Candidates
from clipc.compose.plan import Plans
from clipc.prepare.contact_sheet import check_rules
from clipc.prepare.new_model import tokenizer_for
from clipc.prepare.plan_statistics import statistics
from clipc.prepare.plans import make_plans
from clipc.recipe.recipe import Recipe
from clipc.render.worker import WorkerRenderer
from clipc.study.pilot.stages.stage import Context, Results, StageResult

LEAST_SHARE: Final = 0.5
"""The share of the planned composites that must be possible: with fewer, little is composed that could be compared."""


def preview_composites(context: Context, _: Results) -> StageResult:
    """Plans an epoch of the last arm under test, and checks its composites against the rules and their examples."""
    arm = context.design.study.treatments[-1]
    recipe = context.design.recipes[arm]
    pairs = context.catalog.split("train")
    plans = make_plans(recipe.policy, pairs, recipe.seed, cache=recipe.data.cache, progress=context.progress)
    renderer = WorkerRenderer(plans, recipe.augmentation, 64, tokenizer_for(recipe, context.catalog))
    planned = statistics(renderer)
    wanted = planned["composed"] + sum(planned["fallbacks"].values())
    possible = planned["composed"] / max(1, wanted)
    meaning = _meaning(context, recipe, plans)
    numbers = {"arm": arm, "composed": planned["composed"], "of": wanted, "share": possible}
    values: dict[str, Any] = {**numbers, "broken": meaning["broken"], "failed": meaning["failed_examples"]}
    if meaning["failed_examples"]:
        code, reason = "examples", f"{meaning['failed_examples']} examples of the rules do not come out as expected"
    elif meaning["broken"]:
        code, reason = "broken", f"{meaning['broken']} composites break a rule"
    elif possible < LEAST_SHARE:
        code, reason = "few", f"only {possible:.0%} of the planned composites are possible under the rules"
    else:
        code, reason = "rules" if recipe.policy.rules else "plain", ""
    tables = {"preview": {"arm": arm, "statistics": planned}, "meaning": meaning}
    return StageResult(not reason, code, values | {"reason": reason}, tables)


def _meaning(context: Context, recipe: Recipe, plans: Plans) -> dict[str, Any]:
    """What the gate of meaning asks: the rules, how many composites break one, and how many examples fail."""
    rules = recipe.policy.rules
    plan = plans.rows(0, len(plans.catalog))
    composed = np.flatnonzero(plan.right >= 0)
    broken: int | None = None
    failed: int | None = None
    compiled = plans.inputs.compiled_rules
    if rules is not None and compiled is not None:
        first = plans.entries.first
        rows, choice = plan.second_caption
        left = (first[plan.left] + plan.left_caption)[composed].astype(np.int64)
        right = (first[rows[composed]] + choice[composed]).astype(np.int64)
        candidates = Candidates(left, right, plan.layout[composed], plan.swapped[composed])
        broken = int((~compiled.allowed(candidates)).sum())
        if rules.examples:
            failed = sum(not result.as_expected for result in check_rules(recipe.policy, context.catalog))
    named = None if rules is None else {"name": rules.name, "fingerprint": rules_fingerprint(recipe)}
    facts = {"broken": broken, "failed_examples": failed, "composites": len(composed), "rules": named}
    return {**facts, "acceptance": None, "score": None}


def rules_fingerprint(recipe: Recipe) -> str | None:
    """A hash of a recipe's rules as a run's identity counts them; None without rules."""
    from clipc.identity import hash_keys

    rules = recipe.identity_keys()["policy"].get("rules")
    return None if rules is None else hash_keys({"rules": rules})

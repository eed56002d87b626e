"""What a contact sheet shows: composites, the plan in figures, and what rules remove."""

from typing import Any

from clipc.catalog import Catalog
from clipc.catalog.summary import summary
from clipc.compose.policy import Policy
from clipc.compose.rules.check import ExampleResult, check
from clipc.compose.rules.removed import removed
from clipc.errors import UserError
from clipc.prepare.new_model import tokenizer_for
from clipc.prepare.plan_statistics import statistics
from clipc.prepare.plans import make_plans
from clipc.prepare.preview import preview
from clipc.prepare.token_cost import advice, token_cost
from clipc.progress import Progress, silent
from clipc.recipe.recipe import Recipe
from clipc.render.worker import WorkerRenderer

PICTURE = 192
"""Side of the composites on a contact sheet, in pixels."""


def contact_sheet(recipe: Recipe, catalog: Catalog, count: int = 24, *, progress: Progress = silent) -> dict[str, Any]:
    """What :func:`clipc.report.render_sheet` shows, ready for JSON.

    Args:
        recipe: Its policy, augmentation and tokenizer are shown at work.
        catalog: The data; only the training split is composed.
        count: How many composites at the most.
        progress: Told how far tables of neighbours and the like are.

    Raises:
        UserError: A rule, a column or a model is not as the policy needs it.
    """
    pairs = catalog.split("train")
    plans = make_plans(recipe.policy, pairs, recipe.seed, cache=recipe.data.cache, progress=progress)
    tokenizer = tokenizer_for(recipe, catalog)
    renderer = WorkerRenderer(plans, recipe.augmentation, PICTURE, tokenizer)
    compiled_rules = plans.inputs.compiled_rules
    return {
        "source": summary(catalog),
        "policy": recipe.policy.model_dump(mode="json", exclude_none=True),
        "statistics": statistics(renderer),
        "advice": advice(token_cost(_some_captions(pairs), tokenizer)),
        "rules": removed(compiled_rules, pairs) if compiled_rules is not None else None,
        "samples": preview(renderer, count),
    }


def _some_captions(pairs: Catalog) -> list[str]:
    """Captions of up to 2,000 pairs from all over a catalog."""
    return [text for row in range(0, len(pairs), -(-len(pairs) // 2000)) for text in pairs.captions(row)]


def check_rules(policy: Policy, catalog: Catalog) -> list[ExampleResult]:
    """What a policy's rules say of their own examples.

    Raises:
        UserError: There are no rules, or no examples in them, or something in them is wrong.
    """
    if policy.rules is None:
        raise UserError("there are no rules to check; name a file with --rules.")
    if not policy.rules.examples:
        raise UserError(f"the rules {policy.rules.name!r} have no examples to check; add some under `examples:`.")
    return check(policy.rules, catalog, policy.wording)

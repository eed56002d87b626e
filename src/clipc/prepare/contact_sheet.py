"""The contents of a contact sheet: composites, statistics of the plan, and what the rules remove."""

from typing import Any

from clipc.catalog.catalog import Catalog
from clipc.catalog.summary import summary
from clipc.compose.plan import Plans
from clipc.compose.policy import Policy
from clipc.compose.rules.check import ExampleResult, check
from clipc.compose.rules.effects import effects
from clipc.errors import UserError
from clipc.evaluate.ceiling import few_captions_facts
from clipc.prepare.caption_advice import caption_advice
from clipc.prepare.new_model import tokenizer_for
from clipc.prepare.plan_statistics import statistics
from clipc.prepare.plans import auto_group, make_plans
from clipc.prepare.preview import preview
from clipc.prepare.scores.reference import KeptViewsOf, make_scorer
from clipc.prepare.scores.table import Scorer
from clipc.progress import Progress, silent
from clipc.recipe.recipe import Recipe
from clipc.render.batch import Tokenizer
from clipc.render.worker import WorkerRenderer

IMAGE_SIZE = 192
"""Side of the composites on a contact sheet, in pixels."""


def contact_sheet(recipe: Recipe, catalog: Catalog, count: int = 24, *, progress: Progress = silent) -> dict[str, Any]:
    """The contents of a contact sheet for :func:`clipc.report.render_sheet`, ready for JSON.

    Args:
        recipe: The recipe, whose policy, augmentation and tokenizer make the composites.
        catalog: The data; only the training split is composed.
        count: The largest number of composites.
        progress: Called while tables, such as neighbours, are computed.

    Raises:
        UserError: A rule, a column or a model does not fit the policy.
    """
    pairs = catalog.split("train")
    tokenizer = tokenizer_for(recipe, catalog)
    plans = sheet_plans(recipe, pairs, tokenizer, progress)
    renderer = WorkerRenderer(plans, recipe.augmentation, IMAGE_SIZE, tokenizer)
    compiled_rules = plans.inputs.compiled_rules
    # The captions of up to 2,000 pairs, evenly spaced in the catalog.
    captions = [text for row in range(0, len(pairs), -(-len(pairs) // 2000)) for text in pairs.captions(row)]
    return {
        "source": summary(catalog),
        "few_captions": few_captions_facts(catalog),
        "policy": recipe.policy.model_dump(mode="json", exclude_none=True),
        "group": auto_group(pairs) if recipe.policy.group == "auto" else None,
        "statistics": statistics(renderer),
        "advice": caption_advice(captions, tokenizer),
        "rules": effects(compiled_rules, pairs) if compiled_rules is not None else None,
        "samples": preview(renderer, count),
    }


def sheet_plans(recipe: Recipe, pairs: Catalog, tokenizer: Tokenizer, progress: Progress = silent) -> Plans:
    """The plans of a recipe for a page; scores of a model that would have to be trained first are left out.

    Args:
        recipe: The recipe.
        pairs: The training pairs.
        tokenizer: The tokenizer of the recipe's model.
        progress: Called while tables are computed.
    """
    policy, cache = recipe.policy.without_baseline, recipe.data.cache
    scorer: Scorer | None = None
    if policy.score.by is not None and policy.scores:
        by, kept = policy.score.by, KeptViewsOf.of(recipe)
        scorer = make_scorer(by, recipe.seed, tokenizer=tokenizer, kept=kept, cache=cache, progress=progress)
    return make_plans(policy, pairs, recipe.seed, cache=cache, progress=progress, scorer=scorer)


def check_rules(policy: Policy, catalog: Catalog) -> list[ExampleResult]:
    """Applies a policy's rules to the examples in the rules file, which serve as tests.

    Raises:
        UserError: There are no rules, they have no examples, or a rule or an example is invalid.
    """
    if policy.rules is None:
        raise UserError("there are no rules to check; name a file with --rules.")
    if not policy.rules.examples:
        raise UserError(f"the rules {policy.rules.name!r} have no examples to check; add some under `examples:`.")
    return check(policy.rules, catalog, policy.wording)

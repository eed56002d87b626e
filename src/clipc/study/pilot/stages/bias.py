"""The third stage: the bias audit of the planned composites."""

from typing import Any, Final

from clipc.audit.bias.audit import BiasOptions, audit_bias
from clipc.audit.bias.summary import table_of
from clipc.study.pilot.stages.stage import Context, Results, StageResult

RANDOM: Final = "random"
"""The plan with random partners, which carries no association across the halves of composites."""


def audit_plan(context: Context, _: Results) -> StageResult:
    """Audits the pairs and the last arm's planned composites; amplified associations are reported and stop nothing.

    Composing amplifies where associations between a group in one half and a concept in the other are found: random
    partners have none.
    """
    arm = context.design.study.treatments[-1]
    recipe = context.design.recipes[arm]
    options = BiasOptions(context.options.attributes)
    tables = audit_bias(context.catalog, recipe.policy, options, seed=recipe.seed, progress=context.progress)
    plan = next(reversed(tables["plans"]))
    across = [table_of(attribute, plan, "across") for attribute in tables["attributes"]]
    gate = {
        "tested": sum(table["tested"] for table in across),
        "amplified": sum(table["found"] for table in across),
        "corrected": recipe.policy.weights is not None,
    }
    values: dict[str, Any] = {**gate, "arm": arm, "attributes": len(tables["attributes"])}
    code = "nothing" if not gate["tested"] else "amplified" if gate["amplified"] else "none"
    return StageResult(True, code, values, {"bias": tables, "bias_gate": gate})

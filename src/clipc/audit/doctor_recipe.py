"""The recipe that suits the data, with a reason for each of its main keys."""

from typing import Any, Final

from clipc.catalog.catalog import Catalog
from clipc.recipe.recipe import Recipe, read_recipe
from clipc.recipe.suited import suited_recipe

_SEEDS, _MORE_SEEDS = 3, 5
_PRECISE_TEST: Final = 1000


def suggested_recipe(catalog: Catalog) -> dict[str, Any]:
    """The recipe of :func:`clipc.recipe.suited.suited_recipe`, and why.

    Args:
        catalog: The pairs, with a training split.

    Returns:
        ``name``: a built-in recipe; ``changes``: changes to it, by dotted key; ``seeds``: how many runs a comparison
        should have; ``reasons``: for each main key a ``code`` and the numbers of its sentence.
    """
    suited = suited_recipe(catalog)
    recipe = read_recipe(suited.name, suited.changes)
    test = catalog.splits.get("test", 0)
    seeds = _SEEDS if test >= _PRECISE_TEST else _MORE_SEEDS
    reasons = [*_reasons(recipe, catalog.splits.get("train", 0)), {"code": "seeds", "seeds": seeds, "test": test}]
    return {"name": suited.name, "changes": suited.changes, "seeds": seeds, "reasons": reasons}


def _reasons(recipe: Recipe, pairs: int) -> list[dict[str, Any]]:
    reasons: list[dict[str, Any]] = [{"code": "pretrained" if recipe.model.startswith("starter") else "scratch"}]
    if recipe.epochs is not None:
        reasons.append({"code": "epochs", "pairs": pairs, "epochs": recipe.epochs})
    reasons.append({"code": "batch", "batch": recipe.batch_size})
    if recipe.policy.rho:
        reasons.append({"code": "composition", "rho": recipe.policy.rho, "until": recipe.policy.until})
    else:
        reasons.append({"code": "plain", "pairs": pairs})
    if recipe.vocabulary is not None:
        reasons.append({"code": "vocabulary", "size": recipe.vocabulary})
    return reasons

"""Checks of all arms before the first one trains, so that an error in the last arm is reported at once."""

from collections.abc import Collection

from clipc.catalog.catalog import Catalog
from clipc.compose.policy import COLUMN
from clipc.errors import UserError, unknown_name
from clipc.evaluate.prompts import built_in_templates
from clipc.models.fingerprints import weights_fingerprint
from clipc.prepare.check_start import check_start, vector_source
from clipc.prepare.plans import given_tables, make_plans
from clipc.recipe.recipe import Recipe
from clipc.study.design import Study
from clipc.study.recipes import check_recipes, error_prefix, sizes_of
from clipc.train.train import check_batch


def check_arms(study: Study, catalog: Catalog, arms: Collection[str] | None = None) -> dict[str, list[Recipe]]:
    """Runs the checks of training and evaluation for every arm, without building a model or reading an image.

    Args:
        study: The study.
        catalog: All data, with train, val and test splits.
        arms: The names of the arms to check; all if None.

    Returns:
        The recipes of the checked arms, as :func:`~clipc.study.design.check_recipes` gives them.

    Raises:
        UserError: A recipe is wrong; a model, a set of templates or a column does not exist; or there are too few pairs
            for a batch.
    """
    recipes_by_arm = {arm: recipes for arm, recipes in check_recipes(study).items() if arms is None or arm in arms}
    if not recipes_by_arm:
        return recipes_by_arm
    with error_prefix(f"the study {study.name}"):
        built_in_templates(study.template_set, study.lang)
    pairs = catalog.splits.get("train", 0)
    size = sizes_of(study, pairs)[0]
    smallest = pairs if size == "all" else int(size)
    checked_tables: set[str] = set()
    for arm, recipes in recipes_by_arm.items():
        for recipe in recipes:
            with error_prefix(f"the study {study.name}, arm {arm!r}"):
                check_batch(recipe, catalog.about.name, smallest)
                check_start(recipe)
                policy = recipe.policy
                names = policy.group, policy.region, policy.weights, policy.layout, vector_source(policy)
                tables = repr((policy.rules, *names))
                if tables not in checked_tables:
                    _check_columns(recipe, catalog)
                    checked_tables.add(tables)
    return recipes_by_arm


def trains_from_scratch(recipe: Recipe) -> bool:
    """Whether training starts from random weights; False where the weights to start from cannot be found."""
    try:
        check_start(recipe)
        return weights_fingerprint(recipe.model, recipe.pretrained) is None
    except UserError:
        return False


def _check_columns(recipe: Recipe, catalog: Catalog) -> None:
    policy, vectors = recipe.policy, vector_source(recipe.policy)
    if vectors is not None and vectors.startswith(COLUMN):
        names = catalog.table.column_names
        if (name := vectors.removeprefix(COLUMN)) not in names:
            raise unknown_name("column", name, names)
    if policy.group is None and policy.rules is None and policy.weights is None and policy.region in (None, "auto"):
        return
    pairs = catalog.split("train")
    make_plans(policy.model_copy(update={"rho": 0.0}), pairs, 0)  # With rho 0 no table of neighbours is made.
    given_tables(policy, pairs)

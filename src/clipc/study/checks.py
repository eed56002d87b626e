"""What would go wrong in an arm only after others have trained, told before anything does."""

from collections.abc import Generator
from contextlib import contextmanager

from clipc.catalog import Catalog
from clipc.compose.rules.columns import boxes_of
from clipc.errors import UserError
from clipc.evaluate.prompts import shipped
from clipc.study.design import Study, checked, sizes_of
from clipc.train.model_config import HUB, find_start, is_published
from clipc.train.plans import make_plans
from clipc.train.recipe import Recipe
from clipc.train.train import check_batch


def check_arms(study: Study, catalog: Catalog) -> dict[str, list[Recipe]]:
    """Asks of every arm what training and evaluation would ask; no model is built, no picture read, nothing fetched.

    Args:
        study: What is asked.
        catalog: All data, with train, val and test splits.

    Returns:
        As :func:`~clipc.study.design.checked`.

    Raises:
        UserError: A recipe is wrong; there is no such model, set of templates or column; too few pairs for a batch.
    """
    found = checked(study)
    with _named(f"the study {study.name}"):
        shipped("general" if study.templates == "auto" else study.templates, study.lang)
    pairs = catalog.splits.get("train", 0)
    size = sizes_of(study, pairs)[0]
    smallest = pairs if size == "all" else int(size)
    known: set[str] = set()
    for arm, recipes in found.items():
        for recipe in recipes:
            with _named(f"the study {study.name}, arm {arm!r}"):
                check_batch(recipe, catalog.about.name, smallest)
                _check_model(recipe)
                columns = repr((recipe.policy.group, recipe.policy.rules, recipe.policy.region, recipe.policy.layout))
                if columns not in known:
                    _check_columns(recipe, catalog)
                    known.add(columns)
    return found


def _check_model(recipe: Recipe) -> None:
    # What lies on the Hugging Face Hub would have to be fetched, which a report may not be able to.
    fetched = recipe.pretrained is not None and is_published(recipe.model, recipe.pretrained)
    if not recipe.model.startswith(HUB):
        find_start(recipe.model, None if fetched else recipe.pretrained)


def _check_columns(recipe: Recipe, catalog: Catalog) -> None:
    policy = recipe.policy
    if policy.group is None and policy.rules is None and policy.region in (None, "auto"):
        return
    pairs = catalog.split("train")
    make_plans(policy.model_copy(update={"rho": 0.0}), pairs, 0)  # Without composites no neighbours are looked for.
    if policy.region not in (None, "auto"):
        boxes_of(pairs, policy.region)


@contextmanager
def _named(where: str) -> Generator[None]:
    """Mistakes that are told inside begin with where they are."""
    try:
        yield
    except UserError as error:
        raise UserError(f"{where}: {error}") from error

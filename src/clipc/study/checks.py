"""What would go wrong in an arm only after others have trained, told before anything does."""

from collections.abc import Collection, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from clipc.catalog import Catalog
from clipc.compose.policy import Policy
from clipc.compose.rules.columns import boxes_of
from clipc.errors import UserError, unknown_name
from clipc.evaluate.prompts import shipped
from clipc.study.design import Study, checked, sizes_of
from clipc.train.model_config import FOLDER, HUB, find_start, is_published, model_folder
from clipc.train.plans import make_plans
from clipc.train.recipe import Recipe
from clipc.train.train import check_batch
from clipc.train.weights_mark import weights_mark

COLUMN: Final = "column:"
"""What ``policy.embedding`` begins with where it names a column."""


def check_arms(study: Study, catalog: Catalog, arms: Collection[str] | None = None) -> dict[str, list[Recipe]]:
    """Asks of every arm what training and evaluation would ask; no model is built, no picture read, nothing fetched.

    Args:
        study: What is asked.
        catalog: All data, with train, val and test splits.
        arms: The names of those that are going to train; all if None.

    Returns:
        As :func:`~clipc.study.design.checked`.

    Raises:
        UserError: A recipe is wrong; there is no such model, set of templates or column; too few pairs for a batch.
    """
    found = {arm: recipes for arm, recipes in checked(study).items() if arms is None or arm in arms}
    if not found:
        return found
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
                check_start(recipe)
                policy = recipe.policy
                columns = repr((policy.group, policy.rules, policy.region, policy.layout, vectors_of(policy)))
                if columns not in known:
                    _check_columns(recipe, catalog)
                    known.add(columns)
    return found


def check_start(recipe: Recipe) -> None:
    """Asks whether the models are there that a recipe starts from and composes by; none is loaded or fetched.

    Raises:
        UserError: One is not.
    """
    policy = recipe.policy
    # What lies on the Hugging Face Hub would have to be fetched, which a report may not be able to.
    fetched = recipe.pretrained is not None and is_published(recipe.model, recipe.pretrained)
    if not recipe.model.startswith(HUB):
        find_start(recipe.model, None if fetched else recipe.pretrained)
    vectors = vectors_of(policy)
    if vectors is not None and not vectors.startswith(COLUMN):
        _check_folder("policy.embedding", vectors)
    if policy.region == "auto" and policy.reference is not None:
        _check_folder("policy.reference", policy.reference.removeprefix(FOLDER))


def starts_fresh(recipe: Recipe) -> bool:
    """Whether a model begins with random weights; one whose weights are no longer here did not."""
    try:
        check_start(recipe)
        return weights_mark(recipe.model, recipe.pretrained) is None
    except UserError:
        return False


def vectors_of(policy: Policy) -> str | None:
    """The column or folder whose vectors choose partners; None where nothing but captions does."""
    return None if policy.partner == "random" or policy.embedding == "captions" else policy.embedding


def _check_folder(key: str, folder: str) -> None:
    if not Path(folder).is_dir():
        raise UserError(f"{key}: there is no model folder {folder}; name a run's folder, or a model's.")
    model_folder(folder)


def _check_columns(recipe: Recipe, catalog: Catalog) -> None:
    policy, vectors = recipe.policy, vectors_of(recipe.policy)
    if vectors is not None and vectors.startswith(COLUMN):
        names = catalog.table.column_names
        if (name := vectors.removeprefix(COLUMN)) not in names:
            raise unknown_name("column", name, names)
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

"""Whether the models are there that a run begins with and composes by, asked before anything takes long."""

from pathlib import Path
from typing import Final

from clipc.compose.policy import Policy
from clipc.errors import UserError
from clipc.models.model_config import FOLDER, HUB, find_start, is_published, model_folder
from clipc.recipe.recipe import Recipe

COLUMN: Final = "column:"
"""What ``policy.embedding`` begins with where it names a column."""


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


def vectors_of(policy: Policy) -> str | None:
    """The column or folder whose vectors choose partners; None where nothing but captions does."""
    return None if policy.partner == "random" or policy.embedding == "captions" else policy.embedding


def _check_folder(key: str, folder: str) -> None:
    if not Path(folder).is_dir():
        raise UserError(f"{key}: there is no model folder {folder}; name a run's folder, or a model's.")
    model_folder(folder)

"""Early checks that models and tables exist, before long work begins."""

from pathlib import Path

from clipc.compose.policy import COLUMN, Policy, names_file
from clipc.compose.score import BASELINE, CHECKS, RANDOM
from clipc.errors import UserError
from clipc.models.model_config import HUB_PREFIX, LOCAL_DIR_PREFIX, find_start, is_published, model_folder
from clipc.prepare.plans import load_own_code
from clipc.recipe.recipe import Recipe


def check_start(recipe: Recipe) -> None:
    """Checks that the models and tables named in a recipe exist; no weights are loaded or downloaded.

    Raises:
        UserError: A model, a table or the user's own code does not exist.
    """
    policy = recipe.policy
    # Checking a model on the Hugging Face Hub would download it, and a report may be made offline.
    published = recipe.pretrained is not None and is_published(recipe.model, recipe.pretrained)
    if not recipe.model.startswith(HUB_PREFIX):
        find_start(recipe.model, None if published else recipe.pretrained)
    load_own_code(policy)
    vectors = vector_source(policy)
    if vectors is not None and not vectors.startswith(COLUMN):
        _check_folder("policy.embedding", vectors)
    if policy.region == "auto" and policy.reference is not None:
        _check_folder("policy.reference", policy.reference.removeprefix(LOCAL_DIR_PREFIX))
    scorer = policy.score.by
    if scorer is not None and scorer not in (BASELINE, CHECKS, RANDOM) and ":" not in scorer:
        _check_folder("policy.score.by", scorer)
    for key, table in (("weights", policy.weights), ("region", policy.region)):
        if table is not None and names_file(table) and not Path(table).is_file():
            raise UserError(f"policy.{key}: there is no file {table}; name a table of keys and values, or a column.")


def vector_source(policy: Policy) -> str | None:
    """The column or model folder whose vectors decide partners; None if captions or chance decide them."""
    return policy.embedding if policy.by_similarity and policy.embedding != "captions" else None


def _check_folder(key: str, folder: str) -> None:
    if not Path(folder).is_dir():
        raise UserError(f"{key}: there is no model folder {folder}; name a run's folder, or a model's.")
    model_folder(folder)

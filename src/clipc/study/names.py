"""The names of trials. A name contains a hash of the weights that the trial starts from."""

import json
from pathlib import Path

from pydantic import ValidationError

from clipc.catalog.catalog import Catalog
from clipc.errors import UserError
from clipc.extension import mark_untrusted
from clipc.identity import hash_keys
from clipc.prepare.check_start import check_start
from clipc.recipe.recipe import Recipe


def trial_name(recipe: Recipe, data: Catalog, records: Path, suffix: str) -> tuple[str, str]:
    """A trial's name: the number of training pairs, the seed, and a hash of recipe, data and initial weights.

    Where the weights are missing on this machine, the name is taken from the record that holds the same recipe, so that
    the trial's metrics can be reported.

    Args:
        recipe: The trial's recipe.
        data: The trial's pairs.
        records: The folder of records.
        suffix: The end of the names of records, before ``.json``.

    Returns:
        The name, and a sentence about the missing weights; it is empty where the trial can be run.
    """
    prefix = f"n{data.splits['train']}-s{recipe.seed}"
    try:
        check_start(recipe)
    except UserError as error:
        problem = str(error)
    else:
        return f"{prefix}-{recipe.identity(data.fingerprint)}", ""
    recipe_hash = _hash_without_weights(recipe, data.fingerprint)
    # A record does not identify the user's own code, so no record can be matched where the policy names any.
    files = [] if recipe.policy.own_names else sorted(records.glob(f"{prefix}-*{suffix}.json"))
    names = [file.stem.removesuffix(suffix) for file in files if _recorded_hash(file, suffix) == recipe_hash]
    if len(names) == 1:
        return names[0], problem
    if names:
        problem += f" Without it these records cannot be told apart: {', '.join(names)}."
    return f"{prefix}-nameless-{recipe_hash}", problem


def _recorded_hash(file: Path, suffix: str) -> str | None:
    """The hash of a record's recipe and data; None where the record is invalid, which is reported when it is read."""
    try:
        record = json.loads(file.read_text("utf-8"))
        if file.stem == record["trial"] + suffix:
            recipe = Recipe.model_validate(mark_untrusted(record["recipe"]))
            return _hash_without_weights(recipe, record["data"]["fingerprint"])
    except (OSError, ValueError, KeyError, TypeError, ValidationError):
        return None
    return None


def _hash_without_weights(recipe: Recipe, data_fingerprint: str) -> str:
    """A hash of recipe and data in which models count by their names, not by their weights."""
    return hash_keys({**recipe.identity_keys(how=False), "data_fingerprint": data_fingerprint})

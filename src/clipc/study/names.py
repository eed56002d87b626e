"""The names of trials, also where the weights that a trial starts from, and that name it, are not on this machine."""

import json
from pathlib import Path

from pydantic import ValidationError

from clipc.catalog import Catalog
from clipc.errors import UserError
from clipc.extension import mark_untrusted
from clipc.identity import hash_keys
from clipc.prepare.check_start import check_start
from clipc.recipe.recipe import Recipe


def trial_name(recipe: Recipe, data: Catalog, records: Path, suffix: str) -> tuple[str, str]:
    """A trial's name: its size, its seed, and the hash of recipe and data.

    The hash is over the weights that a trial starts from. Where these are missing, its record is found by the recipe
    that it holds, so that its metrics can be reported without them.

    Args:
        recipe: What is trained.
        data: The pairs.
        records: The folder of records.
        suffix: What the names of records end with.

    Returns:
        The name, and what the trial lacks here to be run: a sentence, empty where it lacks nothing.
    """
    start = f"n{data.splits['train']}-s{recipe.seed}"
    try:
        check_start(recipe)
    except UserError as error:
        problem = str(error)
    else:
        return f"{start}-{recipe.identity(data.fingerprint)}", ""
    recipe_hash = _hash_without_weights(recipe, data.fingerprint)
    # A record does not hold by which code of the user's it was made.
    files = [] if recipe.policy.own_names else sorted(records.glob(f"{start}-*{suffix}.json"))
    names = [file.stem.removesuffix(suffix) for file in files if _recorded_hash(file, suffix) == recipe_hash]
    if len(names) == 1:
        return names[0], problem
    if names:
        problem += f" Without it these records cannot be told apart: {', '.join(names)}."
    return f"{start}-nameless-{recipe_hash}", problem


def _recorded_hash(file: Path, suffix: str) -> str | None:
    """The hash of what a record says it is of; None where it is no valid one, which is reported when it is read."""
    try:
        record = json.loads(file.read_text("utf-8"))
        if file.stem == record["trial"] + suffix:
            recipe = Recipe.model_validate(mark_untrusted(record["recipe"]))
            return _hash_without_weights(recipe, record["data"]["fingerprint"])
    except (OSError, ValueError, KeyError, TypeError, ValidationError):
        return None
    return None


def _hash_without_weights(recipe: Recipe, data_fingerprint: str) -> str:
    """The hash of recipe and data with models named as the recipe names them."""
    return hash_keys({**recipe.identity_keys(how=False), "data_fingerprint": data_fingerprint})

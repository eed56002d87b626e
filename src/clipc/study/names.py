"""The names of trials, also where the weights that a trial starts from, and that name it, are not on this machine."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from clipc.catalog import Catalog
from clipc.errors import UserError
from clipc.extension import mark_untrusted
from clipc.identity import hash_keys
from clipc.prepare.check_start import check_start
from clipc.recipe.recipe import Recipe


@dataclass(frozen=True)
class TrialNames:
    """Names trials by size, seed, and the hash of recipe and data.

    The hash is over the weights that a trial starts from. Where these are missing, its record is found by the recipe
    that it holds, so that its metrics can be reported without them.

    Attributes:
        records: The folder of records.
        suffix: What the names of records end with.
    """

    records: Path
    suffix: str

    def __call__(self, recipe: Recipe, data: Catalog) -> tuple[str, str]:
        """A trial's name, and what it lacks here to be run: a sentence, empty where it lacks nothing."""
        start = f"n{data.splits['train']}-s{recipe.seed}"
        try:
            check_start(recipe)
        except UserError as error:
            problem = str(error)
        else:
            return f"{start}-{recipe.identity(data.fingerprint)}", ""
        recipe_hash = _hash_without_weights(recipe, data.fingerprint)
        # A record does not hold by which code of the user's it was made.
        records = () if recipe.policy.own_names else self._records(start)
        names = [name for name, recorded_hash in records if recorded_hash == recipe_hash]
        if len(names) == 1:
            return names[0], problem
        if names:
            problem += f" Without it these records cannot be told apart: {', '.join(names)}."
        return f"{start}-nameless-{recipe_hash}", problem

    def _records(self, start: str) -> Iterator[tuple[str, str]]:
        """The names of trials that have records, and the hashes of what these say they are."""
        for file in sorted(self.records.glob(f"{start}-*{self.suffix}.json")):
            try:
                record = json.loads(file.read_text("utf-8"))
                if file.stem == record["trial"] + self.suffix:
                    recipe = Recipe.model_validate(mark_untrusted(record["recipe"]))
                    yield record["trial"], _hash_without_weights(recipe, record["data"]["fingerprint"])
            except (OSError, ValueError, KeyError, TypeError, ValidationError):
                continue  # An invalid record is reported when it is read.


def _hash_without_weights(recipe: Recipe, data_fingerprint: str) -> str:
    """The hash of recipe and data with models named as the recipe names them."""
    return hash_keys({**recipe.identity_keys(how=False), "data_fingerprint": data_fingerprint})

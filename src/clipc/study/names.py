"""The names of trials, also where the weights that a trial starts from, and that name it, are not on this machine."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from clipc.catalog import Catalog
from clipc.errors import UserError
from clipc.extension import foreign
from clipc.identity import hash_keys
from clipc.prepare.check_start import check_start
from clipc.recipe.recipe import Recipe


@dataclass(frozen=True)
class TrialNames:
    """Names trials by size, seed, and the hash of recipe and data.

    The hash is over the weights that a trial starts from. Where these are missing, its record is found by the recipe
    that it holds, so that figures can be told without them.

    Attributes:
        records: Where figures are kept.
        mark: What the names of records end with.
    """

    records: Path
    mark: str

    def __call__(self, recipe: Recipe, data: Catalog) -> tuple[str, str]:
        """A trial's name, and what it lacks here to be run: a sentence, empty where it lacks nothing."""
        start = f"n{data.splits['train']}-s{recipe.seed}"
        try:
            check_start(recipe)
        except UserError as error:
            lacks = str(error)
        else:
            return f"{start}-{recipe.identity(data.fingerprint)}", ""
        wanted = _without_weights(recipe, data.fingerprint)
        # A record does not hold by which code of the user's it was made.
        own = bool(recipe.policy.own_names)
        names = [] if own else [name for name, found in self._recorded(start) if found == wanted]
        if len(names) == 1:
            return names[0], lacks
        if names:
            lacks += f" Without it these records cannot be told apart: {', '.join(names)}."
        return f"{start}-nameless-{wanted}", lacks

    def _recorded(self, start: str) -> Iterator[tuple[str, str]]:
        """The names of trials that have records, and the hashes of what these say they are."""
        for file in sorted(self.records.glob(f"{start}-*{self.mark}.json")):
            try:
                record = json.loads(file.read_text("utf-8"))
                if file.stem == record["trial"] + self.mark:
                    recipe = Recipe.model_validate(foreign(record["recipe"]))
                    yield record["trial"], _without_weights(recipe, record["data"]["fingerprint"])
            except (OSError, ValueError, KeyError, TypeError, ValidationError):
                continue  # What is no record is told when it is read as one.


def _without_weights(recipe: Recipe, data_fingerprint: str) -> str:
    """The hash of recipe and data with models named as the recipe names them."""
    return hash_keys({**recipe.identity_keys(how=False), "data_fingerprint": data_fingerprint})

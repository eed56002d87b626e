"""The names of trials, also where the weights that a trial starts from, and that name it, are not on this machine."""

import json
from hashlib import blake2b
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from clipc.catalog import Catalog
from clipc.errors import UserError
from clipc.prepare.check_start import check_start, vectors_of
from clipc.recipe.recipe import Recipe

_NO_RESULT = {"data", "threads", "workers", "checkpoint_seconds", "track", "forgetting"}
"""What of a recipe cannot tell one record from another: how a trial ran, and what its data's fingerprint says."""


class TrialNames:
    """Names trials by size, seed, and the hash of recipe and data.

    The hash is over the weights that a trial starts from. Where these are missing, its record is found by the recipe
    that it holds, so that figures can be told without them.
    """

    def __init__(self, records: Path, mark: str) -> None:
        """Reads nothing yet.

        Args:
            records: Where figures are kept.
            mark: What the names of records end with.
        """
        self._records, self._mark = records, mark
        self._starts: dict[str, str] = {}

    def __call__(self, recipe: Recipe, data: Catalog) -> tuple[str, str]:
        """A trial's name, and what it lacks here to be run: a sentence, empty where it lacks nothing."""
        start = f"n{data.splits['train']}-s{recipe.seed}"
        lacks = self._lacks(recipe)
        if not lacks:
            return f"{start}-{recipe.identity(data.fingerprint)}", ""
        names = self._recorded(start, recipe, data.fingerprint)
        if len(names) == 1:
            return names[0], lacks
        if names:
            lacks += f" Without it these records cannot be told apart: {', '.join(names)}."
        said = json.dumps([_said(recipe), data.fingerprint], sort_keys=True)
        return f"{start}-nameless-{blake2b(said.encode(), digest_size=5).hexdigest()}", lacks

    def _lacks(self, recipe: Recipe) -> str:
        policy = recipe.policy
        start = repr((recipe.model, recipe.pretrained, vectors_of(policy), policy.region, policy.reference))
        if start not in self._starts:
            try:
                check_start(recipe)
                self._starts[start] = ""
            except UserError as error:
                self._starts[start] = str(error)
        return self._starts[start]

    def _recorded(self, start: str, recipe: Recipe, fingerprint: str) -> list[str]:
        """The names of trials of this recipe, on these data and with this seed, that have records."""
        names: list[str] = []
        for file in sorted(self._records.glob(f"{start}-*{self._mark}.json")):
            try:
                record = json.loads(file.read_text("utf-8"))
                same = record["data"]["fingerprint"] == fingerprint and file.stem == record["trial"] + self._mark
                if same and _said(Recipe.model_validate(record["recipe"])) == _said(recipe):
                    names.append(record["trial"])
            except (OSError, ValueError, KeyError, TypeError, ValidationError):
                continue  # What is no record is told when it is read as one.
        return names


def _said(recipe: Recipe) -> dict[str, Any]:
    return recipe.model_dump(mode="json", exclude=_NO_RESULT)

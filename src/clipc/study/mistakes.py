"""Mistakes in a study's file, each as a sentence that says what to write instead."""

from collections.abc import Mapping
from typing import Final

from pydantic import BaseModel, ValidationError

from clipc.errors import UserError, unknown_name

_SAY: Final = {
    "name": "write a short name of letters, digits, dots and dashes, such as name: my-study",
    "note": "write a sentence in quotes",
    "data": "write keys of a recipe's data, such as data: {source: pairs.csv}",
    "recipe": "name a recipe that ships or a YAML file, such as recipe: small",
    "set": "write keys of the recipe and their values, such as set: {samples: 50000}",
    "arms": "write each arm's changes under its name, such as arms: {clip: {policy.rho: 0}}",
    "baseline": "name an arm",
    "controls": "name arms, such as controls: [augment]",
    "sizes": "write numbers of training pairs or all, such as sizes: [250, 1000, all]",
    "seeds": "write how many, such as seeds: 5, or which, such as seeds: [10, 11, 12]",
    "templates": "write auto, general, satellite, x-ray or factory",
    "lang": "write en or ja",
    "shots": "write numbers of examples a class, such as shots: [1, 5]",
    "main": "write names of metrics, such as main: [retrieval/mean_recall]",
    "search": "write how many settings to try for each arm, 2 or more, such as search: {trials: 20}",
    "keep_models": "write true or false",
}
"""What may stand under each key."""


def first_mistake(error: ValidationError, where: str, models: Mapping[str, type[BaseModel]]) -> UserError:
    """The first mistake of a study's file, as a sentence.

    Args:
        error: What pydantic found.
        where: The file, at the beginning of the sentence.
        models: What says which keys there are: at the top (``""``), and below a key by its name.
    """
    first = error.errors()[0]
    path = [str(part) for part in first["loc"]]
    kind, key, given = first["type"], ".".join(path), first["input"]
    if kind == "extra_forbidden":
        *rooms, unknown = path
        known = models[rooms[0] if rooms else ""]
        within = f" in {rooms[0]}" if rooms else ""
        return UserError(f"{where}{within}: {unknown_name('key', unknown, known.model_fields)}")
    if kind == "value_error":
        told = first["msg"].removeprefix("Value error, ")
        return UserError(f"{where}: {key}{': ' if path else ''}{told}{'' if told.endswith(('.', '?')) else '.'}")
    if path[-1:] == ["[key]"]:
        what = "an arm's name" if path[0] == "arms" and len(path) == 3 else "a key"
        return UserError(f"{where}: {what} must be text, not {given!r}; write it in quotes.")
    if kind == "missing":
        return UserError(f"{where} has no {key}; {_SAY[key]}.")
    if path[0] in _SAY and not (path[0] == "data" and path[1:]):
        return UserError(
            f"{where}: {given!r} is nothing that {key if path[0] == 'arms' else path[0]} can be; {_SAY[path[0]]}."
        )
    return UserError(f"{where}: {key}: {first['msg'].rstrip('.')}, not {given!r}.")

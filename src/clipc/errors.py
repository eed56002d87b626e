"""The user's mistakes, each told in one clear sentence."""

import re
from collections.abc import Iterable, Iterator, Mapping
from difflib import get_close_matches
from types import UnionType
from typing import TYPE_CHECKING, Any, Union, get_args, get_origin

if TYPE_CHECKING:
    from pydantic import BaseModel, ValidationError

_COMPARED = 10_000
_LISTED = 60


class UserError(Exception):
    """A wrong input: what is wrong, where (file, row, key), and what to do.

    The command line prints the message alone and ends with exit code 2; any other exception is
    our mistake (exit code 1).
    """


def unknown_name(what: str, name: str, known: Iterable[str]) -> UserError:
    """The error for a name that does not exist: the nearest one, or the list of those that do.

    Args:
        what: The kind of thing that was named, such as ``"recipe key"``.
        name: The name that was given.
        known: The names that exist.
    """
    names = sorted(known)
    near = get_close_matches(name, names[:_COMPARED], n=1, cutoff=0.6)
    more = f" and {len(names) - _LISTED:,} more" if len(names) > _LISTED else ""
    hint = f"did you mean {near[0]!r}?" if near else f"there are: {', '.join(names[:_LISTED]) or 'none'}{more}."
    return UserError(f"unknown {what} {name!r}; {hint}")


def invalid_fields(
    error: "ValidationError", where: str, model: "type[BaseModel]", advice: Mapping[str, str] | None = None
) -> UserError:
    """The first thing that pydantic found wrong in what a user wrote, as one sentence.

    Args:
        error: What it found.
        where: Where it was written, at the beginning of the sentence.
        model: Says which keys there are.
        advice: By dotted key what to write there, such as ``"name an arm"``.
    """
    first: Mapping[str, Any] = dict(error.errors()[0])
    path = [str(part) for part in first["loc"]]
    keys = set(_keys(model))
    # Below a key that holds no keys pydantic names places in the value, and kinds of values that were tried.
    key = next((k for n in range(len(path), 0, -1) if (k := ".".join(path[:n])) in keys), "")
    name = ".".join(path) if first["type"] in ("extra_forbidden", "missing") else key
    return UserError(f"{where}: {invalid_value(first, name, (advice or {}).get(name), keys)}")


def invalid_value(found: Mapping[str, Any], name: str, advice: str | None = None, keys: Iterable[str] = ()) -> str:
    """One thing that pydantic found wrong, as a sentence.

    Args:
        found: One of the ``errors()`` of a ``ValidationError``.
        name: The key, as the user knows it; empty where several are concerned.
        advice: What to write there instead.
        keys: The keys that exist, for one that does not.
    """
    given, hint = found["input"], f"; {advice}" if advice else ""
    match found["type"]:
        case "extra_forbidden":
            return str(unknown_name("key", name, keys))
        case "missing":
            said = f"{name} is missing{hint}"
        case "value_error":
            said = f"{name}{': ' if name else ''}{found['msg'].removeprefix('Value error, ')}"
        case _ if found["loc"][-1:] == ("[key]",):
            said = f"a key under {name} must be text, not {given!r}; write it in quotes"
        case _ if advice:
            said = f"{name} cannot be {_shown(given)}{hint}"
        case "literal_error" if isinstance(given, str):
            expected = re.findall(r"'([^']*)'", str(found.get("ctx", {}).get("expected", "")))
            return str(unknown_name(f"value of {name}", given, expected))
        case _:
            said = f"{name}: {found['msg'].rstrip('.')}, not {_shown(given)}"
    return said if said.endswith((".", "?")) else f"{said}."


def _shown(given: Any) -> str:
    if isinstance(given, dict):
        return "keys with values"
    return "a list" if isinstance(given, list | tuple) and given else repr(given)


def _keys(model: "type[BaseModel]", prefix: str = "") -> Iterator[str]:
    """The dotted names of all keys, those that hold others too."""
    from pydantic import BaseModel

    for name, field in model.model_fields.items():
        yield prefix + name
        kinds = (
            get_args(field.annotation) if get_origin(field.annotation) in (Union, UnionType) else (field.annotation,)
        )
        for kind in kinds:
            if isinstance(kind, type) and issubclass(kind, BaseModel):
                yield from _keys(kind, f"{prefix}{name}.")

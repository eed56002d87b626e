"""Errors that the user can correct; each message is one sentence."""

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from datetime import date
from difflib import get_close_matches
from itertools import islice
from types import UnionType
from typing import TYPE_CHECKING, Any, Union, get_args, get_origin

if TYPE_CHECKING:
    from pydantic import BaseModel, ValidationError

_MAX_COMPARED = 10_000
LISTED_CLASSES = 10
"""So many classes are all named in a message; of more, the first ones."""
_MAX_LISTED = 60
_LONGEST_NAME = 100
_LONGEST_LINE = 200
_LONGEST_SENTENCE = 1500
_END_OF_SENTENCE = 400
# Controls of terminals, of the direction of text, and lone surrogates; but no line feed and no tab.
_CONTROLS = re.compile("[\0-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


class UserError(Exception):
    """An error in the input or the environment; the message names the error, its place (file, row, key) and a remedy.

    The command line prints the message alone and exits with code 2; any other exception is a bug (exit code 1).
    """


def printable(text: object) -> str:
    r"""Text that a terminal shows and does not obey: control characters of names and captions are written ``\u001b``.

    Line feeds and tabs stay. In a JSON text the result is the same value.
    """
    return _CONTROLS.sub(lambda found: f"\\u{ord(found[0]):04x}", str(text))


def sentence(text: object) -> str:
    """A message in one printable line, of which the middle is left out if it is very long."""
    line = printable(" ".join(str(text).split()))
    if len(line) <= _LONGEST_SENTENCE:
        return line
    return f"{line[: _LONGEST_SENTENCE - _END_OF_SENTENCE]} [...] {line[-_END_OF_SENTENCE:]}"


def first_line(error: Exception) -> str:
    """The first line of another library's error, without its full stop; the error's type if it says nothing."""
    lines = str(error).strip().splitlines()
    return (lines[0][:_LONGEST_LINE] if lines else type(error).__name__).rstrip(".")


def shortened(text: str) -> str:
    """The beginning of a value for a message."""
    return text if len(text) <= _LONGEST_NAME else f"{text[:_LONGEST_NAME]}..."


def first_names(names: Collection[object], most: int = 5) -> str:
    """Names for a message: the first few, and how many more there are, if more than one.

    Args:
        names: The names; those of files need not be valid text, and of long ones only the beginning is shown.
        most: How many are written out; one more is too, since its name says more than "and 1 more".
    """
    most += len(names) == most + 1
    more = f" and {len(names) - most:,} more" if len(names) > most else ""
    listed = ", ".join(str(name)[:_LONGEST_NAME] for name in islice(names, most))
    return listed.encode("utf-8", "backslashreplace").decode() + more


def unknown_name(what: str, name: str, valid: Iterable[str]) -> UserError:
    """The error for a name that does not exist, with the nearest one or the list of those that do.

    Args:
        what: The kind of name, such as ``"recipe key"``.
        name: The wrong name.
        valid: The names that exist.
    """
    names = sorted(valid)
    near = get_close_matches(name, names[:_MAX_COMPARED], n=1, cutoff=0.6) if len(name) <= _LONGEST_NAME else []
    hint = f"did you mean {near[0]!r}?" if near else f"there are: {first_names(names, _MAX_LISTED) or 'none'}."
    return UserError(f"unknown {what} {shortened(name)!r}; {hint}")


def invalid_fields(
    error: "ValidationError", where: str, model: "type[BaseModel]", advice: Mapping[str, str] | None = None
) -> UserError:
    """The first validation error of pydantic, as one sentence.

    Args:
        error: The errors.
        where: The file or other source, for the beginning of the sentence.
        model: The model, which defines the keys.
        advice: Remedies by dotted key, such as ``"name an arm"``.
    """
    first: Mapping[str, Any] = dict(error.errors()[0])
    path = [str(part) for part in first["loc"]]
    keys = set(_keys(model))
    # Behind the key, pydantic's path may name places inside its value and members of a union type.
    key = next((k for n in range(len(path), 0, -1) if (k := ".".join(path[:n])) in keys), "")
    name = ".".join(path) if first["type"] in ("extra_forbidden", "missing") else key
    return UserError(f"{where}: {invalid_value(first, name, (advice or {}).get(name), keys)}")


def invalid_value(error: Mapping[str, Any], name: str, advice: str | None = None, keys: Iterable[str] = ()) -> str:
    """One validation error of pydantic, as a sentence.

    Args:
        error: One of the ``errors()`` of a ``ValidationError``.
        name: The key in the user's file; empty if the error concerns several keys.
        advice: The remedy.
        keys: The keys that exist, for the error of an unknown one.
    """
    value, hint = error["input"], f"; {advice}" if advice else ""
    match error["type"]:
        case "extra_forbidden":
            return str(unknown_name("key", name, keys))
        case "missing":
            message = f"{name} is missing{hint}"
        case "value_error":
            message = f"{name}{': ' if name else ''}{error['msg'].removeprefix('Value error, ')}"
        case _ if error["loc"][-1:] == ("[key]",):
            message = f"a key under {name} must be text, not {value!r}; write it in quotes"
        case _ if advice:
            message = f"{name} cannot be {_describe(value)}{hint}"
        case "too_short" | "too_long":
            count = error["ctx"].get("min_length", error["ctx"].get("max_length"))
            message = f"{name} needs {count} values, not {len(value)}"
        case "model_type" | "dict_type":
            message = f"{name} must hold keys with values, not {_describe(value)}"
        case "literal_error" if isinstance(value, str):
            expected = re.findall(r"'([^']*)'", str(error.get("ctx", {}).get("expected", "")))
            return str(unknown_name(f"value of {name}", value, expected))
        case _:
            message = f"{name}: {error['msg'].rstrip('.')}, not {_describe(value)}"
    return message if message.endswith((".", "?")) else f"{message}."


def _describe(value: Any) -> str:
    if isinstance(value, dict):
        return "keys with values"
    if isinstance(value, date):
        return str(value)
    if isinstance(value, list | tuple) and value:
        return "a list"
    try:
        return shortened(repr(value))
    except ValueError:  # Python writes no number of thousands of digits.
        return "a number of thousands of digits"


def _keys(model: "type[BaseModel]", prefix: str = "") -> Iterator[str]:
    """The dotted names of all keys, including sections."""
    from pydantic import BaseModel

    for name, field in model.model_fields.items():
        yield prefix + name
        union = get_origin(field.annotation) in (Union, UnionType)
        for annotation in get_args(field.annotation) if union else (field.annotation,):
            if isinstance(annotation, type) and issubclass(annotation, BaseModel):
                yield from _keys(annotation, f"{prefix}{name}.")

"""YAML mappings, the format of recipes and studies, and ``key=value`` overrides."""

import os
from collections.abc import Callable
from contextlib import suppress
from importlib import resources
from pathlib import Path
from typing import Any, Final

from clipc import yaml_text
from clipc.errors import UserError, first_line, unknown_name
from clipc.files import read_text
from clipc.limits import YAML_BYTES
from clipc.recipe.key_types import KeyType, is_null, set_types

_FOLDERS: Final = {"recipe": "recipes", "study": "studies"}


def built_in(kind: str) -> list[str]:
    """The names of the built-in recipes or studies, sorted.

    Args:
        kind: ``recipe`` or ``study``.
    """
    entries = (resources.files("clipc") / _FOLDERS[kind]).iterdir()
    return sorted(entry.name.removesuffix(".yaml") for entry in entries if entry.name.endswith(".yaml"))


def read_named(name: str | Path, kind: str, types: KeyType | None = None) -> dict[str, Any]:
    """Reads a recipe or study from a YAML file, or a built-in one, as keys and values.

    Args:
        name: The file, or a name from :func:`built_in`.
        kind: ``recipe`` or ``study``.
        types: The types of its keys, as for :func:`parse_yaml`.

    Raises:
        UserError: There is no such file or name, or the file cannot be read or is not a YAML mapping.
    """
    names = built_in(kind)
    if str(name) in names:
        text = (resources.files("clipc") / _FOLDERS[kind] / f"{name}.yaml").read_text("utf-8")
        return parse_yaml(text, str(name), types)
    if os.path.isfile(name):
        return read_yaml(Path(name), kind, types)
    if Path(name).suffix in (".yaml", ".yml"):
        raise UserError(f"there is no {kind} file {name}.")
    raise unknown_name(kind, str(name), names)


def read_yaml(file: Path, kind: str, types: KeyType | None = None) -> dict[str, Any]:
    """Reads the keys and values of a YAML file.

    Args:
        file: The file.
        kind: ``recipe`` or ``study``, for messages.
        types: The types of its keys, as for :func:`parse_yaml`.

    Raises:
        UserError: The file cannot be read, or is not a YAML mapping.
    """
    try:
        text = read_text(file, YAML_BYTES)
    except (OSError, ValueError) as error:
        raise UserError(f"the {kind} {file} cannot be read ({first_line(error)}); save it as text in UTF-8.") from error
    fields = parse_yaml(text, str(file), types) or {}
    if not isinstance(fields, dict):
        raise UserError(f"the {kind} {file} is not a table of keys and values.")
    return fields


def parse_yaml(text: str, where: str, types: KeyType | None = None) -> Any:
    """Parses YAML text with the safe loader.

    Args:
        text: The text.
        where: The source of the text, for messages.
        types: What the value may be. Where only text may stand, a number, a date or a word such as true is taken as it
            is written; ``none`` is null where a value may be null.

    Raises:
        UserError: The text is not YAML.
    """
    return yaml_text.parse_yaml(text, where, lambda node: node if types is None else set_types(node, types))


def read_value(key: str, text: str, types: KeyType) -> Any:
    """The value of an override, as its key's type: text as it is written, anything else as YAML.

    Text in a pair of quotes is what the quotes hold. ``none`` or ``null`` is null where a value may be null.

    Args:
        key: The dotted key.
        text: The value.
        types: The types of all keys.

    Raises:
        UserError: The value is not YAML, where YAML is expected.
    """
    where, kind = f"the value of {key}", types.at(key)
    if kind is None:  # The unknown key is the error to report, not its value.
        with suppress(UserError):
            return parse_yaml(text, where)
        return text
    if kind.is_optional and is_null(text):
        return None
    if not (kind.is_text or kind.is_texts):
        return parse_yaml(text, where, kind)
    is_quoted = len(text) > 1 and text[0] == text[-1] and text[0] in "'\""
    if is_quoted or (kind.has_parts and text.startswith("[" if kind.is_texts else "{")):
        with suppress(UserError):
            value = parse_yaml(text, where, kind)
            if isinstance(value, str if is_quoted and kind.is_text else list if kind.is_texts else dict):
                return value
    return [text] if kind.is_texts else text


def override(fields: dict[str, Any], setting: str, read: Callable[[str, str], Any]) -> None:
    """Sets one key of nested mappings, in place.

    Args:
        fields: The mappings.
        setting: ``key=value`` with a dotted key, such as ``policy.rho=0.15``.
        read: Gives the value for a key and its text, as :func:`read_value` does.

    Raises:
        UserError: There is no equals sign, the value cannot be read, or a parent key is not a mapping.
    """
    key, equals, text = setting.partition("=")
    if not equals:
        raise UserError(f"{setting!r} is not an override; write key=value, such as policy.rho=0.15.")
    set_key(fields, key, read(key, text))


def set_key(fields: dict[str, Any], key: str, value: Any) -> None:
    """Sets one key of nested mappings, in place.

    Args:
        fields: The mappings.
        key: A dotted key.
        value: Its value. Setting one of ``samples`` and ``epochs`` sets the other to null.

    Raises:
        UserError: A parent key is not a mapping.
    """
    *path, last = key.split(".")
    for part in path:
        if (inner := fields.get(part)) is None:  # In the recipe of a run an absent section is null.
            inner = fields[part] = {}
        if not isinstance(inner, dict):
            raise UserError(f"{key!r} cannot be set: {part!r} has no keys below it.")
        fields = inner
    fields[last] = value
    if {last, *fields} >= {"samples", "epochs"} and last in ("samples", "epochs"):
        fields["epochs" if last == "samples" else "samples"] = None

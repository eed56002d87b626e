"""YAML mappings, the format of recipes and studies, and ``key=value`` overrides."""

import os
from importlib import resources
from pathlib import Path
from typing import Any, Final

from clipc.errors import UserError, unknown_name

_FOLDERS: Final = {"recipe": "recipes", "study": "studies"}


def built_in(what: str) -> list[str]:
    """The names of the recipes or studies that ship with clipc.

    Args:
        what: ``recipe`` or ``study``.
    """
    entries = (resources.files("clipc") / _FOLDERS[what]).iterdir()
    return sorted(entry.name.removesuffix(".yaml") for entry in entries if entry.name.endswith(".yaml"))


def read_named(name: str | Path, what: str) -> dict[str, Any]:
    """The keys and values of a YAML file, or of one that ships.

    Args:
        name: The file, or a name from :func:`built_in`.
        what: ``recipe`` or ``study``.

    Raises:
        UserError: There is neither, or the file cannot be read or is not a YAML mapping.
    """
    names = built_in(what)
    if str(name) in names:
        text = (resources.files("clipc") / _FOLDERS[what] / f"{name}.yaml").read_text("utf-8")
        return parse_yaml(text, str(name))
    if os.path.isfile(name):
        return read_yaml(Path(name), what)
    if Path(name).suffix in (".yaml", ".yml"):
        raise UserError(f"there is no {what} file {name}.")
    raise unknown_name(what, str(name), names)


def read_yaml(file: Path, what: str) -> dict[str, Any]:
    """The keys and values of a YAML file.

    Args:
        file: The file.
        what: ``recipe`` or ``study``, for messages.

    Raises:
        UserError: It cannot be read, or is not a YAML mapping.
    """
    try:
        text = file.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"the {what} {file} cannot be read ({error}); save it as text in UTF-8.") from error
    fields = parse_yaml(text, str(file)) or {}
    if not isinstance(fields, dict):
        raise UserError(f"the {what} {file} is not a table of keys and values.")
    return fields


def parse_yaml(text: str, where: str) -> Any:
    """The value of YAML text, by the safe loader.

    Args:
        text: The text.
        where: The source of the text, for messages.

    Raises:
        UserError: It is not YAML.
    """
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        return YAML(typ="safe", pure=True).load(text)
    except YAMLError as error:
        raise UserError(f"{where} is no YAML: {' '.join(str(error).split())}.") from error


def override(fields: dict[str, Any], word: str) -> None:
    """Sets one key of nested mappings, in place.

    Args:
        fields: The mappings.
        word: ``key=value``, the key dotted, the value as YAML.

    Raises:
        UserError: It has no equals sign, its value is not YAML, or a parent key is not a mapping.
    """
    key, equals, value = word.partition("=")
    if not equals:
        raise UserError(f"{word!r} is no override; write key=value, such as policy.rho=0.15.")
    *path, last = key.split(".")
    for part in path:
        if (inner := fields.get(part)) is None:  # The recipe of a run has null for sections that are absent.
            inner = fields[part] = {}
        if not isinstance(inner, dict):
            raise UserError(f"{key!r} cannot be set: {part!r} has no keys below it.")
        fields = inner
    fields[last] = parse_yaml(value, f"the value of {key}")
    if {last, *fields} >= {"samples", "epochs"} and last in ("samples", "epochs"):
        fields["epochs" if last == "samples" else "samples"] = None

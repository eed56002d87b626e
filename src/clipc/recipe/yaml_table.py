"""YAML mappings, the format of recipes and studies, and ``key=value`` overrides."""

import os
from importlib import resources
from pathlib import Path
from typing import Any, Final

from clipc.errors import UserError, unknown_name

_FOLDERS: Final = {"recipe": "recipes", "study": "studies"}


def built_in(kind: str) -> list[str]:
    """The names of the built-in recipes or studies, sorted.

    Args:
        kind: ``recipe`` or ``study``.
    """
    entries = (resources.files("clipc") / _FOLDERS[kind]).iterdir()
    return sorted(entry.name.removesuffix(".yaml") for entry in entries if entry.name.endswith(".yaml"))


def read_named(name: str | Path, kind: str) -> dict[str, Any]:
    """Reads a recipe or study from a YAML file, or a built-in one, as keys and values.

    Args:
        name: The file, or a name from :func:`built_in`.
        kind: ``recipe`` or ``study``.

    Raises:
        UserError: There is no such file or name, or the file cannot be read or is not a YAML mapping.
    """
    names = built_in(kind)
    if str(name) in names:
        text = (resources.files("clipc") / _FOLDERS[kind] / f"{name}.yaml").read_text("utf-8")
        return parse_yaml(text, str(name))
    if os.path.isfile(name):
        return read_yaml(Path(name), kind)
    if Path(name).suffix in (".yaml", ".yml"):
        raise UserError(f"there is no {kind} file {name}.")
    raise unknown_name(kind, str(name), names)


def read_yaml(file: Path, kind: str) -> dict[str, Any]:
    """Reads the keys and values of a YAML file.

    Args:
        file: The file.
        kind: ``recipe`` or ``study``, for messages.

    Raises:
        UserError: The file cannot be read, or is not a YAML mapping.
    """
    try:
        text = file.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"the {kind} {file} cannot be read ({error}); save it as text in UTF-8.") from error
    fields = parse_yaml(text, str(file)) or {}
    if not isinstance(fields, dict):
        raise UserError(f"the {kind} {file} is not a table of keys and values.")
    return fields


def parse_yaml(text: str, where: str) -> Any:
    """Parses YAML text with the safe loader.

    Args:
        text: The text.
        where: The source of the text, for messages.

    Raises:
        UserError: The text is not YAML.
    """
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        return YAML(typ="safe", pure=True).load(text)
    except YAMLError as error:
        raise UserError(f"{where} is not valid YAML: {' '.join(str(error).split())}.") from error


def override(fields: dict[str, Any], setting: str) -> None:
    """Sets one key of nested mappings, in place.

    Args:
        fields: The mappings.
        setting: ``key=value`` with a dotted key, such as ``policy.rho``, and a YAML value. Setting one of ``samples``
            and ``epochs`` sets the other to null.

    Raises:
        UserError: There is no equals sign, the value is not YAML, or a parent key is not a mapping.
    """
    key, equals, value = setting.partition("=")
    if not equals:
        raise UserError(f"{setting!r} is not an override; write key=value, such as policy.rho=0.15.")
    *path, last = key.split(".")
    for part in path:
        if (inner := fields.get(part)) is None:  # In the recipe of a run an absent section is null.
            inner = fields[part] = {}
        if not isinstance(inner, dict):
            raise UserError(f"{key!r} cannot be set: {part!r} has no keys below it.")
        fields = inner
    fields[last] = parse_yaml(value, f"the value of {key}")
    if {last, *fields} >= {"samples", "epochs"} and last in ("samples", "epochs"):
        fields["epochs" if last == "samples" else "samples"] = None

"""Tables of keys and values in YAML, as recipes and studies are, and changes to them as ``key=value``."""

from pathlib import Path
from typing import Any

from clipc.errors import UserError


def read_yaml(file: Path, what: str) -> dict[str, Any]:
    """The keys and values of a YAML file.

    Args:
        file: The file.
        what: What it is, for messages: a recipe, a study.

    Raises:
        UserError: It cannot be read, is no YAML, or no table.
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
    """What YAML text says, by the safe loader alone.

    Args:
        text: The text.
        where: Named in messages.

    Raises:
        UserError: It is no YAML.
    """
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        return YAML(typ="safe", pure=True).load(text)
    except YAMLError as error:
        raise UserError(f"{where} is no YAML: {' '.join(str(error).split())}.") from error


def override(fields: dict[str, Any], word: str) -> None:
    """Sets one key of nested tables, in place.

    Args:
        fields: The tables.
        word: ``key=value``, the key dotted, the value as YAML.

    Raises:
        UserError: It has no equals sign, its value is no YAML, or something on the way is no table.
    """
    key, equals, value = word.partition("=")
    if not equals:
        raise UserError(f"{word!r} is no override; write key=value, such as policy.rho=0.15.")
    *path, last = key.split(".")
    for part in path:
        if (inner := fields.get(part)) is None:  # A run's own recipe says null for what it has not.
            inner = fields[part] = {}
        if not isinstance(inner, dict):
            raise UserError(f"{key!r} cannot be set: {part!r} has no keys below it.")
        fields = inner
    fields[last] = parse_yaml(value, f"the value of {key}")
    if {last, *fields} >= {"samples", "epochs"} and last in ("samples", "epochs"):
        fields["epochs" if last == "samples" else "samples"] = None

"""YAML that others wrote: parsed by the safe loader, within limits of size and depth."""

from collections.abc import Callable
from typing import Any

from clipc.errors import UserError
from clipc.limits import YAML_BYTES, YAML_DEPTH, YAML_VALUES


def parse_yaml(text: str, where: str, prepare: Callable[[Any], Any] = lambda node: node) -> Any:
    """The value of a YAML text.

    Args:
        text: The text.
        where: Its source, for messages.
        prepare: Gives the document that takes the place of the parsed one, before values are made of it.

    Raises:
        UserError: The text is too long, no YAML, or its values are nested too deeply or, by aliases, too many.
    """
    from ruamel.yaml import YAML
    from ruamel.yaml.constructor import SafeConstructor
    from ruamel.yaml.error import YAMLError

    class Prepared(SafeConstructor):
        def construct_document(self, node: Any) -> Any:
            _check(node)
            return super().construct_document(prepare(node))

    if len(text) > YAML_BYTES:
        raise UserError(f"{where} has {len(text):,} characters, more than {YAML_BYTES:,} that YAML files may have.")
    yaml = YAML(typ="safe", pure=True)
    yaml.Constructor = Prepared
    try:
        return yaml.load(text)
    except RecursionError:
        raise UserError(f"{where} is not valid YAML: values are nested more than {YAML_DEPTH} deep.") from None
    except (YAMLError, ValueError, OverflowError, TypeError) as error:  # No date or number has some values: 2024-13-40.
        raise UserError(f"{where} is not valid YAML: {' '.join(str(error).split())}.") from error


def _check(document: Any) -> None:
    """Counts the values of a document and their depth, those behind aliases each time."""
    waiting, count = [(document, 0)], 0
    while waiting:
        node, depth = waiting.pop()
        count += 1
        if depth > YAML_DEPTH:
            raise ValueError(f"values are nested more than {YAML_DEPTH} deep")
        if count > YAML_VALUES:
            raise ValueError(f"there are more than {YAML_VALUES:,} values")
        if isinstance(node.value, list):
            parts = (part for entry in node.value for part in (entry if isinstance(entry, tuple) else (entry,)))
            waiting.extend((part, depth + 1) for part in parts)

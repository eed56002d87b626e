"""The file of the rules that experts accepted: rules are appended, and what was there stays as it was written."""

import io
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq

from clipc.compose.rules.read import parse_rules, preset_text
from clipc.compose.rules.schema import NeverRule, PairRule, Rules
from clipc.errors import UserError

_WIDTH: Final = 1 << 16
"""Lines are never wrapped."""


def rules_text(rules: Rules | None) -> str:
    """Rules as the text of a file: with their comments where their file or preset is still as it was.

    Args:
        rules: The rules; None gives an empty text.
    """
    if rules is None:
        return ""
    source = rules.source or ""
    with suppress(UserError, OSError, UnicodeError):
        preset = source.removeprefix("preset ")
        text = preset_text(preset) if preset != source else Path(source).read_text(encoding="utf-8-sig")
        if parse_rules(text, source) == rules:
            return text
    return _dump(rules.model_dump(mode="json", exclude_none=True, exclude_defaults=True) | {"name": rules.name})


def rule_yaml(rule: PairRule | NeverRule) -> str:
    """One rule as a rules file has it, under its section."""
    return _dump(CommentedMap({_section(rule): [_entry(rule)]}))


def with_rule(text: str, rule: PairRule | NeverRule, where: str = "rules.yaml") -> str:
    """The text of a rules file with one more rule; comments and the other rules stay.

    Args:
        text: The text of a valid rules file; empty for a new one.
        rule: The rule.
        where: The file's name, for messages.

    Raises:
        UserError: The text is no rules file.
    """
    if not text.strip():
        return _dump(CommentedMap({"name": "rules from review", _section(rule): [_entry(rule)]}))
    before = parse_rules(text, where)
    document: Any = _yaml().load(text)
    section = _section(rule)
    if document.get(section) is None:
        document[section] = CommentedSeq()
    document[section].append(_entry(rule))
    result = _dump(document)
    after = parse_rules(result, where)
    own = tuple(getattr(before, section))
    assert after == before.model_copy(update={section: (*own, rule)}), "a rule was lost or changed"
    return result


def without_rule(text: str, rule: PairRule | NeverRule, where: str = "rules.yaml") -> str:
    """The text of a rules file without one of its rules; comments and the other rules stay.

    Args:
        text: The text of a valid rules file.
        rule: The rule, which the file has.
        where: The file's name, for messages.

    Raises:
        UserError: The text is no rules file.
    """
    before, section = parse_rules(text, where), _section(rule)
    own = list(getattr(before, section))
    place = own.index(rule)
    document: Any = _yaml().load(text)
    del document[section][place], own[place]
    if not own:
        del document[section]
    result = _dump(document)
    after = parse_rules(result, where)
    assert after == before.model_copy(update={section: tuple(own)}), "a rule was lost or changed"
    return result


def _section(rule: PairRule | NeverRule) -> str:
    return "never" if isinstance(rule, NeverRule) else "pairs"


def _entry(rule: PairRule | NeverRule) -> Mapping[str, str]:
    values = rule.model_dump(exclude_none=True)
    why = {"why": values.pop("why")} if "why" in values else {}
    return CommentedMap({**values, **why})  # The reason comes last, as people write it.


def _dump(document: Any) -> str:
    text = io.StringIO()
    _yaml().dump(document, text)
    return text.getvalue()


def _yaml() -> YAML:
    yaml = YAML(typ="rt")
    yaml.width = _WIDTH
    yaml.preserve_quotes = True
    yaml.indent(mapping=2, sequence=4, offset=2)
    return yaml

"""Reads YAML into dictionaries, lists and text with line numbers, and explains errors to authors of rules.

Scalars stay text: ``no`` is not false and ``007`` is not seven. Only the parser's events are used, so a tag never
makes an object and an alias never multiplies a value.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from clipc.errors import UserError

Place = tuple[str | int, ...]
"""The path to a value: keys and positions from the top of the document."""

_MAX_DEPTH: Final = 8
_UNPRINTABLE: Final = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_VALUE: Final = re.compile(r"^[\s-]*(?:[\w-]+:)?\s*(\S.*)$")
_QUOTES_ADVICE: Final = "put the whole value in single quotes ('...') or on lines of its own below `|`"
_BACKSLASH_ADVICE: Final = "in double quotes YAML gives backslashes a meaning of its own; use single quotes instead"
_BRACES_ADVICE: Final = "inside braces put a space after each colon, and a text with a comma in quotation marks"
_PROSE_KEYS: Final = ("name", "why")


@dataclass(frozen=True)
class Document:
    """The values of a document, and the line (from 1) of each.

    Attributes:
        values: Dictionaries, lists and text; None for an empty value.
        lines: The line of each value; a value in a dictionary has the line of its key.
        unquoted: The places of the scalars without quotation marks.
    """

    values: Any
    lines: dict[Place, int]
    unquoted: set[Place]


def read_document(text: str, where: str) -> Document:
    """Reads one YAML document.

    Args:
        text: The document.
        where: The file's name for messages.

    Raises:
        UserError: The text is invalid; the message names the line and the remedy.
    """
    from ruamel.yaml import YAML
    from ruamel.yaml.error import MarkedYAMLError, YAMLError

    if unprintable := _UNPRINTABLE.search(text):
        line = text.count("\n", 0, unprintable.start()) + 1
        raise UserError(
            f"{where}, line {line}: there is a character that is not text; save the file as plain text in UTF-8."
        )
    lines = re.split(r"\r\n|[\r\n\x85\u2028\u2029]", text)
    reader = _Reader(where, lines)
    try:
        parser: Any = YAML(typ="safe", pure=True)
        return reader.document(iter(parser.parse(text)))
    except MarkedYAMLError as error:
        raise _syntax_error(error, lines, where) from None
    except (YAMLError, ValueError, OverflowError) as error:
        raise UserError(f"{where} is not valid YAML: {' '.join(str(error).split())}.") from None


@dataclass
class _Reader:
    """Makes a document from the parser's events; ``text`` holds the lines of the file, for messages."""

    where: str
    text: list[str]
    lines: dict[Place, int] = field(default_factory=dict[Place, int])
    unquoted: set[Place] = field(default_factory=set[Place])

    def document(self, events: Iterator[Any]) -> Document:
        values = None
        for event in events:
            kind = _kind(event)
            if kind in ("MappingStart", "SequenceStart", "Scalar", "Alias"):
                if self.lines:
                    raise self.error(event, "a second document begins after '---'; keep one set of rules in a file")
                values = self.value(events, event, ())
        return Document(values, self.lines, self.unquoted)

    def value(self, events: Iterator[Any], event: Any, place: Place) -> Any:
        self.lines.setdefault(place, event.start_mark.line + 1)
        kind = _kind(event)
        character = "*" if kind == "Alias" else "&" if event.anchor else "!" if event.tag else None
        if character:
            raise self.error(
                event, f"a value that starts with '{character}' means something else in YAML; {_QUOTES_ADVICE}"
            )
        if len(place) > _MAX_DEPTH:
            raise self.error(event, f"values are nested more than {_MAX_DEPTH} deep, and no rule needs that")
        if kind == "Scalar":
            return self.scalar(event, place)
        if kind == "SequenceStart":
            items: list[Any] = []
            while _kind(item := next(events)) != "SequenceEnd":
                items.append(self.value(events, item, (*place, len(items))))
            return items
        return self.mapping(events, event, place)

    def mapping(self, events: Iterator[Any], start: Any, place: Place) -> dict[str, Any]:
        values: dict[str, Any] = {}
        while _kind(event := next(events)) != "MappingEnd":
            if _kind(event) != "Scalar" or event.anchor or event.tag:
                raise self.error(
                    event, _bracket_advice(self.line(event)) or "a key is one word, followed by a colon and a space"
                )
            key = event.value
            here = (*place, key)
            if key in values:
                raise self.error(event, f"the key {key!r} was given before, in line {self.lines[here]}; keep one")
            self.lines[here] = event.start_mark.line + 1
            values[key] = self.value(events, inner := next(events), here)
            if start.flow_style and values[key] is None and inner.value == "":
                advice = None if place[:1] == ("examples",) else _bracket_advice(self.line(start))
                raise self.error(event, advice or f"{key!r} has no value; {_BRACES_ADVICE}")
        return values

    def scalar(self, event: Any, place: Place) -> str | None:
        text: str = event.value
        if event.style == '"' and re.search("[\0-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff]", text):
            raise self.error(event, f"{_BACKSLASH_ADVICE} (\\b is a control character)")
        if event.style:
            return text
        self.unquoted.add(place)
        if place[-1:] and place[-1] not in _PROSE_KEYS and _has_open_mark(text) and self.comment_after(event):
            raise self.error(event, f"YAML takes everything after ' #' for a comment; {_QUOTES_ADVICE}")
        return None if text in ("", "~", "null", "Null", "NULL") else text

    def comment_after(self, event: Any) -> bool:
        end = event.end_mark
        return end.line < len(self.text) and self.text[end.line][end.column :].lstrip().startswith("#")

    def line(self, event: Any) -> str:
        return self.text[event.start_mark.line]

    def error(self, event: Any, message: str) -> UserError:
        return UserError(f"{self.where}, line {event.start_mark.line + 1}: {message}.")


def _kind(event: Any) -> str:
    return type(event).__name__.removesuffix("Event")


def _has_open_mark(text: str) -> bool:
    """Whether the text opens a quotation mark or a bracket without closing it."""
    return any(text.count(mark) % 2 for mark in "'\"") or any(
        text.count(left) != text.count(right) for left, right in ("()", "[]", "{}")
    )


def _bracket_advice(line: str) -> str | None:
    match = _VALUE.match(line)
    character = match[1][0] if match else ""
    return f"a value that starts with '{character}' must be in single quotes" if character in ("[", "{") else None


def _syntax_error(error: Any, lines: list[str], where: str) -> UserError:
    """The parser's error, with its line and probable cause."""
    mark = error.problem_mark or error.context_mark
    problem = f"{error.context or ''} {error.problem or ''}"
    if "quoted scalar" in problem and "end of" in problem and error.context_mark:
        at, message = error.context_mark.line, "a quotation mark is opened here and never closed"
    elif "flow" in problem and error.context_mark:
        at = error.context_mark.line
        advice = None if "- {" in lines[at] else _bracket_advice(lines[at])
        message = advice or "a bracket is opened and not closed, or a comma is missing between two parts"
    else:
        at, message = _explain(problem, mark.line if mark else 0, mark.column if mark else 0, lines)
    return UserError(f"{where}, line {at + 1}: {message}.")


def _explain(problem: str, at: int, column: int, lines: list[str]) -> tuple[int, str]:
    line = lines[at] if at < len(lines) else ""
    indent = line[: len(line) - len(line.lstrip())]
    match = _VALUE.match(line)
    value = match[1] if match else ""
    if "'\\t'" in problem or "\t" in indent:
        return at, "there is a tab; YAML needs spaces"
    if "escape" in problem:
        return at, _BACKSLASH_ADVICE
    if "\u3000" in indent or "\xa0" in indent:
        return at, "the line begins with a full-width or other special space; use ordinary spaces"
    if "mapping values" in problem or "could not find expected ':'" in problem:
        for near in (at, *range(at - 1, max(-1, at - 4), -1)):
            if re.match(r"^[\s-]*\w+：", lines[near]):
                return near, "there is a full-width colon (：); write an ordinary colon and a space"
            if re.match(r"^[\s-]*\w+:[^\s:]", lines[near]):
                return near, "a space is missing after the colon"
        if re.match(r"^[\s-]*[\w-]+:\s", line) and ": " in line[: column + 2] and line.count(":") > 1:
            return at, f"a value that holds a colon and a space must be in quotation marks; {_QUOTES_ADVICE}"
        return (
            at,
            "this line is indented further than the one before; keys that belong together begin in the same column",
        )
    if value[:1] in tuple("[{%@`*&!>|"):
        return at, f"a value that starts with '{value[0]}' means something else in YAML; {_QUOTES_ADVICE}"
    if value[:1] in ("'", '"') and "<scalar>" in problem:
        return at, (
            "the value continues after its closing quotation mark; inside '...' write each ' twice, "
            "or put the value on lines of its own below `|`"
        )
    if "expected <block end>" in problem or "block" in problem:
        return at, "the indentation does not fit; entries of one list, and keys of one entry, begin in the same column"
    return at, f"this is not valid YAML ({' '.join(problem.split())})"

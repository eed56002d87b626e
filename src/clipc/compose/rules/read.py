"""Reads rules from a file or a built-in preset, and explains errors in them."""

import re
import unicodedata
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from importlib import resources
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel, ValidationError

from clipc.catalog.sources.encoding import detect_encoding
from clipc.compose.layouts.tiles import CUTS
from clipc.compose.rules.document import Document, Place, read_document
from clipc.compose.rules.schema import CaptionRule, Example, ImageRule, NeverRule, PairRule, Rules, keys_of
from clipc.errors import UserError, invalid_value, unknown_name

_MAX_BYTES: Final = 1 << 18
_ENTRIES: Final[dict[str, type[BaseModel]]] = {
    "pairs": PairRule,
    "images": ImageRule,
    "captions": CaptionRule,
    "never": NeverRule,
    "examples": Example,
}
_CHOICES: Final = {"axis": tuple(CUTS.values()), "unknown": ("refuse", "allow")}
_NUMBER: Final = re.compile(r"[-+]?(0|[1-9]\d*)(\.\d+)?([eE][-+]?\d+)?")


def preset_names() -> list[str]:
    """The names of the built-in rules."""
    folder = resources.files("clipc.compose.rules") / "presets"
    return sorted(entry.name.removesuffix(".yaml") for entry in folder.iterdir() if entry.name.endswith(".yaml"))


def preset_text(name: str) -> str:
    """The text of a preset, with its comments, as a starting point for rules of one's own.

    Raises:
        UserError: There is no such preset.
    """
    if name not in preset_names():
        raise unknown_name("preset", name, preset_names())
    return (resources.files("clipc.compose.rules") / "presets" / f"{name}.yaml").read_text("utf-8")


def read_rules(source: str | Path) -> Rules:
    """Rules from a YAML file, or a preset by its name.

    Expressions are not checked here, since they depend on the columns of the data.

    Args:
        source: A file, or a name from :func:`preset_names`. Write ``./radiology`` for a file with the name of a preset.

    Raises:
        UserError: The file or preset does not exist or is invalid; the message names file, line and key.
    """
    if isinstance(source, str) and source in preset_names():
        return parse_rules(preset_text(source), f"preset {source}")
    return parse_rules(_file_text(Path(source)), str(source))


def parse_rules(text: str, where: str) -> Rules:
    """Rules from the text of a YAML file.

    Args:
        text: The file's text.
        where: The file's name, for messages.

    Raises:
        UserError: The text is invalid; the message names file, line and key.
    """
    document = read_document(text, where)
    if document.values is None:
        raise UserError(f"{where} is empty; a rules file begins with a line such as 'name: my rules'.")
    if not isinstance(document.values, dict):
        raise UserError(
            f"{where}, line {document.lines[()]}: there is no key; a rules file begins with 'name: my rules'."
        )
    document = _list_captions(document)
    _check_keys(document, where)
    lines = {".".join(map(str, place)): line for place, line in document.lines.items() if place}
    try:
        return Rules.model_validate(
            {"name": Path(where).stem, **_add_lines_and_types(document), "source": where, "lines": lines}
        )
    except ValidationError as error:
        raise _first_error(error, document, where) from None


def _file_text(file: Path) -> str:
    if file.is_dir():
        raise UserError(f"{file} is a folder; name a rules file in it.")
    if not file.is_file():
        if file.suffix or len(file.parts) > 1:
            raise UserError(f"there is no rules file {file}.")
        unknown = unknown_name("preset", str(file), preset_names())
        raise UserError(f"there is no rules file {file}, and {unknown}")
    try:
        with file.open("rb") as stream:
            data = stream.read(_MAX_BYTES + 1)
    except OSError as error:
        raise UserError(f"{file} cannot be read: {error.strerror}.") from error
    if len(data) > _MAX_BYTES:
        raise UserError(f"{file} is larger than {_MAX_BYTES // 1024} KiB, the limit for a rules file.")
    try:
        return data.decode(detect_encoding(data).codec)
    except (UserError, UnicodeDecodeError):
        raise UserError(f"{file} is not text in any known encoding; save it as UTF-8.") from None


def _list_captions(document: Document) -> Document:
    """The document without empty sections, and with a single entry under ``captions`` put into a list."""
    values: dict[str, Any] = {k: v for k, v in document.values.items() if v is not None or k not in keys_of(Rules)}
    if not isinstance(single := values.get("captions"), dict):
        return Document(values, document.lines, document.unquoted)

    def moved(place: Place) -> Place:
        return (*place[:1], 0, *place[1:]) if place[:1] == ("captions",) else place

    lines = {moved(place): line for place, line in document.lines.items()}
    unquoted = {moved(place) for place in document.unquoted}
    return Document({**values, "captions": [single]}, lines | {("captions",): lines[("captions", 0)]}, unquoted)


def _check_keys(document: Document, where: str) -> None:
    """Refuses unknown keys and keys without a value."""
    levels: list[tuple[Place, dict[str, Any], tuple[str, ...] | None]] = [((), document.values, keys_of(Rules))]
    for section, content in document.values.items():
        if section in _ENTRIES and isinstance(content, list):
            keys = keys_of(_ENTRIES[section])
            levels += [((section, i), entry, keys) for i, entry in enumerate(content) if isinstance(entry, dict)]
        elif isinstance(content, dict):
            levels.append(((section,), content, None))
    for place, entry, keys in levels:
        under = f" under {place[0]}" if place else ""
        for key, value in entry.items():
            at = f"{where}, line {document.lines[(*place, key)]}"
            if keys is not None and key not in keys:
                raise UserError(f"{at}: unknown key {key!r}{under}; {_key_advice(key, keys)}")
            if value is None:
                raise UserError(f"{at}: {key!r}{under} has no value.")


def _key_advice(key: str, keys: tuple[str, ...]) -> str:
    plain = unicodedata.normalize("NFKC", key).strip()
    if plain in keys and plain != key:
        return "it holds a full-width or special character or space; type it again."
    if key[:1].isspace():
        return "the line begins with a full-width or other special space; use ordinary spaces."
    if plain.startswith("-"):
        return "a space is missing after the '-' that begins an entry."
    near = get_close_matches(plain.lower(), keys, n=1, cutoff=0.6)
    return f"did you mean {near[0]!r}?" if near else f"there are: {', '.join(keys)}."


def _add_lines_and_types(document: Document) -> dict[str, Any]:
    """The document's values, with the line of each entry, and with numbers and truth values in inline pairs."""
    values: dict[str, Any] = dict(document.values)
    for section in _ENTRIES:
        entries: Any = values.get(section)
        if isinstance(entries, list):
            values[section] = [
                {**entry, "line": document.lines[(section, number)]} if isinstance(entry, dict) else entry
                for number, entry in enumerate(entries)
            ]
    for place in document.unquoted:
        if len(place) == 4 and place[0] == "examples" and place[2] in ("a", "b"):
            _, number, side, name = place
            pair: Any = values["examples"][number][side]
            if isinstance(pair, dict):
                values["examples"][number][side] = {**pair, name: _parse_scalar(pair[name])}
    return values


def _parse_scalar(value: Any) -> Any:
    """The number or truth value that an unquoted scalar stands for; part numbers such as 007 stay text."""
    if isinstance(value, str) and _NUMBER.fullmatch(value):
        return float(value) if re.search("[.eE]", value) else int(value)
    return {"true": True, "false": False}.get(value, value) if isinstance(value, str) else value


def _first_error(error: ValidationError, document: Document, where: str) -> UserError:
    """The error with the lowest line, as a sentence."""
    messages: list[tuple[int, str]] = []
    for detail in error.errors():
        place: Place = ()
        for part in detail["loc"]:  # also holds names of pydantic's types, which are not in the file
            if (*place, part) in document.lines:
                place = (*place, part)
        # The only error without a place is a name that columns and fields share.
        messages.append((document.lines[place or ("fields",)], _describe(dict(detail), place)))
    line, sentence = min(messages, key=lambda item: item[0])
    return UserError(f"{where}, line {line}: {sentence}")


def _describe(detail: Mapping[str, Any], place: Place) -> str:
    names = [str(part) for part in place if isinstance(part, str)]
    under = f" under {names[0]}" if len(names) > 1 else ""
    subject = f"{names[-1]!r}{under}" if names else ""
    if detail["type"] == "value_error":
        name = f"under {names[0]}:" if place and isinstance(place[-1], int) else subject
        return f"{name} {detail['msg'].removeprefix('Value error, ')}.".lstrip()
    if detail["type"] == "missing":
        return f"{detail['loc'][-1]!r} is missing{f' under {names[0]}' if names else ''}."
    if detail["type"] == "model_type":
        subject = f"an entry of {subject}"
    return invalid_value(detail, subject, _advice(detail["type"], detail["input"], place, names))


def _advice(kind: str, value: Any, place: Place, names: Sequence[str]) -> str | None:
    """The remedy for an error of pydantic; None if there is nothing to add."""
    if kind == "model_type":
        if isinstance(value, str) and re.match(r"\w+:\S", value):
            return "a space is missing after the colon"
        return f"begin it with a key: {', '.join(keys_of(_ENTRIES[names[0]]))}"
    if kind == "tuple_type":
        return "write a list: begin each of its entries with a dash and a space, '- '"
    if place[:1] == ("examples",) and kind in ("dict_type", "string_type") and len(place) == 3:
        return "write the key of a pair, or columns with values in braces such as {view: PA}"
    if kind == "dict_type":
        return "write names with values, one per line, such as 'side: lower(caption)'"
    if kind in ("bool_parsing", "bool_type"):
        return "write true or false"
    if kind == "literal_error" and names[-1] in _CHOICES:
        return f"write {' or '.join(_CHOICES[names[-1]])}"
    if isinstance(value, list | dict):
        sign = "[" if isinstance(value, list) else "{"
        return f"write text; a value that starts with '{sign}' must be in quotation marks"
    return None

"""Captions made from the columns of a table by templates: ``a {part} with {defect|no defect}``."""

import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from clipc.catalog.rows import IMAGE_SUFFIXES, NAMES, SourceInfo
from clipc.catalog.values import says_nothing
from clipc.errors import UserError

_TOKEN = re.compile(r"\{\{|\}\}|\{(?P<slot>[^{}]*)\}|[{}]|[^{}]+")
_SHOWN = 10
_LONGEST_SHOWN = 120
_FEW = 50
_NEVER = {name for kind in ("image", "key", "split") for name in NAMES["columns"][kind]}


@dataclass(frozen=True)
class Template:
    """One caption template.

    Attributes:
        text: As the user wrote it.
        pieces: Literal texts, and columns with what stands for a missing value, None where there is nothing.
    """

    text: str
    pieces: tuple[str | tuple[str, str | None], ...]

    @property
    def columns(self) -> list[str]:
        """The columns that it names."""
        return [piece[0] for piece in self.pieces if not isinstance(piece, str)]

    def fill(self, record: Mapping[str, Any]) -> str | None:
        """The caption of a record; None if a column without a default has no value."""
        filled: list[str] = []
        for piece in self.pieces:
            if not isinstance(piece, str):
                column, default = piece
                piece = cell_text(record.get(column)) or default
                if piece is None:
                    return None
            filled.append(piece)
        return "".join(filled)


def read_template(text: str, column: Callable[[str], str]) -> Template:
    """Reads a template: ``{column}``, ``{column|default}``, and ``{{`` and ``}}`` for braces themselves.

    Args:
        text: The template.
        column: The table's column for a name.

    Raises:
        UserError: A brace has no partner, no column is named, or ``column`` finds none.
    """
    pieces: list[str | tuple[str, str | None]] = []
    for match in _TOKEN.finditer(text):
        token, slot = match.group(), match["slot"]
        if slot is not None:
            name, bar, default = slot.partition("|")
            try:
                pieces.append((column(name.strip()), default if bar else None))
            except UserError as error:
                raise UserError(f"the caption template {text!r}: {error}") from None
        elif token in ("{", "}"):
            raise UserError(
                f"the caption template {text!r} has a {token} without its partner; write {token * 2} for one."
            )
        else:
            pieces.append(token[0] if token in ("{{", "}}") else token)
    if all(isinstance(piece, str) for piece in pieces):
        raise UserError(
            f"the caption template {text!r} names no column; write it in braces: a {{part}} with {{defect}}."
        )
    return Template(text, tuple(pieces))


class CaptionMaker:
    """Makes the captions of records by templates, and counts them."""

    def __init__(self, templates: Sequence[Template]) -> None:
        self._templates = templates
        self._skipped = [0] * len(templates)
        self._made: dict[str, None] = {}
        self._records = 0

    def captions(self, record: Mapping[str, Any]) -> list[str]:
        """The captions of a record, one for each template of which no value is missing."""
        self._records += 1
        captions: list[str] = []
        for number, template in enumerate(self._templates):
            caption = template.fill(record)
            if caption is None:
                self._skipped[number] += 1
            elif caption not in captions:
                captions.append(caption)
        self._made.update(dict.fromkeys(captions))
        return captions

    def describe(self, info: SourceInfo) -> None:
        """Notes ten of the captions and the number of distinct ones; warns where these are few."""
        made = list(self._made)
        if not made:
            return
        shown = [caption if len(caption) <= _LONGEST_SHOWN else caption[:_LONGEST_SHOWN] + "…" for caption in made]
        examples = "; ".join(f'"{caption}"' for caption in shown[:_SHOWN])
        info.notes.append(f"captions made from columns, {len(made):,} distinct ones: {examples}")
        for template, skipped in zip(self._templates, self._skipped, strict=True):
            if skipped:
                info.notes.append(f"the template {template.text!r} was skipped in {skipped:,} rows that lack a value")
        if 10 * len(made) < self._records or (len(made) < _FEW and 2 * len(made) < self._records):
            info.warnings.append(
                f"the caption templates make only {len(made):,} distinct captions for {self._records:,} rows: images "
                "of one caption cannot be told apart in retrieval, so judge by zero-shot classification, or name more "
                "columns in the template"
            )


def cell_text(value: Any) -> str:
    """A cell's value as it stands in a caption; empty if it is missing (NaN, None, n/a, a dash) or no plain value."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and value.is_integer():  # as pandas writes integers beside missing values
        return str(int(value))
    if isinstance(value, (list, tuple)):
        return ", ".join(text for item in value if (text := cell_text(item)))
    if not isinstance(value, (str, int, float)):
        return ""
    text = str(value).strip()
    return "" if says_nothing(text) else text


def propose_template(names: Sequence[str], label: str | None, sample: Sequence[Mapping[str, Any]]) -> Template | None:
    """A template with a table's own columns, as an example for a table without captions.

    Args:
        names: The columns that may be used; those whose values are numbers, paths or mostly different are not.
        label: The column of class labels.
        sample: The table's first rows.

    Returns:
        The template; None if no column has a label or a few different texts.
    """

    def has_few(name: str) -> bool:
        texts = [text for row in sample if (text := cell_text(row.get(name)))]
        distinct = set(texts)
        is_text = any(not is_number(text) for text in distinct)
        longest = max(map(len, texts), default=0)
        is_path = any("/" in text or "\\" in text or text.lower().endswith(IMAGE_SUFFIXES) for text in distinct)
        return 1 <= len(distinct) <= max(2, len(texts) // 2) and is_text and longest <= 40 and not is_path

    free = [name for name in names if name != label and plain_name(name) not in _NEVER and has_few(name)]
    free = [name for name in free if not set(name) & set("{}|")]
    if label is None and not free:
        return None
    is_japanese = not all(name.isascii() for name in ([label] if label else free))
    lacks = label is not None and any(not cell_text(row.get(label)) for row in sample)
    slot = f"{{{label}{('|異常なし' if is_japanese else '|no defect') if lacks else ''}}}"
    noun, *rest = free or [None]
    if is_japanese:
        text = f"{{{noun}}}、{slot}" if noun and label else f"{slot if label else f'{{{noun}}}'}の写真"
        text += "".join(f"、{name}{{{name}}}" for name in rest[:2])
    else:
        text = f"a {{{noun}}} with {slot}" if noun and label else f"photo of {slot if label else f'{{{noun}}}'}"
        text += "".join(f", {name} {{{name}}}" for name in rest[:2])
    return read_template(text, str)


def plain_name(name: str) -> str:
    """A column's name without case, spaces, underscores, hyphens, full stops and width of letters."""
    return re.sub(r"[\s_\-.]", "", unicodedata.normalize("NFKC", name).casefold())


def is_number(text: str) -> bool:
    """Whether a text is a number."""
    try:
        float(text)
    except ValueError:
        return False
    return True

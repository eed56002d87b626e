"""The schema of a rules file: pydantic models of its keys, checked without any data."""

import re
import unicodedata
from collections.abc import Iterable
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from clipc.compose.layouts.tiles import Axis, axis_of
from clipc.compose.rules.grammar import RESERVED
from clipc.identity import ALWAYS, NEVER, Neutral

OWN: Final = ("caption", "captions", "key")
"""Columns that every pair has and that no rules file may redefine."""

Value = str | int | float | bool
Section = Literal["columns", "fields", "pairs", "images", "captions", "never", "examples"]

MOST_WORDINGS: Final = 255
"""A plan stores the wording in one byte; 0 is the policy's."""

_NO_CAPITALS: Final = re.compile(r"\\[pP]\{\w+\}|\(\?P?<\w+>|\\x\{?\w+\}?|\\.|\[[^\]]*\]")


def _some_text(text: str) -> str:
    if not text.strip():
        raise ValueError("is empty")
    return text


def _name(name: str) -> str:
    plain = unicodedata.normalize("NFC", name)
    if not plain.isidentifier():
        raise ValueError("cannot name a column: use letters (of any script), digits and _ only")
    if plain.lower() in ("a", "b") or plain.startswith("__"):
        raise ValueError("cannot name a column: a and b are the two pairs, and __ at the start is clipc's own")
    if plain.lower() in RESERVED:
        raise ValueError(f"cannot name a column: it is a word of the expressions themselves; try {name}_1")
    if plain.lower() in OWN:
        raise ValueError("cannot name a column: every pair has a column of that name already")
    return plain


def _as_list(value: object) -> object:
    return [value] if isinstance(value, (str, dict, BaseModel)) else value


def _pattern(text: str) -> str:
    if "(?i" not in text and re.search("[A-Z]", _NO_CAPITALS.sub("", text)):
        raise ValueError("holds capital letters, but is looked for in the caption in lower case; write them small")
    return text


def _template(text: str) -> str:
    if sorted(re.findall(r"\{[^{}]*\}|[{}]", text)) != ["{a}", "{b}"]:
        raise ValueError("must hold {a} and {b}, each once, and no other braces, such as '{a} beside {b}'")
    return text


def _known_values(values: dict[str, Value | None]) -> dict[str, Value]:
    """The values of an inline pair without unknown (empty) ones."""
    return {name: value for name, value in values.items() if value is not None and value != ""}


def _few_wordings(rules: "tuple[CaptionRule, ...]") -> "tuple[CaptionRule, ...]":
    wordings = sum(rule.forbid is None for rule in rules)
    if wordings > MOST_WORDINGS:
        raise ValueError(
            f"has {wordings} entries with a joiner or template, and at most {MOST_WORDINGS} can be told apart"
        )
    return rules


Text = Annotated[str, AfterValidator(_some_text)]
Name = Annotated[str, AfterValidator(_name)]
Columns = Annotated[tuple[Text, ...], BeforeValidator(_as_list), Field(min_length=1)]
Inline = Annotated[dict[Text, Value | None], AfterValidator(_known_values)]


class _Content(BaseModel):
    """A part of a rules file; parts with the same content are equal, wherever they come from."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and isinstance(other, _Content) and self.model_dump() == other.model_dump()

    def __hash__(self) -> int:
        return hash(self.model_dump_json())


class Entry(_Content):
    """One entry of a rules file; entries with the same content are equal, whatever their line.

    Attributes:
        why: The expert's reason, shown wherever the entry had an effect.
        line: The line of the file that it begins in, from 1; None where it comes from elsewhere. Not part of dumps.
    """

    why: Annotated[Text | None, NEVER] = None
    line: Annotated[int | None, NEVER] = Field(default=None, exclude=True, repr=False)


class PairRule(Entry):
    """A condition on two pairs a and b, checked in both orders: a composite that breaks it in either is forbidden.

    Attributes:
        require: An expression that must hold; or
        forbid: one that must not. Exactly one of the two is given.
        unknown: What happens where the expression is NULL, because a value in it is unknown: the composite is
            refused or allowed.
    """

    require: Annotated[Text | None, Neutral(None)] = None
    forbid: Annotated[Text | None, Neutral(None)] = None
    unknown: Annotated[Literal["refuse", "allow"] | None, Neutral(None)] = None

    @model_validator(mode="after")
    def _one_condition(self) -> "PairRule":
        if (self.require is None) == (self.forbid is None):
            raise ValueError("give either require or forbid, not both and not neither")
        return self

    @property
    def expression(self) -> str:
        """The condition, whichever of the two it is."""
        return self.require or self.forbid or ""

    @property
    def refuses_unknown(self) -> bool:
        """Whether a composite is refused if the condition is NULL: by default only for ``require``."""
        return self.unknown == "refuse" if self.unknown else self.require is not None


class ImageRule(Entry):
    """How one pair's image may be shown. Of several entries the first that gives a key wins for that key.

    Attributes:
        when: An expression over one pair; every pair where it is absent.
        axis: The axis of its composites: ``left-right`` (a vertical cut) or ``top-bottom`` (a horizontal cut).
            Files may say ``vertical`` and ``horizontal``, which name the cut.
        whole: Whether it is never cut, but shown whole in its half.
        region: The column with the box that must stay visible.
        mirror: Whether mirrored views of it may be shown.
    """

    when: Annotated[Text | None, Neutral(None)] = None
    axis: Annotated[Axis | None, BeforeValidator(axis_of), Neutral(None)] = None
    whole: Annotated[bool | None, Neutral(None)] = None
    region: Annotated[Text | None, Neutral(None)] = None
    mirror: Annotated[bool | None, Neutral(None)] = None

    @model_validator(mode="after")
    def _not_empty(self) -> "ImageRule":
        if self.axis is None and self.whole is None and self.region is None and self.mirror is None:
            raise ValueError("give at least one of axis, whole, region and mirror")
        return self


class CaptionRule(Entry):
    """How two captions are joined, or a pattern that the joint caption must not contain.

    Attributes:
        when: An expression over a and b; every composite where it is absent. Not for ``forbid``.
        joiner: The text between the two captions; or
        template: the joint caption with ``{a}`` and ``{b}`` in the captions' places. The first entry that applies and
            gives either is followed.
        forbid: A regular expression (RE2) that must not be found in the joint caption in lower case.
    """

    when: Annotated[Text | None, Neutral(None)] = None
    joiner: Annotated[Annotated[str, Field(min_length=1)] | None, Neutral(None)] = None
    template: Annotated[Annotated[Text, AfterValidator(_template)] | None, Neutral(None)] = None
    forbid: Annotated[Annotated[Text, AfterValidator(_pattern)] | None, Neutral(None)] = None

    @model_validator(mode="after")
    def _one_purpose(self) -> "CaptionRule":
        if sum(value is not None for value in (self.joiner, self.template, self.forbid)) != 1:
            raise ValueError("give exactly one of joiner, template and forbid (several purposes are several entries)")
        if self.forbid is not None and self.when is not None:
            raise ValueError("forbid holds for every joint caption; leave `when` out")
        return self


class NeverRule(Entry):
    """Pairs that are never composed.

    Attributes:
        when: An expression over one pair; where it is true the pair stays plain and is never a partner.
    """

    when: Annotated[Text, ALWAYS]


class Example(Entry):
    """The expert's own test: two pairs, and whether they may be composed.

    Attributes:
        a: The key of a pair of the data, or the values of some of its columns (all others are unknown).
        b: The other pair.
        allowed: The expected decision.
    """

    a: Text | Inline
    b: Text | Inline
    allowed: bool


class Rules(_Content):
    """An expert's rules on what may be composed, as in the file, independent of any data.

    Rules with the same content are equal: ``source`` and lines are no part of dumps or of equality.

    Attributes:
        name: The title of the rules.
        columns: Names for columns that data may lack: the first of the listed columns that there is, else unknown.
        fields: New columns, each an expression over one pair that may use the earlier ones.
        pairs: Conditions on two pairs.
        images: How images may be shown.
        captions: How captions are joined, and patterns that joint captions must not contain.
        never: Pairs that always stay plain.
        examples: Tests of all of this.
        source: The file's name for messages, None where the rules come from elsewhere.
        lines: The line of each part of the file, such as ``"pairs.0.require"`` or ``"fields.side"``.
    """

    name: Annotated[Text, NEVER] = "rules"
    columns: Annotated[dict[Name, Columns], Neutral({})] = {}
    fields: Annotated[dict[Name, Text], Neutral({})] = {}
    pairs: Annotated[tuple[PairRule, ...], Neutral(())] = ()
    images: Annotated[tuple[ImageRule, ...], Neutral(())] = ()
    captions: Annotated[
        tuple[CaptionRule, ...], BeforeValidator(_as_list), AfterValidator(_few_wordings), Neutral(())
    ] = ()
    never: Annotated[tuple[NeverRule, ...], Neutral(())] = ()
    examples: Annotated[tuple[Example, ...], NEVER] = ()
    source: Annotated[str | None, NEVER] = Field(default=None, exclude=True, repr=False)
    lines: Annotated[dict[str, int], NEVER] = Field(default={}, exclude=True, repr=False)

    @model_validator(mode="after")
    def _distinct_names(self) -> "Rules":
        spellings: dict[str, str] = {}
        for name in (*self.columns, *self.fields):
            if (first := spellings.setdefault(name.lower(), name)) is not name:
                raise ValueError(f"columns and fields: {first!r} and {name!r} are the same name (case does not count)")
        return self

    def place(self, section: Section, which: int | str, key: str | None = None) -> str:
        """The place of an entry, as the start of a message.

        Args:
            section: The top-level key.
            which: The entry's number from 0, or the name of a column or field.
            key: A key of that entry.

        Returns:
            Such as ``"chest.yaml, line 7"``, or ``"rules 'chest x-ray', pairs 3"`` if they come from no file.
        """
        entry = f"{section}.{which}"
        line = self.lines.get(f"{entry}.{key}", self.lines.get(entry))
        if self.source is not None and line is not None:
            return f"{self.source}, line {line}"
        return f"rules {self.name!r}, {section} {which + 1 if isinstance(which, int) else which}"

    def data_columns(self, names: Iterable[str]) -> dict[str, str | None]:
        """For each name under ``columns`` the column of the data, None if there is none.

        Names are compared without case, spaces, ``_``, ``-``, ``.`` and width of letters, as for tables.

        Args:
            names: The data's columns.
        """
        plain = {_plain(column): column for column in reversed(list(names))}
        return {
            name: next((plain[_plain(candidate)] for candidate in candidates if _plain(candidate) in plain), None)
            for name, candidates in self.columns.items()
        }


def _plain(name: str) -> str:
    return re.sub(r"[\s_\-.]", "", unicodedata.normalize("NFKC", name).casefold())


def keys_of(model: type[BaseModel]) -> tuple[str, ...]:
    """The keys that a file may give for one of the models here."""
    return tuple(name for name, field in model.model_fields.items() if not field.exclude)

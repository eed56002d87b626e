"""The schema of a rules file: pydantic models, which check its keys without any data."""

import re
import unicodedata
from collections.abc import Iterable
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from clipc.compose.layouts.tiles import Axis, axis_of
from clipc.compose.rules.grammar import RESERVED
from clipc.identity import ALWAYS, NEVER, Neutral

BUILT_IN_COLUMNS: Final = ("caption", "captions", "key")
"""The columns that every pair has; a rules file cannot redefine them."""

Value = str | int | float | bool
"""A value in an inline pair."""
Section = Literal["columns", "fields", "pairs", "images", "captions", "never", "examples"]

MAX_WORDINGS: Final = 255
"""The largest number of wordings in rules: a plan stores the wording in one byte, and 0 is the policy's."""

_CAPITALS_ALLOWED: Final = re.compile(r"\\[pP]\{\w+\}|\(\?P?<\w+>|\\x\{?\w+\}?|\\.|\[[^\]]*\]")
"""The parts of a regular expression in which capital letters may stand."""


def _check_not_empty(text: str) -> str:
    if not text.strip():
        raise ValueError("is empty")
    return text


def _check_column_name(name: str) -> str:
    plain = unicodedata.normalize("NFC", name)
    if not plain.isidentifier():
        raise ValueError("cannot name a column: use letters (of any script), digits and _ only")
    if plain.lower() in ("a", "b") or plain.startswith("__"):
        raise ValueError("cannot name a column: a and b are the two pairs, and names that start with __ are reserved")
    if plain.lower() in RESERVED:
        raise ValueError(f"cannot name a column: it is a reserved word of the expressions; try {name}_1")
    if plain.lower() in BUILT_IN_COLUMNS:
        raise ValueError("cannot name a column: every pair has a column of that name already")
    return plain


def _as_list(value: object) -> object:
    return [value] if isinstance(value, (str, dict, BaseModel)) else value


def _check_pattern(text: str) -> str:
    if "(?i" not in text and re.search("[A-Z]", _CAPITALS_ALLOWED.sub("", text)):
        raise ValueError(
            "holds capital letters, but it is searched in the caption in lower case; write lower-case letters"
        )
    return text


def _check_template(text: str) -> str:
    if sorted(re.findall(r"\{[^{}]*\}|[{}]", text)) != ["{a}", "{b}"]:
        raise ValueError("must hold {a} and {b}, each once, and no other braces, such as '{a} beside {b}'")
    return text


def _known_values(values: dict[str, Value | None]) -> dict[str, Value]:
    """The values of an inline pair, without empty values, which are unknown."""
    return {name: value for name, value in values.items() if value is not None and value != ""}


def _check_wording_count(rules: "tuple[CaptionRule, ...]") -> "tuple[CaptionRule, ...]":
    wordings = sum(rule.forbid is None for rule in rules)
    if wordings > MAX_WORDINGS:
        raise ValueError(f"has {wordings} entries with a joiner or template, but at most {MAX_WORDINGS} are possible")
    return rules


NonEmptyText = Annotated[str, AfterValidator(_check_not_empty)]
ColumnName = Annotated[str, AfterValidator(_check_column_name)]
ColumnNames = Annotated[tuple[NonEmptyText, ...], BeforeValidator(_as_list), Field(min_length=1)]
InlinePair = Annotated[dict[NonEmptyText, Value | None], AfterValidator(_known_values)]


class _Part(BaseModel):
    """A part of a rules file. Parts with the same content are equal, from whatever file they come."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and isinstance(other, _Part) and self.model_dump() == other.model_dump()

    def __hash__(self) -> int:
        return hash(self.model_dump_json())


class Entry(_Part):
    """One entry of a rules file. Entries with the same content are equal, whatever their line.

    Attributes:
        why: The expert's reason, shown wherever the entry had an effect.
        line: The line of the file in which the entry begins, from 1; None without a file. Not part of dumps.
    """

    why: Annotated[NonEmptyText | None, NEVER] = None
    line: Annotated[int | None, NEVER] = Field(default=None, exclude=True, repr=False)


class PairRule(Entry):
    """A condition on two pairs a and b. A composite is forbidden if it breaks the condition in either order.

    Exactly one of ``require`` and ``forbid`` is given.

    Attributes:
        require: An expression that must be true.
        forbid: An expression that must not be true.
        unknown: Whether a composite is refused or allowed if the expression is NULL, because a value is unknown. The
            default is to refuse for ``require`` and to allow for ``forbid``.
    """

    require: Annotated[NonEmptyText | None, Neutral(None)] = None
    forbid: Annotated[NonEmptyText | None, Neutral(None)] = None
    unknown: Annotated[Literal["refuse", "allow"] | None, Neutral(None)] = None

    @model_validator(mode="after")
    def _one_condition(self) -> "PairRule":
        if (self.require is None) == (self.forbid is None):
            raise ValueError("give either require or forbid, and only one of them")
        return self

    @property
    def expression(self) -> str:
        """The condition: the value of ``require`` or ``forbid``."""
        return self.require or self.forbid or ""

    @property
    def refuses_unknown(self) -> bool:
        """Whether a composite is refused if the condition is NULL; by default only for ``require``."""
        return self.unknown == "refuse" if self.unknown else self.require is not None


class ImageRule(Entry):
    """How the image of a pair may be shown. If several entries apply, the first one that gives a key wins for that key.

    Attributes:
        when: An expression over one pair: the pairs to which the entry applies. Without it, all pairs.
        axis: The axis of the pair's composites: ``left-right`` (a vertical cut) or ``top-bottom`` (a horizontal cut).
            Files may give the direction of the cut instead: ``vertical`` or ``horizontal``.
        whole: Whether the image is never cut, but shown whole in its half.
        region: The column with the box that must stay visible.
        mirror: Whether mirrored or turned views of the image may be shown.
    """

    when: Annotated[NonEmptyText | None, Neutral(None)] = None
    axis: Annotated[Axis | None, BeforeValidator(axis_of), Neutral(None)] = None
    whole: Annotated[bool | None, Neutral(None)] = None
    region: Annotated[NonEmptyText | None, Neutral(None)] = None
    mirror: Annotated[bool | None, Neutral(None)] = None

    @model_validator(mode="after")
    def _not_empty(self) -> "ImageRule":
        if self.axis is None and self.whole is None and self.region is None and self.mirror is None:
            raise ValueError("give at least one of axis, whole, region and mirror")
        return self


class CaptionRule(Entry):
    """How two captions are joined, or a pattern that the joint caption must not contain.

    Exactly one of ``joiner``, ``template`` and ``forbid`` is given.

    Attributes:
        when: An expression over a and b: the composites to which the entry applies. Without it, all composites. Not
            allowed with ``forbid``.
        joiner: The text between the two captions.
        template: The joint caption, with ``{a}`` and ``{b}`` in the captions' places. The first entry that applies and
            has a joiner or a template decides how captions are joined.
        forbid: A regular expression (RE2) that must not match anywhere in the joint caption in lower case.
    """

    when: Annotated[NonEmptyText | None, Neutral(None)] = None
    joiner: Annotated[Annotated[str, Field(min_length=1)] | None, Neutral(None)] = None
    template: Annotated[Annotated[NonEmptyText, AfterValidator(_check_template)] | None, Neutral(None)] = None
    forbid: Annotated[Annotated[NonEmptyText, AfterValidator(_check_pattern)] | None, Neutral(None)] = None

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
        when: An expression over one pair. A pair for which it is true stays plain and is never a partner.
    """

    when: Annotated[NonEmptyText, ALWAYS]


class Example(Entry):
    """The expert's own test: two pairs, and whether they may be composed.

    Attributes:
        a: The key of a pair in the data, or an inline pair: values by column, where all other columns are unknown.
        b: The second pair, given in the same way.
        allowed: The expected decision.
    """

    a: NonEmptyText | InlinePair
    b: NonEmptyText | InlinePair
    allowed: bool


class Rules(_Part):
    """An expert's rules on what may be composed, as in the file, independent of any data.

    Rules with the same content are equal; ``source`` and lines count neither for dumps nor for equality.

    Attributes:
        name: The title of the rules.
        columns: New names for columns. A name stands for the first listed column that the data has, else for unknown.
        fields: New columns, each an expression over one pair that may use earlier fields.
        pairs: Conditions on two pairs.
        images: How images may be shown.
        captions: How captions are joined, and patterns that joint captions must not contain.
        never: Pairs that always stay plain.
        examples: The expert's tests of the rules.
        source: The file's name, for messages; None without a file.
        lines: The line of each part of the file, such as ``"pairs.0.require"`` or ``"fields.side"``.
    """

    name: Annotated[NonEmptyText, NEVER] = "rules"
    columns: Annotated[dict[ColumnName, ColumnNames], Neutral({})] = {}
    fields: Annotated[dict[ColumnName, NonEmptyText], Neutral({})] = {}
    pairs: Annotated[tuple[PairRule, ...], Neutral(())] = ()
    images: Annotated[tuple[ImageRule, ...], Neutral(())] = ()
    captions: Annotated[
        tuple[CaptionRule, ...], BeforeValidator(_as_list), AfterValidator(_check_wording_count), Neutral(())
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
            A text such as ``"chest.yaml, line 7"``, or ``"rules 'chest x-ray', pairs 3"`` without a file.
        """
        entry = f"{section}.{which}"
        line = self.lines.get(f"{entry}.{key}", self.lines.get(entry))
        if self.source is not None and line is not None:
            return f"{self.source}, line {line}"
        return f"rules {self.name!r}, {section} {which + 1 if isinstance(which, int) else which}"

    def data_columns(self, names: Iterable[str]) -> dict[str, str | None]:
        """The column of the data for each name under ``columns``; None if the data has none of the listed columns.

        Names of columns are compared without case, spaces, ``_``, ``-``, ``.`` and width of letters.

        Args:
            names: The names of the data's columns.
        """
        plain = {_normalise_name(column): column for column in reversed(list(names))}
        return {
            name: next(
                (plain[_normalise_name(candidate)] for candidate in candidates if _normalise_name(candidate) in plain),
                None,
            )
            for name, candidates in self.columns.items()
        }


def _normalise_name(name: str) -> str:
    return re.sub(r"[\s_\-.]", "", unicodedata.normalize("NFKC", name).casefold())


def keys_of(model: type[BaseModel]) -> tuple[str, ...]:
    """The keys that a file may give for one of the models here."""
    return tuple(name for name, field in model.model_fields.items() if not field.exclude)

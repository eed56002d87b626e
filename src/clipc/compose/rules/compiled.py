"""Compiled rules: an expert's rules with their conditions evaluated for, or bound to, the entries of a catalog."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa

from clipc.compose.arrays import Bools, Bytes, Float32s, Int32s, Int64s
from clipc.compose.captions.joint import Wording
from clipc.compose.entries import Candidates
from clipc.compose.layouts.tiles import PLAIN
from clipc.compose.rules.conditions import TRUE, Condition, ConstraintTest
from clipc.compose.rules.joint import first_applying


@dataclass(frozen=True, eq=False)
class BoundRule:
    """A rule that is bound to the entries of a catalog.

    Attributes:
        text: The rule as the expert wrote it, such as ``require: a.view = b.view``.
        why: The expert's reason, or empty text.
        line: The rule's line in its file; None if it comes from elsewhere.
        empty_columns: The columns without a value in any row that the rule uses.
    """

    text: str
    why: str
    line: int | None
    empty_columns: tuple[str, ...]

    def description(self) -> dict[str, Any]:
        """Text, reason and line, for reports."""
        return {"text": self.text, "why": self.why, "line": self.line}

    def may_have_effect(self) -> bool:
        """Whether the rule may change a composite; False only if it is certain that it changes none."""
        raise NotImplementedError

    def no_effect(self) -> dict[str, Any] | None:
        """Why the rule can have no effect; None if it may have one.

        Returns:
            The ``code``: ``empty-columns``, with the names of the ``columns`` that have no value in any row, or
            ``no-match``, if the data have the values but none to which the rule applies.
        """
        if self.may_have_effect():
            return None
        columns = list(self.empty_columns)
        return {"code": "empty-columns", "columns": columns} if columns else {"code": "no-match"}


@dataclass(frozen=True, eq=False)
class PairConstraint(BoundRule):
    """A rule that can forbid a composite.

    Attributes:
        test: The test of composites.
    """

    test: ConstraintTest

    def may_have_effect(self) -> bool:
        """See :class:`BoundRule`."""
        return self.test.may_break()


@dataclass(frozen=True, eq=False)
class Exclusion(BoundRule):
    """A rule that excludes pairs from composition.

    Attributes:
        entries: Whether the rule applies to each entry, ``bool``, shape (entries,).
    """

    entries: Bools

    def may_have_effect(self) -> bool:
        """See :class:`BoundRule`."""
        return bool(self.entries.any())


@dataclass(frozen=True, eq=False)
class ImageConstraint(BoundRule):
    """A rule on how images are shown.

    Attributes:
        key: ``axis``, ``whole``, ``mirror`` or ``region``.
        entries: Whether the rule applies to each entry, ``bool``, shape (entries,). A region applies where there is a
            box.
    """

    key: str
    entries: Bools

    def may_have_effect(self) -> bool:
        """See :class:`BoundRule`."""
        return bool(self.entries.any())


@dataclass(frozen=True, eq=False)
class WordingRule(BoundRule):
    """A rule on how two captions are joined.

    Attributes:
        wording: How the captions are joined.
        when: The condition on which the rule applies; None if it always applies.
    """

    wording: Wording
    when: Condition | None

    def may_have_effect(self) -> bool:
        """See :class:`BoundRule`."""
        return self.when is None or TRUE in self.when.possible()


@dataclass(frozen=True, eq=False)
class CompiledRules:
    """The rules for the entries (captions of pairs) of a catalog.

    Attributes:
        constraints: The rules that can forbid a composite, in the order of the file.
        groups: The group of each entry, ``int32``, shape (entries,); -1 where it is unknown. Allowed partners are in
            the same group. None if no rule makes groups.
        exclusions: The rules that exclude entries from composition.
        image_constraints: The rules on how images are shown.
        axis: The code of the axis that an entry's composites must have, 0 for any; ``uint8``, shape (entries,).
        whole: Whether an entry's image is never cut, ``bool``, shape (entries,).
        mirror: Whether an entry's image may be mirrored, ``bool``, shape (entries,).
        regions: The box of an entry's image that must stay visible, x0, y0, x1, y1 as fractions of the image's sides,
            NaN for none; ``float32``, shape (entries, 4). None if no rule names a column of boxes.
        shared: The columns that define the groups, by name, with one value for each entry.
        wording_rules: The rules on how captions are joined; the first that applies is used.
        fields: The columns that the rules define, by name, with one value for each entry.
    """

    constraints: tuple[PairConstraint, ...]
    groups: Int32s | None
    exclusions: tuple[Exclusion, ...]
    image_constraints: tuple[ImageConstraint, ...]
    axis: Bytes
    whole: Bools
    mirror: Bools
    regions: Float32s | None
    shared: Mapping[str, pa.ChunkedArray]
    wording_rules: tuple[WordingRule, ...]
    fields: Mapping[str, pa.ChunkedArray]

    @property
    def wordings(self) -> tuple[Wording, ...]:
        """The wordings of the wording rules."""
        return tuple(rule.wording for rule in self.wording_rules)

    def without_effect(self) -> list[dict[str, Any]]:
        """The rules that can have no effect, each with its description and its reason as ``no_effect``."""
        rules: tuple[BoundRule, ...]
        rules = (*self.constraints, *self.exclusions, *self.image_constraints, *self.wording_rules)
        return [{**rule.description(), "no_effect": reason} for rule in rules if (reason := rule.no_effect())]

    @cached_property
    def never(self) -> Bools:
        """Whether a rule excludes each entry from composition, ``bool``, shape (entries,)."""
        return np.logical_or.reduce([np.zeros_like(self.whole), *(rule.entries for rule in self.exclusions)])

    def choose_layout(self, first: Int64s, second: Int64s, drawn: Bytes) -> tuple[Bytes, Bools]:
        """The layout codes of composites, and whether the rules let both images have the same axis; shape (m,) each.

        Args:
            first: The first entries, shape (m,).
            second: The second entries, shape (m,).
            drawn: The layout codes to use where no rule sets an axis, shape (m,).
        """
        one, other = self.axis[first], self.axis[second]
        axis = np.maximum(one, other)
        return np.where(axis == PLAIN, drawn, axis), (one == other) | (one == PLAIN) | (other == PLAIN)

    def allowed(self, candidates: Candidates) -> Bools:
        """Whether each composite breaks no rule and uses no excluded entry, ``bool``, shape (m,)."""
        good = ~(self.never[candidates.first] | self.never[candidates.second])
        for constraint in self.constraints:
            rest = np.flatnonzero(good)
            good[rest] = ~constraint.test.broken(candidates.take(rest))
        return good

    def wording(self, candidates: Candidates) -> Bytes:
        """The wording of each composite, ``uint8``, shape (m,): 0 for the policy's, i for ``wording_rules[i - 1]``."""
        return first_applying(tuple(rule.when for rule in self.wording_rules), candidates)

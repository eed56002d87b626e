"""Compiled rules: an expert's rules, bound to the entries of a catalog."""

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
from clipc.compose.rules.conditions import Condition, Test
from clipc.compose.rules.joint import first_applying


@dataclass(frozen=True, eq=False)
class BoundRule:
    """A rule, bound to entries.

    Attributes:
        text: The rule as the expert wrote it, such as ``require: a.view = b.view``.
        why: The expert's reason, or empty text.
        line: Its line in the rules file, None if it comes from elsewhere.
    """

    text: str
    why: str
    line: int | None

    def description(self) -> dict[str, Any]:
        """The three attributes, for reports."""
        return {"text": self.text, "why": self.why, "line": self.line}


@dataclass(frozen=True, eq=False)
class PairConstraint(BoundRule):
    """A rule that can forbid a composite.

    Attributes:
        test: Its condition.
    """

    test: Test


@dataclass(frozen=True, eq=False)
class Exclusion(BoundRule):
    """A rule that excludes pairs from composition.

    Attributes:
        entries: Which entries it holds for, ``bool``, shape (entries,).
    """

    entries: Bools


@dataclass(frozen=True, eq=False)
class ImageConstraint(BoundRule):
    """A rule on how images are shown, and the entries for which it takes effect.

    Attributes:
        key: ``axis``, ``whole``, ``mirror`` or ``region``.
        entries: Which entries it holds for, ``bool``, shape (entries,).
    """

    key: str
    entries: Bools


@dataclass(frozen=True, eq=False)
class WordingRule(BoundRule):
    """A rule on how two captions are joined.

    Attributes:
        wording: How the captions are joined.
        when: When it applies; None for always.
    """

    wording: Wording
    when: Condition | None


@dataclass(frozen=True, eq=False)
class CompiledRules:
    """The rules for the entries (captions of pairs) of a catalog.

    Attributes:
        constraints: The rules that can forbid a composite, in the order of the file.
        groups: The group of each entry: allowed partners share it. -1 where it is unknown, None where no rule
            makes groups; ``int32``, shape (entries,).
        exclusions: The rules that exclude entries from composition.
        image_constraints: The rules on how images are shown.
        axis: The layout code of the axis that an entry's image must be cut along, 0 for any; ``uint8``.
        whole: Int64s whose images are never cut, ``bool``.
        mirror: Int64s whose images may be mirrored, ``bool``.
        regions: The box of an entry's image to keep visible, as fractions of its sides, NaN for none;
            ``float32``, shape (entries, 4); None where no rule names a column.
        shared: The columns that define the groups, one value an entry.
        wording_rules: The rules on how captions are joined; the first that applies is used.
        fields: The columns that the rules define, one value an entry.
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

    @cached_property
    def never(self) -> Bools:
        """Entries that always stay plain, ``bool``, shape (entries,)."""
        return np.logical_or.reduce([np.zeros_like(self.whole), *(never.entries for never in self.exclusions)])

    def cut(self, first: Int64s, second: Int64s, drawn: Bytes) -> tuple[Bytes, Bools]:
        """The layout codes of composites, and whether both images may be cut along one axis; shape (m,).

        Args:
            first: The first entries.
            second: The second entries.
            drawn: The layout codes to use where no rule sets an axis.
        """
        one, other = self.axis[first], self.axis[second]
        axis = np.maximum(one, other)
        return np.where(axis == PLAIN, drawn, axis), (one == other) | (one == PLAIN) | (other == PLAIN)

    def allowed(self, candidates: Candidates) -> Bools:
        """Which composites break no rule and use no excluded entry, shape (m,)."""
        good = ~(self.never[candidates.first] | self.never[candidates.second])
        for constraint in self.constraints:
            left = np.flatnonzero(good)
            good[left] = ~constraint.test.broken(candidates.take(left))
        return good

    def wording(self, candidates: Candidates) -> Bytes:
        """The number of each composite's wording, shape (m,): 0 for the policy's, i for ``wording_rules[i - 1]``."""
        return first_applying(tuple(rule.when for rule in self.wording_rules), candidates)

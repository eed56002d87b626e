"""Compiled rules: an expert's rules, bound to the pairs that they hold for."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from clipc.compose.captions.joint import Wording
from clipc.compose.entries import Proposed
from clipc.compose.layouts.tiles import PLAIN, Codes
from clipc.compose.rules.conditions import Condition, Entries
from clipc.compose.rules.joint import applying

Flags = npt.NDArray[np.bool_]


class Test(Protocol):
    """What a rule looks at."""

    def broken(self, proposed: Proposed) -> Flags:
        """Which composites break the rule, shape (m,)."""
        ...


@dataclass(frozen=True, eq=False)
class EitherOrder:
    """A condition on two pairs that must hold, or must not, whichever of them comes first.

    Attributes:
        condition: What is asked of a and b.
        bad: The truths that break the rule.
    """

    condition: Condition
    bad: tuple[int, ...]

    def broken(self, proposed: Proposed) -> Flags:
        """See :class:`Test`."""
        broken = np.isin(self.condition.truth(proposed.first, proposed.second), self.bad)
        rest = np.flatnonzero(~broken)
        broken[rest] = np.isin(self.condition.truth(proposed.second[rest], proposed.first[rest]), self.bad)
        return broken


@dataclass(frozen=True, eq=False)
class PairConstraint:
    """A rule that can make a composite unlawful.

    Attributes:
        text: The rule as the expert wrote it, such as ``require: a.view = b.view``.
        why: The expert's reason, or empty text.
        line: Where it stands in the rules file, None where it comes from elsewhere.
        test: What it looks at.
    """

    text: str
    why: str
    line: int | None
    test: Test


@dataclass(frozen=True, eq=False)
class Exclusion:
    """A rule that keeps pairs plain.

    Attributes:
        text: The rule as the expert wrote it.
        why: The expert's reason, or empty text.
        line: Where it stands in the rules file, None where it comes from elsewhere.
        entries: Which entries it holds for, ``bool``, shape (entries,).
    """

    text: str
    why: str
    line: int | None
    entries: Flags


@dataclass(frozen=True, eq=False)
class ImageConstraint:
    """A rule on how images are shown, where it is the one that counts.

    Attributes:
        key: ``axis``, ``whole``, ``mirror`` or ``region``.
        text: The rule as the expert wrote it, such as ``axis: top-bottom (when modality = 'ct')``.
        why: The expert's reason, or empty text.
        line: Where it stands in the rules file, None where it comes from elsewhere.
        entries: Which entries it holds for, ``bool``, shape (entries,).
    """

    key: str
    text: str
    why: str
    line: int | None
    entries: Flags


@dataclass(frozen=True, eq=False)
class WordingRule:
    """A rule on how two captions are joined.

    Attributes:
        text: The rule as the expert wrote it, such as ``joiner: ; ``.
        why: The expert's reason, or empty text.
        line: Where it stands in the rules file, None where it comes from elsewhere.
        wording: How the captions are joined.
        when: When it applies; None for always.
    """

    text: str
    why: str
    line: int | None
    wording: Wording
    when: Condition | None


@dataclass(frozen=True, eq=False)
class CompiledRules:
    """What holds for the entries (captions of pairs) of a catalog.

    Attributes:
        constraints: The rules that can make a composite unlawful, in the order of the file.
        groups: The group of each entry: allowed partners share it. -1 where it is unknown, None where no rule
            makes groups; ``int32``, shape (entries,).
        nevers: The rules that keep entries plain.
        shaped: The rules on how images are shown.
        axis: The layout code of the axis that an entry's image must be cut along, 0 for any; ``uint8``.
        whole: Entries whose images are never cut, ``bool``.
        mirror: Entries whose images may be mirrored, ``bool``.
        regions: What of an entry's image is to be kept, as fractions of its sides, NaN where nothing is marked;
            ``float32``, shape (entries, 4); None where no rule names a column.
        shared: The columns that make the groups, one value an entry.
        sayings: The rules on how captions are joined; of several that apply the first counts.
        fields: The columns that the rules made, one value an entry.
    """

    constraints: tuple[PairConstraint, ...]
    groups: npt.NDArray[np.int32] | None
    exclusions: tuple[Exclusion, ...]
    shaped: tuple[ImageConstraint, ...]
    axis: npt.NDArray[np.uint8]
    whole: Flags
    mirror: Flags
    regions: npt.NDArray[np.float32] | None
    shared: Mapping[str, pa.ChunkedArray]
    wording_rules: tuple[WordingRule, ...]
    fields: Mapping[str, pa.ChunkedArray]

    @property
    def wordings(self) -> tuple[Wording, ...]:
        """How joint captions are made where a rule says so."""
        return tuple(saying.wording for saying in self.wording_rules)

    @cached_property
    def never(self) -> Flags:
        """Entries that always stay plain, ``bool``, shape (entries,)."""
        return np.logical_or.reduce([np.zeros_like(self.whole), *(never.entries for never in self.exclusions)])

    def cut(self, first: Entries, second: Entries, drawn: Codes) -> tuple[Codes, Flags]:
        """Along which axes composites are cut, and whether both of their images can be; shape (m,).

        Args:
            first: Entries that come first.
            second: Entries that come second.
            drawn: The layout codes that stand where no rule asks for an axis.
        """
        one, other = self.axis[first], self.axis[second]
        asked = np.maximum(one, other)
        return np.where(asked == PLAIN, drawn, asked), (one == other) | (one == PLAIN) | (other == PLAIN)

    def allowed(self, proposed: Proposed) -> Flags:
        """Which composites break no rule and show no pair that stays plain, shape (m,)."""
        good = ~(self.never[proposed.first] | self.never[proposed.second])
        for ban in self.constraints:
            left = np.flatnonzero(good)
            good[left] = ~ban.test.broken(proposed.take(left))
        return good

    def wording(self, proposed: Proposed) -> npt.NDArray[np.uint8]:
        """How each composite's captions are joined, shape (m,): 0 by the policy, i by ``wording_rules[i - 1]``."""
        return applying(tuple(saying.when for saying in self.wording_rules), proposed)

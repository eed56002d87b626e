"""Rules that the rejection of one composite suggests."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from clipc.compose.rules.schema import NeverRule, PairRule
from clipc.review.columns import RuleColumn


class Condition(NamedTuple):
    """One condition of a mined rule, for a sentence.

    Attributes:
        code: What it says of two pairs: ``differ`` or ``equal`` in the column, ``either`` or ``neither`` has a value,
            ``both`` or ``not_both`` of two values, ``farther`` apart than a number or ``nearer``.
        column: The name of the column.
        values: The readable values, or the number.
    """

    code: str
    column: str
    values: tuple[str, ...] = ()


@dataclass(frozen=True)
class RuleProposal:
    """A rule that an expert may accept.

    Attributes:
        rule: The rule: on two pairs, or on pairs that always stay plain.
        code: What it says: ``values`` (never these two values together), ``same`` (never twice this value),
            ``differ`` (never two values of this column), ``equal`` (never two pairs of one value), ``never`` (never a
            pair with this value), or ``mined`` (what decisions have in common).
        column: The readable name of the column; empty for ``mined``.
        values: The readable values that it names.
        conditions: What must hold together, for ``mined``.
    """

    rule: PairRule | NeverRule
    code: str
    column: str = ""
    values: tuple[str, ...] = ()
    conditions: tuple[Condition, ...] = ()

    @property
    def text(self) -> str:
        """The rule without its reason, as ``key: expression``, by which it is identified."""
        if isinstance(self.rule, NeverRule):
            return f"when: {self.rule.when}"
        return f"forbid: {self.rule.forbid}" if self.rule.forbid else f"require: {self.rule.require}"


def proposals(columns: Sequence[RuleColumn], left: int, right: int) -> list[RuleProposal]:
    """The rules that would have kept two pairs apart, from the narrowest to the widest of each column.

    For the values x and y of a column: never x with y; never two different values (or, where they are equal, never
    twice the same); never a pair with x, and never one with y.

    Args:
        columns: The columns of the pairs, labels first.
        left: The row of the first pair.
        right: The row of the second pair.
    """
    return [proposal for column in columns for proposal in _of_column(column, left, right)]


def _of_column(column: RuleColumn, left: int, right: int) -> Iterator[RuleProposal]:
    one, other = int(column.codes[left]), int(column.codes[right])
    a, b, plain = column.side("a"), column.side("b"), column.side("")
    if column.has_kinds and one >= 0 and other >= 0:
        rule = PairRule(forbid=f"{a} = {column.literal(one)} and {b} = {column.literal(other)}")
        readable = (column.readable[one], column.readable[other])
        if one == other:
            yield RuleProposal(rule, "same", column.name, readable[:1])
        else:
            yield RuleProposal(rule, "values", column.name, readable)
    if one >= 0 and other >= 0 and column.numbers is None:
        if one != other and column.has_kinds:
            yield RuleProposal(PairRule(forbid=f"{a} <> {b}"), "differ", column.name)
        if one == other:
            yield RuleProposal(PairRule(forbid=f"{a} = {b}"), "equal", column.name)
    if column.has_kinds:
        for code in dict.fromkeys(code for code in (one, other) if code >= 0):
            rule = NeverRule(when=f"{plain} = {column.literal(code)}")
            yield RuleProposal(rule, "never", column.name, (column.readable[code],))

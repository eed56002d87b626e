"""Conditions on two entries, each in the form that is evaluated fastest.

The author of the rules writes a condition in SQL, but SQL for a million candidates is slow. So parts that depend on
one pair are computed once for each entry, equality becomes a comparison of integers, and a condition on few distinct
values becomes a table of all their combinations.
"""

from collections.abc import Set
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from clipc.compose.arrays import Bools, Int32s, Int64s
from clipc.compose.entries import Candidates
from clipc.compose.rules.expression import Expression, Side, comparison, equal_terms, hoist
from clipc.compose.rules.sandbox import Sandbox
from clipc.errors import UserError

FALSE, TRUE, UNKNOWN = 0, 1, -1

_MAX_COMBINATIONS: Final = 4_000_000
"""The largest truth table."""

Truth = npt.NDArray[np.int8]
"""An array of the values FALSE, TRUE and UNKNOWN, ``int8``."""


class Condition(Protocol):
    """A three-valued condition on two entries a and b."""

    def truth(self, a: Int64s, b: Int64s) -> Truth:
        """The truth of the condition for the entries ``a[i]`` and ``b[i]``; all arrays have shape (m,)."""
        ...

    def possible(self) -> frozenset[int]:
        """The truth values that the condition may have for two entries; those missing it never has."""
        ...


@dataclass(frozen=True, eq=False)
class Equal:
    """The condition that two entries have the same value or, if ``negated``, different values.

    Attributes:
        codes: The code of each entry's value, -1 if unknown, shape (entries,).
        negated: Whether the values must differ.
    """

    codes: Int32s
    negated: bool = False

    def truth(self, a: Int64s, b: Int64s) -> Truth:
        """See :class:`Condition`."""
        one, other = self.codes[a], self.codes[b]
        return np.where((one < 0) | (other < 0), UNKNOWN, (one == other) != self.negated).astype(np.int8)

    def possible(self) -> frozenset[int]:
        """See :class:`Condition`."""
        values, counts = np.unique(self.codes, return_counts=True)
        known = counts[values >= 0]
        equal = [int(not self.negated)] if (known > 1).any() else []
        different = [int(self.negated)] if len(known) > 1 else []
        return frozenset([*equal, *different, *([UNKNOWN] if (values < 0).any() else [])])


@dataclass(frozen=True, eq=False)
class TruthTable:
    """A condition on few distinct values, precomputed for all their combinations.

    Attributes:
        first: The code of each entry's values of the columns of ``a``, shape (entries,).
        second: The code of each entry's values of the columns of ``b``, shape (entries,).
        table: The truth for every two codes, ``int8``, shape (codes in ``first``, codes in ``second``).
    """

    first: Int32s
    second: Int32s
    table: Truth

    def truth(self, a: Int64s, b: Int64s) -> Truth:
        """See :class:`Condition`."""
        return self.table[self.first[a], self.second[b]]

    def possible(self) -> frozenset[int]:
        """See :class:`Condition`."""
        return frozenset(np.unique(self.table).tolist())


@dataclass(frozen=True, eq=False)
class Query:
    """A condition on many distinct values, evaluated by DuckDB for each pair of entries.

    Attributes:
        expression: The condition.
        columns: The columns of all queries, which include those of this one.
        sandbox: The sandbox that evaluates the expression.
    """

    expression: Expression
    columns: "QueryColumns"
    sandbox: Sandbox

    def truth(self, a: Int64s, b: Int64s) -> Truth:
        """See :class:`Condition`."""
        truth = self.sandbox.evaluate_pairs(self.columns.table, a, b, {"": self.expression})[""]
        return truth_of(truth, self.expression.text)

    def possible(self) -> frozenset[int]:
        """See :class:`Condition`."""
        return frozenset({FALSE, TRUE, UNKNOWN})


@dataclass(eq=False)
class QueryColumns:
    """The columns of all queries, as one table, which is sent to the sandbox once.

    Attributes:
        columns: The columns by name, with one value for each entry; equal names mean equal columns.
    """

    columns: dict[str, pa.ChunkedArray] = field(default_factory=dict[str, pa.ChunkedArray])

    @cached_property
    def table(self) -> pa.Table:
        """All columns as a table; read it only after the last column was added."""
        return pa.table(dict(self.columns))


@dataclass(frozen=True, eq=False)
class Conjunction:
    """Several conditions joined by AND: FALSE if any is FALSE, else UNKNOWN if any is UNKNOWN, else TRUE.

    Attributes:
        parts: The conditions.
    """

    parts: tuple[Condition, ...]

    def truth(self, a: Int64s, b: Int64s) -> Truth:
        """See :class:`Condition`."""
        whole = np.full(len(a), TRUE, dtype=np.int8)
        for part in self.parts:
            undecided = np.flatnonzero(whole != FALSE)
            truth = part.truth(a[undecided], b[undecided])
            whole[undecided] = np.where(truth == TRUE, whole[undecided], truth)
        return whole

    def possible(self) -> frozenset[int]:
        """See :class:`Condition`."""
        parts = [part.possible() for part in self.parts]
        some = {value for values in parts for value in values if value != TRUE}
        return frozenset(some | ({TRUE} if all(TRUE in values for values in parts) else set()))


class ConstraintTest(Protocol):
    """A test that finds the composites that break a rule."""

    def broken(self, candidates: Candidates) -> Bools:
        """Whether each composite breaks the rule, ``bool``, shape (m,)."""
        ...

    def may_break(self) -> bool:
        """Whether a composite may break the rule; False only if it is certain that none does."""
        ...


@dataclass(frozen=True, eq=False)
class EitherOrder:
    """The test of a rule on two pairs, which holds in both orders: a composite breaks it if either order does.

    Attributes:
        condition: The condition on a and b.
        breaking: The truth values that break the rule.
    """

    condition: Condition
    breaking: tuple[int, ...]

    def broken(self, candidates: Candidates) -> Bools:
        """See :class:`ConstraintTest`."""
        broken = np.isin(self.condition.truth(candidates.first, candidates.second), self.breaking)
        rest = np.flatnonzero(~broken)
        broken[rest] = np.isin(self.condition.truth(candidates.second[rest], candidates.first[rest]), self.breaking)
        return broken

    def may_break(self) -> bool:
        """See :class:`ConstraintTest`."""
        return not self.condition.possible().isdisjoint(self.breaking)


def condition(expression: Expression, table: pa.Table, sandbox: Sandbox, query_columns: QueryColumns) -> Condition:
    """The fastest form of a condition on a and b.

    Args:
        expression: The condition, over columns such as ``a.x`` and ``b.x``.
        table: All columns that the expression needs, with one row for each entry.
        sandbox: The sandbox that evaluates expressions.
        query_columns: Receives the columns, if the condition becomes a query.
    """
    residual, table = hoist_columns(expression, table, sandbox)
    terms, rest = equal_terms(residual)
    parts: list[Condition] = [Equal(value_codes(table[name])) for name in terms]
    if rest is not None:
        parts.append(_residual_condition(rest, table, sandbox, query_columns))
    return parts[0] if len(parts) == 1 else Conjunction(tuple(parts))


def _residual_condition(
    expression: Expression, table: pa.Table, sandbox: Sandbox, query_columns: QueryColumns
) -> Condition:
    if (column_and_operator := comparison(expression.root)) is not None:
        column, operator = column_and_operator
        return Equal(value_codes(table[column]), negated=operator == "<>")
    first, first_rows = combinations(table, column_names(expression, "a"))
    second, second_rows = combinations(table, column_names(expression, "b"))
    if len(first_rows) * len(second_rows) > _MAX_COMBINATIONS:
        query_columns.columns.update({name: table[name] for name in column_names(expression, "a", "b")})
        return Query(expression, query_columns, sandbox)
    a, b = np.repeat(first_rows, len(second_rows)), np.tile(second_rows, len(first_rows))
    truth = truth_of(sandbox.evaluate_pairs(table, a, b, {"": expression})[""], expression.text)
    return TruthTable(first, second, truth.reshape(len(first_rows), len(second_rows)))


def hoist_columns(expression: Expression, table: pa.Table, sandbox: Sandbox) -> tuple[Expression, pa.Table]:
    """Moves the parts of an expression that depend on one pair into new columns.

    Returns:
        The remaining expression, and a table of the columns that it needs, with one row for each entry.
    """
    residual, derived = hoist(expression)
    if derived:
        added = sandbox.evaluate(table, derived)
        for name in derived:
            table = table.append_column(name, added[name])
    return residual, table.select(sorted(column_names(residual, "a", "b")))


def column_names(expression: Expression, *sides: Side) -> set[str]:
    """The names of the columns that an expression uses of the given sides."""
    return {column.name for column in expression.columns if column.side in sides}


def combinations(table: pa.Table, columns: Set[str]) -> tuple[Int32s, Int64s]:
    """The code of each row's combination of values in some columns; unknown counts as a value.

    Returns:
        The codes, shape (rows,), and for each code the first row that has it.
    """
    codes = np.zeros(table.num_rows, dtype=np.int64)
    for name in sorted(columns):
        own = value_codes(table[name]).astype(np.int64)
        codes = np.unique(codes * (own.max(initial=0) + 2) + own + 1, return_inverse=True)[1]
    first_rows, inverse = np.unique(codes, return_index=True, return_inverse=True)[1:]
    return inverse.astype(np.int32), first_rows.astype(np.int64)


def value_codes(column: pa.ChunkedArray) -> Int32s:
    """The code of each row's value, from 0, ``int32``; -1 if the value is unknown."""
    encoded: Any = column.combine_chunks().dictionary_encode()
    return encoded.indices.fill_null(-1).to_numpy().astype(np.int32)


def empty_as_null(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """The column with empty texts replaced by null."""
    import pyarrow.compute

    kernels: Any = pyarrow.compute  # made at run time, which type checkers cannot see
    if not (pa.types.is_string(column.type) or pa.types.is_large_string(column.type)):
        return column
    return kernels.if_else(kernels.equal(kernels.utf8_trim_whitespace(column), ""), None, column)


def truth_of(column: pa.ChunkedArray, text: str) -> Truth:
    """The values of a boolean column as FALSE, TRUE and UNKNOWN.

    Args:
        column: The values of an expression.
        text: The text of the expression, for messages.

    Raises:
        UserError: The column holds anything else, such as text.
    """
    if not (pa.types.is_boolean(column.type) or pa.types.is_null(column.type) or column.null_count == len(column)):
        raise UserError(
            f"`{text}` is not a condition: it gives {column.type}, not true or false; compare it with something."
        )
    return column.combine_chunks().cast(pa.int8()).fill_null(UNKNOWN).to_numpy()

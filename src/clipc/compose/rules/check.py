"""The examples in a rules file: the expert's own tests of the rules."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from clipc.catalog.catalog import Catalog
from clipc.compose.captions.joint import Wording
from clipc.compose.entries import Entries, Proposed
from clipc.compose.layouts.tiles import LEFT_RIGHT
from clipc.compose.rules.columns import CatalogColumns
from clipc.compose.rules.compile import compile_rules
from clipc.compose.rules.compiled import CompiledRules
from clipc.compose.rules.schema import Example, Rules
from clipc.errors import UserError, unknown_name


@dataclass(frozen=True)
class Checked:
    """What the rules say of one example.

    Attributes:
        example: The example.
        allowed: Whether the rules allow it: whether any choice of the two pairs' captions may be composed.
        reasons: The rules that refuse it, as written, each with its reason where it has one.
    """

    example: Example
    allowed: bool
    reasons: tuple[str, ...]

    @property
    def right(self) -> bool:
        """Whether the rules say what the expert does."""
        return self.allowed == self.example.allowed


def check(rules: Rules, catalog: Catalog, wording: Wording) -> list[Checked]:
    """What rules say of their own examples.

    Args:
        rules: The rules, with examples.
        catalog: Where the examples' keys are looked up; its columns are the ones that rules may name.
        wording: How captions are joined where no rule says otherwise.

    Raises:
        UserError: An example names a key or a column that there is not, or a rule is wrong.
    """
    made = _Examples.of(rules, catalog)
    compiled_rules = compile_rules(rules, made, wording)
    return [_checked(example, *made.sides[number], compiled_rules) for number, example in enumerate(rules.examples)]


def _checked(example: Example, first: Sequence[int], second: Sequence[int], compiled_rules: CompiledRules) -> Checked:
    a, b = np.array(list(product(first, second)), dtype=np.int64).T
    layout, fits = compiled_rules.cut(a, b, np.full(len(a), LEFT_RIGHT, dtype=np.uint8))
    proposed = Proposed(a, b, layout, np.zeros(len(a), dtype=np.bool_))
    if (compiled_rules.allowed(proposed) & fits).any():
        return Checked(example, True, ())
    broken = [(never.text, never.why, never.entries[a] | never.entries[b]) for never in compiled_rules.exclusions]
    broken += [(ban.text, ban.why, ban.test.broken(proposed)) for ban in compiled_rules.constraints]
    broken.append(("images: axis", "the two images must be cut along different axes", ~fits))
    # Of several captions, those that come nearest to being allowed tell most.
    nearest = int(np.argmin(np.sum([hit for *_, hit in broken], axis=0)))
    reasons = (f"{text} ({why})" if why else text for text, why, hit in broken if hit[nearest])
    return Checked(example, False, tuple(reasons))


@dataclass(frozen=True, eq=False)
class _Examples:
    """The entries that the examples speak of, as :class:`~clipc.compose.rules.columns.Columns`.

    Attributes:
        catalog: The entries of the data.
        taken: For each entry its number in the data, or what an inline pair says of itself by column.
        sides: The entries of a and b of each example.
        types: The types of the columns.
    """

    catalog: CatalogColumns
    taken: list[int | Mapping[str, Any]]
    sides: list[tuple[list[int], list[int]]]
    types: dict[str, pa.DataType]

    @classmethod
    def of(cls, rules: Rules, catalog: Catalog) -> "_Examples":
        """The entries of all examples."""
        columns, entries = CatalogColumns(catalog), Entries.of(catalog)
        row_of = {key: row for row, key in enumerate(catalog.keys)}
        spelt = _spelling(rules, columns)
        types = {name: _type(columns, name) for name in columns.names}
        taken: list[int | Mapping[str, Any]] = []
        sides: list[tuple[list[int], list[int]]] = []
        for number, example in enumerate(rules.examples):
            pair: list[list[int]] = []
            for side, given in (("a", example.a), ("b", example.b)):
                where = rules.place("examples", number, side)
                begin = len(taken)
                if isinstance(given, str):
                    if given not in row_of:
                        raise UserError(f"{where}: {unknown_name('key', given, row_of)}")
                    first = int(entries.first[row_of[given]])
                    taken += range(first, first + int(entries.counts[row_of[given]]))
                else:
                    taken.append(_inline(given, spelt, types, where))
                pair.append(list(range(begin, len(taken))))
            sides.append((pair[0], pair[1]))
        return cls(columns, taken, sides, types)

    @property
    def names(self) -> Collection[str]:
        """The columns that there are."""
        return self.types

    def __len__(self) -> int:
        return len(self.taken)

    def column(self, name: str) -> pa.ChunkedArray:
        """One column."""
        rows = [entry for entry in self.taken if isinstance(entry, int)]
        known: list[Any] = []
        if name in self.catalog.names and rows:
            known = self.catalog.column(name).take(pa.array(rows)).to_pylist()
        values = iter(known or [None] * len(rows))
        found = [next(values) if isinstance(entry, int) else entry.get(name) for entry in self.taken]
        return pa.chunked_array([pa.array(found, self.types[name])])

    def boxes(self, name: str) -> npt.NDArray[np.float32]:
        """One column of boxes; of inline pairs only fractions are known."""
        boxes = np.full((len(self), 4), np.nan, dtype=np.float32)
        rows = [(i, entry) for i, entry in enumerate(self.taken) if isinstance(entry, int)]
        if name in self.catalog.catalog.table.column_names and rows:
            boxes[[i for i, _ in rows]] = self.catalog.boxes(name)[[entry for _, entry in rows]]
        return boxes


def _spelling(rules: Rules, columns: CatalogColumns) -> dict[str, str]:
    """The column that each name in an inline pair stands for."""
    found = rules.found_columns(columns.names)
    return {name: name for name in columns.names} | {name: found[name] or rules.columns[name][0] for name in found}


def _inline(
    given: Mapping[str, Any], spelt: Mapping[str, str], types: dict[str, pa.DataType], where: str
) -> Mapping[str, Any]:
    """What an inline pair says, by column and in the columns' types; new columns are added to ``types``."""
    values: dict[str, Any] = {}
    for name, value in given.items():
        if name not in spelt:
            raise UserError(f"{where}: {unknown_name('column', name, spelt)}")
        column = spelt[name]
        kind = types.setdefault(column, pa.string())
        try:
            values[column] = str(value) if pa.types.is_string(kind) else pa.scalar(value).cast(kind).as_py()
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError, ValueError):
            raise UserError(f"{where}: {name} is {value!r}, but the column {column!r} holds {kind} values.") from None
    if "captions" not in values and "caption" in values:
        values["captions"] = values["caption"]
    return values


def _type(columns: CatalogColumns, name: str) -> pa.DataType:
    return pa.string() if name in ("caption", "captions") else columns.catalog.table.schema.field(name).type

"""Checks rules against the examples in their file, which are the expert's own tests."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
import pyarrow as pa

from clipc.catalog.catalog import Catalog
from clipc.compose.arrays import Float32s
from clipc.compose.captions.joint import Wording
from clipc.compose.entries import Candidates, Entries
from clipc.compose.layouts.tiles import LEFT_RIGHT
from clipc.compose.rules.columns import CatalogColumns
from clipc.compose.rules.compile import compile_rules
from clipc.compose.rules.compiled import CompiledRules
from clipc.compose.rules.schema import Example, Rules
from clipc.compose.rules.words import is_searchable
from clipc.errors import UserError, unknown_name


@dataclass(frozen=True)
class ExampleResult:
    """The rules' decision on one example.

    Attributes:
        example: The example.
        allowed: Whether the rules allow the example, with any choice of the two pairs' captions.
        reasons: The text of each rule that refuses the example, with the expert's reason if there is one.
    """

    example: Example
    allowed: bool
    reasons: tuple[str, ...]

    @property
    def as_expected(self) -> bool:
        """Whether the decision is the one that the expert expects."""
        return self.allowed == self.example.allowed


def check(rules: Rules, catalog: Catalog, wording: Wording) -> list[ExampleResult]:
    """The rules' decisions on their own examples, in their order.

    Examples with Japanese text are left out where SudachiPy, which finds the words in it, is not installed.

    Args:
        rules: The rules, with examples.
        catalog: The pairs that the examples name by key, with the columns that rules may use.
        wording: How captions are joined unless a rule applies.

    Raises:
        UserError: An example names an unknown key or column, or a rule is invalid.
    """
    examples = _ExampleEntries.of(rules, catalog)
    compiled_rules = compile_rules(rules, examples, wording)
    checked = (example for example in rules.examples if _is_searchable(example))
    return [
        _check_example(example, *sides, compiled_rules) for example, sides in zip(checked, examples.sides, strict=True)
    ]


def _is_searchable(example: Example) -> bool:
    pairs = (pair for pair in (example.a, example.b) if not isinstance(pair, str))
    return all(is_searchable(str(value)) for pair in pairs for value in pair.values())


def _check_example(
    example: Example, first: Sequence[int], second: Sequence[int], compiled_rules: CompiledRules
) -> ExampleResult:
    a, b = np.array(list(product(first, second)), dtype=np.int64).T
    layout, fits = compiled_rules.choose_layout(a, b, np.full(len(a), LEFT_RIGHT, dtype=np.uint8))
    candidates = Candidates(a, b, layout, np.zeros(len(a), dtype=np.bool_))
    if (compiled_rules.allowed(candidates) & fits).any():
        return ExampleResult(example, True, ())
    broken = [(rule.text, rule.why, rule.entries[a] | rule.entries[b]) for rule in compiled_rules.exclusions]
    broken += [(rule.text, rule.why, rule.test.broken(candidates)) for rule in compiled_rules.constraints]
    broken.append(("images: axis", "the two images must be cut along different axes", ~fits))
    # The choice of captions that breaks the fewest rules gives the shortest explanation.
    best = int(np.argmin(np.sum([hit for *_, hit in broken], axis=0)))
    reasons = (f"{text} ({why})" if why else text for text, why, hit in broken if hit[best])
    return ExampleResult(example, False, tuple(reasons))


@dataclass(frozen=True, eq=False)
class _ExampleEntries:
    """The entries that the examples use, with the methods of :class:`~clipc.compose.rules.columns.Columns`.

    Attributes:
        catalog: The entries of the catalog.
        sources: For each entry its number in the catalog, or, for an inline pair, the values by column.
        sides: For each example that is checked the entries of a and the entries of b, as indices into ``sources``.
        types: The types of the columns, by name.
    """

    catalog: CatalogColumns
    sources: list[int | Mapping[str, Any]]
    sides: list[tuple[list[int], list[int]]]
    types: dict[str, pa.DataType]

    @classmethod
    def of(cls, rules: Rules, catalog: Catalog) -> "_ExampleEntries":
        """The entries of all examples that are checked."""
        columns, entries = CatalogColumns(catalog), Entries.of(catalog)
        row_of = {key: row for row, key in enumerate(catalog.keys)}
        # Inline pairs may use the names of columns and the names that the rules give to columns.
        data_columns = rules.data_columns(columns.names).items()
        column_for = {name: name for name in columns.names}
        column_for |= {name: column or rules.columns[name][0] for name, column in data_columns}
        texts, schema = {"caption": pa.string(), "captions": pa.string()}, catalog.table.schema
        types = texts | {name: schema.field(name).type for name in columns.names if name in schema.names} | texts
        sources: list[int | Mapping[str, Any]] = []
        sides: list[tuple[list[int], list[int]]] = []
        for number, example in enumerate(rules.examples):
            if not _is_searchable(example):
                continue
            pair: list[list[int]] = []
            for side, value in (("a", example.a), ("b", example.b)):
                where = rules.place("examples", number, side)
                begin = len(sources)
                if isinstance(value, str):
                    if value not in row_of:
                        raise UserError(f"{where}: {unknown_name('key', value, row_of)}")
                    first = int(entries.first[row_of[value]])
                    sources += range(first, first + int(entries.counts[row_of[value]]))
                else:
                    sources.append(_inline_values(value, column_for, types, where))
                pair.append(list(range(begin, len(sources))))
            sides.append((pair[0], pair[1]))
        return cls(columns, sources, sides, types)

    @property
    def names(self) -> Collection[str]:
        """See :class:`~clipc.compose.rules.columns.Columns`."""
        return self.types

    def __len__(self) -> int:
        return len(self.sources)

    def column(self, name: str) -> pa.ChunkedArray:
        """See :class:`~clipc.compose.rules.columns.Columns`."""
        catalog_entries = [source for source in self.sources if isinstance(source, int)]
        values: list[Any] = []
        if name in self.catalog.names and catalog_entries:
            values = self.catalog.column(name).take(pa.array(catalog_entries)).to_pylist()
        remaining = iter(values or [None] * len(catalog_entries))
        merged = [next(remaining) if isinstance(source, int) else source.get(name) for source in self.sources]
        return pa.chunked_array([pa.array(merged, self.types[name])])

    def boxes(self, name: str) -> Float32s:
        """See :class:`~clipc.compose.rules.columns.Columns`; an inline pair has no box (NaN)."""
        boxes = np.full((len(self), 4), np.nan, dtype=np.float32)
        rows = [(i, entry) for i, entry in enumerate(self.sources) if isinstance(entry, int)]
        if name in self.catalog.catalog.table.column_names and rows:
            boxes[[i for i, _ in rows]] = self.catalog.boxes(name)[[entry for _, entry in rows]]
        return boxes


def _inline_values(
    pair: Mapping[str, Any], column_for: Mapping[str, str], types: dict[str, pa.DataType], where: str
) -> Mapping[str, Any]:
    """The values of an inline pair by column, cast to the columns' types; adds new columns to ``types``."""
    values: dict[str, Any] = {}
    for name, value in pair.items():
        if name not in column_for:
            raise UserError(f"{where}: {unknown_name('column', name, column_for)}")
        column = column_for[name]
        kind = types.setdefault(column, pa.string())
        try:
            values[column] = str(value) if pa.types.is_string(kind) else pa.scalar(value).cast(kind).as_py()
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError, ValueError):
            raise UserError(f"{where}: {name} is {value!r}, but the column {column!r} holds {kind} values.") from None
    if "captions" not in values and "caption" in values:
        values["captions"] = values["caption"]
    return values

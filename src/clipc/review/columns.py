"""The columns of the pairs about which a rule can be proposed."""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pyarrow as pa

from clipc.catalog.catalog import Catalog
from clipc.compose.arrays import Float64s, Int32s
from clipc.compose.rules.columns import CatalogColumns
from clipc.compose.rules.conditions import empty_as_null, value_codes
from clipc.compose.rules.grammar import RESERVED
from clipc.compose.rules.reasons import quote_name
from clipc.compose.rules.schema import BUILT_IN_COLUMNS

MAX_VALUES: Final = 200
"""The most distinct values of a column of which single values are proposed."""

_MIN_NUMBERS: Final = 12
"""A column of so many distinct numbers is a measure, fewer are kinds."""


@dataclass(frozen=True, eq=False)
class RuleColumn:
    """One column of the pairs.

    Attributes:
        name: The column's name.
        codes: The code of each pair's value, -1 where it is unknown, ``int32``, shape (n,).
        values: The value of each code: texts, numbers or truth values.
        readable: The readable name of each value.
        numbers: The numbers of a measure, NaN where unknown, ``float64``, shape (n,); None for a column of kinds.
    """

    name: str
    codes: Int32s
    values: tuple[Any, ...]
    readable: tuple[str, ...]
    numbers: Float64s | None

    @property
    def has_kinds(self) -> bool:
        """Whether rules on single values make sense: they are few, and no measure."""
        return self.numbers is None and len(self.values) <= MAX_VALUES

    def side(self, side: str) -> str:
        """The column of pair ``a`` or ``b`` as rules write it."""
        quoted = f'"{self.name}"' if self.name.lower() in RESERVED else quote_name(self.name)
        return f"{side}.{quoted}" if side else quoted

    def literal(self, code: int) -> str:
        """A value as rules write it."""
        value = self.values[code]
        if isinstance(value, bool):
            return str(value).lower()
        return repr(value) if isinstance(value, int | float) else "'" + str(value).replace("'", "''") + "'"


def rule_columns(pairs: Catalog) -> list[RuleColumn]:
    """The columns that can tell composites apart: labels first, then metadata with at least two values.

    Columns whose values say the same as an earlier column's, such as the main label under two names, are left out.

    Args:
        pairs: The training pairs.
    """
    labels = [name for name in pairs.about.label_columns if name in pairs.table.column_names]
    names: list[str] = [
        name for name in CatalogColumns(pairs).names if name not in (*BUILT_IN_COLUMNS, "split", "width", "height")
    ]
    columns: list[RuleColumn] = []
    main: list[str] = ["label"] if "label" in names else []
    for name in dict.fromkeys([*labels, *main, *names]):
        if (column := _column(pairs, name)) is not None and not any(_equal(column, other) for other in columns):
            columns.append(column)
    return columns


def _column(pairs: Catalog, name: str) -> RuleColumn | None:
    values = empty_as_null(pairs.table[name])
    kind = values.type
    is_number = pa.types.is_integer(kind) or pa.types.is_floating(kind)
    if not (is_number or pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_boolean(kind)):
        return None
    codes = value_codes(values)
    distinct, first = np.unique(codes, return_index=True)
    first = first[distinct >= 0]
    if len(first) < 2:
        return None
    known: list[Any] = [values[int(row)].as_py() for row in first]
    numbers = None
    if is_number and len(known) > _MIN_NUMBERS:
        numbers = np.asarray(values.to_numpy(), dtype=np.float64)
        numbers = np.where(codes < 0, np.nan, numbers)
    class_names = pairs.about.class_names.get(name, {})
    readable = tuple(class_names.get(str(value), str(value)) for value in known)
    return RuleColumn(name, codes, tuple(known), readable, numbers)


def _equal(one: RuleColumn, other: RuleColumn) -> bool:
    """Whether the values of two columns tell the same pairs apart."""
    both = np.unique(np.stack([one.codes, other.codes]), axis=1)
    return len(both[0]) == len(np.unique(both[0])) == len(np.unique(both[1]))

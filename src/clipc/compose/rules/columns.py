"""The columns that rules may use, with one value for each entry."""

from collections.abc import Collection
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import pyarrow as pa
import pyarrow.compute

from clipc.catalog.catalog import Catalog
from clipc.compose.arrays import Float32s, Int64s
from clipc.compose.entries import Entries
from clipc.compose.layouts.boxes import read_boxes
from clipc.errors import unknown_name

_KERNELS: Any = pyarrow.compute  # made at run time, which type checkers cannot see
_NOT_FOR_RULES = {"file", "offset", "size", "content", "dhash"}


class Columns(Protocol):
    """Columns with one row for each entry, such as those of a catalog."""

    @property
    def names(self) -> Collection[str]:
        """The names of the columns."""
        ...

    def __len__(self) -> int:
        """The number of entries."""
        ...

    def column(self, name: str) -> pa.ChunkedArray:
        """The values of one column, one for each entry."""
        ...

    def boxes(self, name: str) -> Float32s:
        """One column of boxes, as :func:`~clipc.compose.layouts.boxes.read_boxes` returns them; shape (entries, 4)."""
        ...


@dataclass(frozen=True, eq=False)
class CatalogColumns:
    """The columns of a catalog's entries.

    ``caption`` is the entry's caption; ``captions`` is all captions of its pair, joined by line breaks. Every other
    column repeats the pair's value. The location and the hashes of an image are not available to rules.

    Attributes:
        catalog: The pairs.
    """

    catalog: Catalog

    @property
    def names(self) -> list[str]:
        """See :class:`Columns`."""
        table = self.catalog.table
        others = {*_NOT_FOR_RULES, "caption", "captions"}
        own = [f.name for f in table.schema if f.name not in others and not pa.types.is_nested(f.type)]
        return ["caption", "captions", *own]

    def __len__(self) -> int:
        return len(self._rows)

    @cached_property
    def _rows(self) -> Int64s:
        return Entries.of(self.catalog).rows()

    def column(self, name: str) -> pa.ChunkedArray:
        """See :class:`Columns`."""
        table = self.catalog.table
        if name == "caption":
            return _KERNELS.list_flatten(table["captions"])
        if name == "captions":
            return _KERNELS.binary_join(table["captions"], "\n").take(pa.array(self._rows))
        return table[name].take(pa.array(self._rows))

    def boxes(self, name: str) -> Float32s:
        """See :class:`Columns`."""
        return boxes_of(self.catalog, name)[self._rows]


def boxes_of(catalog: Catalog, name: str) -> Float32s:
    """A column of boxes, as :func:`~clipc.compose.layouts.boxes.read_boxes` returns them; shape (pairs, 4).

    Raises:
        UserError: The column does not exist, or holds no boxes.
    """
    columns = [name for name in catalog.table.column_names if name not in {*_NOT_FOR_RULES, "captions"}]
    if name not in columns:
        raise unknown_name("column", name, columns)
    return read_boxes(catalog.column(name), catalog.sizes, column=name, keys=catalog.keys)

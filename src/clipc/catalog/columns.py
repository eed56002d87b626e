"""Rows collected into an Arrow table, with the types of metadata columns inferred from their values."""

import json
from typing import Any

import numpy as np
import pyarrow as pa

from clipc.catalog.catalog import SCHEMA
from clipc.catalog.rows import Row, Value
from clipc.limits import COLUMNS

_CHUNK = 1 << 16
_CORE = ("key", "captions", "label", "split", "file", "offset", "size")
_RESERVED = {*SCHEMA.names, "dhash"}
_NUMBERS = pa.list_(pa.float32())
_TYPES = {"bool": pa.bool_(), "int": pa.int64(), "float": pa.float64(), "numbers": _NUMBERS, "string": pa.string()}
_KINDS = {"bool": bool, "int": int, "float": float, "numbers": np.ndarray}  # bool before int, of which it is a subclass
_METADATA = "more "
"""Stands before names of metadata in a chunk: keeps a source's own ``key`` or ``file`` apart from the catalog's."""


class Columns:
    """Collects rows one by one in chunks of Arrow arrays, so that millions fit in memory.

    Attributes:
        left_out: Whether there are more metadata columns than are kept (:data:`~clipc.limits.COLUMNS`).
    """

    def __init__(self) -> None:
        self._rows: list[Row] = []
        self._chunks: list[dict[str, pa.Array]] = []
        self._kinds: dict[str, set[str]] = {}
        self.left_out = False

    def add(self, row: Row) -> None:
        """Adds one row."""
        self._rows.append(row)
        if len(self._rows) == _CHUNK:
            self._flush()

    def table(self) -> pa.Table:
        """All rows so far: the core columns, then the metadata in the order of first occurrence.

        A metadata column is ``bool``, ``int64``, ``float64`` (also for integers and floats mixed), ``list<float32>``
        or, for all other mixtures, ``string``. Names that the catalog uses itself get the prefix ``source_``.
        """
        self._flush()
        columns: dict[str, Any] = {name: self._column(name, SCHEMA.field(name).type) for name in _CORE}
        for name, kinds in self._kinds.items():
            columns[_free_name(name, columns)] = self._column(_METADATA + name, _TYPES[_common_kind(kinds)])
        return pa.table(columns)

    def _column(self, name: str, arrow_type: Any) -> pa.ChunkedArray:
        """The column over all chunks; null in chunks that lack it."""
        parts: list[Any] = [
            _cast(chunk[name], arrow_type) if name in chunk else pa.nulls(len(chunk["key"]), arrow_type)
            for chunk in self._chunks
        ]
        return pa.chunked_array(parts, arrow_type)

    def _flush(self) -> None:
        if not self._rows:
            return
        chunk: dict[str, pa.Array] = {
            name: pa.array([getattr(row, name) for row in self._rows], SCHEMA.field(name).type) for name in _CORE
        }
        for name in dict.fromkeys(name for row in self._rows for name in row.more):
            if name not in self._kinds and len(self._kinds) >= COLUMNS:
                self.left_out = True
                continue
            values = [row.more.get(name) for row in self._rows]
            kinds = {kind for value in values if (kind := _kind(value))}
            self._kinds.setdefault(name, set()).update(kinds)
            if kinds:
                # Integers and floats mixed are stored as text, which can become exact floats or stay what it is.
                kind = kinds.pop() if len(kinds) == 1 else "string"
                chunk[_METADATA + name] = pa.array([_converted(value, kind) for value in values], _TYPES[kind])
        self._chunks.append(chunk)
        self._rows = []


def _cast(values: pa.Array, arrow_type: Any) -> pa.Array:
    """The values of a chunk in the type of the whole column, as if each had been converted to it at once."""
    if values.type == arrow_type:
        return values
    if pa.types.is_string(arrow_type):  # Arrow writes floats in another way than Python
        return pa.array([_converted(value, "string") for value in values.to_pylist()], arrow_type)
    return values.cast(arrow_type, safe=False)  # a safe cast refuses integers beyond 2**53 instead of rounding them


def _kind(value: Value) -> str | None:
    if isinstance(value, int) and not -(1 << 63) <= value < 1 << 63:
        return "string"
    fitting = (kind for kind, of in _KINDS.items() if isinstance(value, of))
    return None if value is None else next(fitting, "string")


def _common_kind(kinds: set[str]) -> str:
    if len(kinds) == 1:
        return next(iter(kinds))
    return "float" if kinds == {"int", "float"} else "string"


def _converted(value: Value | list[float], kind: str) -> Any:
    """A value as pyarrow takes it for a column of a kind: unchanged, or its text."""
    if value is None or kind != "string":
        return value
    if isinstance(value, (np.ndarray, list)):
        return json.dumps(list(map(float, value)))
    text = str(value).lower() if isinstance(value, bool) else str(value)
    return text.encode("utf-8", "replace").decode()


def _free_name(name: str, used: dict[str, Any]) -> str:
    name = name.encode("utf-8", "replace").decode()
    while name in _RESERVED or name in used:
        name = "source_" + name
    return name

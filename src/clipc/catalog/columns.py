"""Rows collected into an Arrow table, with the types of metadata columns inferred from their values."""

import json
from typing import Any

import numpy as np
import pyarrow as pa

from clipc.catalog.catalog import SCHEMA
from clipc.catalog.rows import Row, Value

_CHUNK = 1 << 16
_CORE = ("key", "captions", "label", "split", "file", "offset", "size")
_RESERVED = {*SCHEMA.names, "dhash"}
_NUMBERS = pa.list_(pa.float32())
_TYPES = {"bool": pa.bool_(), "int": pa.int64(), "float": pa.float64(), "numbers": _NUMBERS, "string": pa.string()}
_KINDS = {"bool": bool, "int": int, "float": float, "numbers": np.ndarray}


class Columns:
    """Collects rows one by one in chunks of Arrow arrays, so that millions fit in memory."""

    def __init__(self) -> None:
        self._rows: list[Row] = []
        self._chunks: list[dict[str, pa.Array]] = []
        self._kinds: dict[str, set[str]] = {}

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
        columns: dict[str, Any] = {name: self._whole(name, SCHEMA.field(name).type) for name in _CORE}
        for name, kinds in self._kinds.items():
            columns[_free_name(name, columns)] = self._whole("more " + name, _TYPES[_common_kind(kinds)])
        return pa.table(columns)

    def _whole(self, name: str, kind: Any) -> pa.ChunkedArray:
        parts: list[Any] = [
            _cast(chunk[name], kind) if name in chunk else pa.nulls(len(chunk["key"]), kind) for chunk in self._chunks
        ]
        return pa.chunked_array(parts, kind)

    def _flush(self) -> None:
        if not self._rows:
            return
        chunk: dict[str, pa.Array] = {
            name: pa.array([getattr(row, name) for row in self._rows], SCHEMA.field(name).type) for name in _CORE
        }
        for name in dict.fromkeys(name for row in self._rows for name in row.more):
            values = [row.more.get(name) for row in self._rows]
            kinds = {kind for value in values if (kind := _kind(value))}
            self._kinds.setdefault(name, set()).update(kinds)
            kind = _common_kind(kinds)
            chunk["more " + name] = pa.array([_as(value, kind) for value in values], _TYPES[kind])
        self._chunks.append(chunk)
        self._rows = []


def _cast(values: pa.Array, kind: Any) -> pa.Array:
    if pa.types.is_list(values.type) and pa.types.is_string(kind):
        return pa.array([None if value is None else json.dumps(value) for value in values.to_pylist()], kind)
    return values.cast(kind)


def _kind(value: Value) -> str | None:
    if isinstance(value, int) and not -(1 << 63) <= value < 1 << 63:
        return "string"
    fitting = (kind for kind, of in _KINDS.items() if isinstance(value, of))
    return None if value is None else next(fitting, "string")


def _common_kind(kinds: set[str]) -> str:
    if len(kinds) == 1:
        return next(iter(kinds))
    return "float" if kinds == {"int", "float"} else "string"


def _as(value: Value, kind: str) -> Any:
    if value is None:
        return None
    if isinstance(value, np.ndarray):
        return json.dumps(value.tolist()) if kind == "string" else value
    if kind == "float":
        return float(value)
    if kind == "string":
        text = str(value).lower() if isinstance(value, bool) else str(value)
        return text.encode("utf-8", "replace").decode()
    return value


def _free_name(name: str, used: dict[str, Any]) -> str:
    name = name.encode("utf-8", "replace").decode()
    while name in _RESERVED or name in used:
        name = "source_" + name
    return name

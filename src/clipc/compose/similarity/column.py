"""Vectors that the user gives in a column of the source."""

import json
from typing import Any

import numpy as np
import pyarrow as pa

from clipc.catalog.catalog import Catalog
from clipc.compose.arrays import Float32s
from clipc.compose.similarity.caption_vectors import unit_rows
from clipc.errors import UserError, unknown_name


def column_vectors(catalog: Catalog, name: str) -> Float32s:
    """The vectors in a column of the catalog, scaled to length 1.

    Args:
        catalog: The pairs.
        name: A column of lists of numbers, or of texts such as ``"0.1 0.2"``, ``"0.1, 0.2"`` or ``"[0.1, 0.2]"``.

    Returns:
        ``float32``, shape (n, d). A pair without a vector (null, or empty text) has a zero row.

    Raises:
        UserError: The column does not exist, it holds no vectors, or its vectors have different lengths.
    """
    if name not in catalog.table.column_names:
        raise unknown_name("column", name, catalog.table.column_names)
    column = catalog.table[name]
    numbers = _lists_as_array(column)
    if numbers is None:
        numbers = _parse_cells(catalog, name, column)
    if not np.isfinite(numbers).all():
        row = int(np.flatnonzero(~np.isfinite(numbers).all(axis=1))[0])
        raise UserError(f"{_where(catalog, name, row)} holds a number that is not finite; embeddings must be finite.")
    # Rows are first scaled to a maximum of 1, so that no square overflows.
    numbers /= np.maximum(np.abs(numbers).max(axis=1, keepdims=True), np.finfo(np.float32).tiny)
    return unit_rows(numbers)


def _lists_as_array(column: pa.ChunkedArray) -> Float32s | None:
    """The numbers of a column of equally long lists without nulls; None for any other column.

    This is fast, since it makes no Python object for each number.
    """
    if not pa.types.is_list(column.type) or column.null_count or not len(column):
        return None
    chunks: list[Any] = [chunk for chunk in column.chunks if len(chunk)]
    lengths = {int(length) for chunk in chunks for length in np.unique(chunk.value_lengths().to_numpy())}
    if len(lengths) != 1 or 0 in lengths or any(chunk.flatten().null_count for chunk in chunks):
        return None
    width = lengths.pop()
    return np.concatenate([chunk.flatten().to_numpy().astype(np.float32).reshape(-1, width) for chunk in chunks])


def _parse_cells(catalog: Catalog, name: str, column: pa.ChunkedArray) -> Float32s:
    numbers: Float32s | None = None
    first = 0
    for row, cell in enumerate(column):
        value: Any = cell.as_py()
        if value is None or (isinstance(value, str) and not value.strip()):
            continue
        vector = _vector(value)
        if vector is None:
            excerpt = str(value)
            excerpt = excerpt if len(excerpt) <= 40 else excerpt[:40] + "..."
            raise UserError(
                f"{_where(catalog, name, row)} is {excerpt!r}, which is no list of numbers; "
                'write embeddings as lists or as text such as "0.1 0.2 0.3".'
            )
        if numbers is None:
            numbers, first = np.zeros((len(column), len(vector)), np.float32), row
        elif len(vector) != numbers.shape[1]:
            raise UserError(
                f"{_where(catalog, name, row)} has {len(vector)} numbers, but {catalog.keys[first]!r} has "
                f"{numbers.shape[1]}; all embeddings must have the same length."
            )
        numbers[row] = vector
    if numbers is None:
        raise UserError(f"the column {name!r} is empty; give an embedding for each pair.")
    return numbers


def _vector(value: Any) -> Float32s | None:
    """The numbers in a cell; None if the cell holds anything else."""
    try:
        if isinstance(value, str):
            text = value.strip()
            value = json.loads(text) if text.startswith("[") else text.replace(",", " ").split()
        if not isinstance(value, list) or not value or any(isinstance(item, bool | list | dict) for item in value):
            return None
        return np.asarray([float(item) for item in value], np.float32)
    except (TypeError, ValueError, OverflowError, RecursionError):
        return None


def _where(catalog: Catalog, name: str, row: int) -> str:
    return f"column {name!r} of {catalog.keys[row]!r} (row {row + 1})"

"""Groups of pairs that must stay in one split: equal and nearly equal images, and pairs of one patient or part."""

from hashlib import blake2b

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from clipc.catalog.catalog import Catalog
from clipc.errors import unknown_name

_MAX_LOOKALIKES = 0.2

Bools = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]


def image_groups(catalog: Catalog, group_column: str | None) -> tuple[Ints, str]:
    """The group of each row, and why near duplicates do not share one; empty if they do.

    Rows are in one group where their images have equal bytes or equal difference hashes, or where they have the same
    value in a column. If more than a fifth of all images share one difference hash (a fixed camera), hashes are not
    used.

    Args:
        catalog: Any catalog.
        group_column: A column whose equal values belong together; nulls do not.

    Returns:
        Numbers of groups, shape (n,), and the reason.

    Raises:
        UserError: There is no such column.
    """
    table = catalog.table
    links = [table["content"]]
    if group_column is not None:
        if group_column not in table.column_names:
            raise unknown_name("column", group_column, table.column_names)
        links.append(table[group_column])
    strict = _components(links)
    if "dhash" not in table.column_names or table["dhash"].null_count == len(table):
        return strict, "without perceptual hashes, near duplicates are not detected"
    alike = _components([table["dhash"]])
    if np.bincount(alike).max() > max(2.0, _MAX_LOOKALIKES * len(catalog)):
        return strict, "so many images look alike that near duplicates cannot be detected"
    return _components([*links, table["dhash"]]), ""


def _components(links: list[pa.ChunkedArray]) -> Ints:
    """Connected components of the rows that share a value in any of the columns; nulls share nothing."""
    from scipy.sparse import coo_array  # pyright: ignore[reportMissingTypeStubs]
    from scipy.sparse.csgraph import connected_components  # pyright: ignore[reportMissingTypeStubs]

    n = len(links[0])
    ends: list[Ints] = []
    firsts: list[Ints] = []
    for column in links:
        codes = column.combine_chunks().dictionary_encode().indices
        rows = np.flatnonzero(codes.is_valid().to_numpy(zero_copy_only=False))
        values = codes.drop_null().to_numpy().astype(np.int64)
        _, first, inverse = np.unique(values, return_index=True, return_inverse=True)
        ends.append(rows)
        firsts.append(rows[first][inverse])
    row, first_row = np.concatenate(ends), np.concatenate(firsts)
    graph = coo_array((np.ones(len(row), np.int8), (row, first_row)), shape=(n, n))
    return np.asarray(connected_components(graph, directed=False)[1], dtype=np.int64)


def class_of_groups(catalog: Catalog, rows: Ints, group_of: Ints, count: int) -> Ints:
    """The class of each group of rows by the main label (its first in alphabetical order); all 0 without labels.

    Args:
        catalog: The catalog.
        rows: The rows, shape (n,).
        group_of: The group of each of them, shape (n,) in [0, count).
        count: The number of groups.

    Returns:
        Numbers of classes from 0, shape (count,).
    """
    if not catalog.about.label_columns:
        return np.zeros(count, np.int64)
    labels = catalog.column(catalog.about.label_columns[0])
    codes = np.unique(["" if labels[row] is None else str(labels[row]) for row in rows], return_inverse=True)[1]
    least = np.full(count, len(rows), np.int64)
    np.minimum.at(least, group_of, codes)
    return np.unique(least, return_inverse=True)[1].astype(np.int64)


def mix(values: npt.NDArray[np.uint64], seed: int) -> npt.NDArray[np.uint64]:
    """A hash of each value with the seed (the finaliser of splitmix64), by which the values are shuffled."""
    salt = int.from_bytes(blake2b(str(seed).encode(), digest_size=8).digest(), "little")
    mixed = values ^ np.uint64(salt)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return mixed ^ (mixed >> np.uint64(31))

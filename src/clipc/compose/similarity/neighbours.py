"""The nearest pairs of each pair, without look-alikes."""

from collections.abc import Callable
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Final

import numpy as np

from clipc.array_cache import arrays_digest, cached_array
from clipc.catalog.catalog import Catalog
from clipc.compose.arrays import Bools, Float32s, Int32s, Int64s
from clipc.compose.similarity.lookalike import lookalikes
from clipc.compose.similarity.search import Search, search_among
from clipc.progress import Progress, silent

VERSION: Final = 1
"""Incremented whenever the neighbours of the same vectors change, so that cached neighbours are not used."""

SEARCH_LIMIT: Final = 1024
"""The largest number of nearest rows that are examined for a row; if most are excluded, it gets fewer neighbours."""

_ROWS_AT_ONCE = 1 << 14
_SPARE_CANDIDATES = 6

Excluded = Callable[[Int64s, Int64s], Bools]
"""Takes rows and others, both of shape (m,); says which of the others may not be neighbours of their rows."""


def neighbours(
    catalog: Catalog,
    vectors: Float32s,
    k: int,
    cache: Path | None = None,
    progress: Progress = silent,
    also_excluded: Excluded | None = None,
    exclusion_id: str = "",
) -> Int32s:
    """The k nearest pairs of each pair, without its look-alikes; cached.

    Args:
        catalog: The training pairs.
        vectors: Unit vectors (zero where unknown), ``float32``, shape (n, d).
        k: How many neighbours.
        cache: The cache folder; None for the default one.
        progress: Receives the number of finished pairs.
        also_excluded: Excludes further pairs, such as those that rules forbid.
        exclusion_id: Identifies ``also_excluded`` in the cache: the same id must mean the same exclusions.

    Returns:
        The neighbours, as :func:`nearest` returns them.

    Raises:
        UserError: There are so many different vectors that FAISS is needed, and it is not installed.
    """
    alike = lookalikes(catalog)
    parts = (vectors, alike.content, alike.dhash, alike.has_dhash)
    fingerprint = f"{VERSION} {arrays_digest(*parts)} {alike.distance} {k} {exclusion_id}"

    def excluded(rows: Int64s, others: Int64s) -> Bools:
        result = alike(rows, others)
        if also_excluded is not None:
            rest = np.flatnonzero(~result)
            result[rest] = also_excluded(rows[rest], others[rest])
        return result

    return cached_array(
        "neighbours", fingerprint, lambda: nearest(vectors, k, excluded=excluded, progress=progress), cache
    )


def nearest(vectors: Float32s, k: int, *, excluded: Excluded | None = None, progress: Progress = silent) -> Int32s:
    """The k most similar rows of each row, by inner product.

    Equal vectors (of equal captions, for example) form a group, which is searched once. If a group has more rows than
    are needed, they are taken in cyclic order from the row's own index on, so no member is favoured.

    Args:
        vectors: Unit vectors, ``float32``, shape (n, d). A zero row has no neighbours and is no neighbour.
        k: How many neighbours, at least 1.
        excluded: Says which rows may not be neighbours of which; no row is its own neighbour anyway. At most the
            nearest :data:`SEARCH_LIMIT` rows are examined.
        progress: Receives the number of finished rows.

    Returns:
        The rows of the neighbours, ``int32``, shape (n, k), the nearest first; -1 where there are fewer than k.

    Raises:
        UserError: There are so many different vectors that FAISS is needed, and it is not installed.
    """
    result = np.full((len(vectors), k), -1, np.int32)
    groups = _groups(vectors)
    if not len(groups.first):
        return result
    distinct = vectors if len(groups.first) == len(vectors) else vectors[groups.first]
    search = search_among(distinct, progress)
    # Rows are taken group by group, so that each block searches for few distinct vectors.
    for start in range(0, len(groups.members), _ROWS_AT_ONCE):
        rows = groups.members[start : start + _ROWS_AT_ONCE]
        _fill(result, rows, vectors, groups, search, excluded)
        progress("neighbours found", start + len(rows), len(groups.members))
    return result


@dataclass(frozen=True, eq=False)
class _Groups:
    """Groups of rows with equal vectors: g groups with m rows in all (of n). Zero rows are in no group.

    Attributes:
        first: The lowest row of each group, ascending, shape (g,).
        members: The rows, group by group, ascending within each group, shape (m,).
        start: The start of each group in ``members``, and the end of the last, shape (g + 1,).
        group_of_row: The group of each row (any number for a zero row), shape (n,).
        codes: ``group * n + row`` for each member, ascending, shape (m,). A search in them finds where any row would
            stand among the members of any group.
    """

    first: Int64s
    members: Int64s
    start: Int64s
    group_of_row: Int64s
    codes: Int64s


def _groups(vectors: Float32s) -> _Groups:
    nonzero = np.flatnonzero(np.any(vectors != 0, axis=1))
    # Digests need less memory than sorted copies of the rows. Adding 0 turns -0 into 0.
    digests = [blake2b((vectors[row] + np.float32(0)).data, digest_size=16).digest() for row in nonzero]
    _, first, group_of_nonzero = np.unique(np.array(digests, "V16"), return_index=True, return_inverse=True)
    order = np.argsort(first)
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order))
    group_of_nonzero = rank[group_of_nonzero]
    inner = np.argsort(group_of_nonzero, kind="stable")
    members = nonzero[inner]
    group_of_row = np.zeros(len(vectors), np.int64)
    group_of_row[nonzero] = group_of_nonzero
    start = np.concatenate([[0], np.cumsum(np.bincount(group_of_nonzero, minlength=len(order)))])
    codes = group_of_row[members] * len(vectors) + members
    return _Groups(nonzero[first[order]], members, start, group_of_row, codes)


def _fill(
    result: Int32s, rows: Int64s, vectors: Float32s, groups: _Groups, search: Search, excluded: Excluded | None
) -> None:
    """Writes the neighbours of some rows into ``result``; searches more widely for rows with many exclusions."""
    k = result.shape[1]
    width = k if excluded is None else k + _SPARE_CANDIDATES
    max_width = max(k, SEARCH_LIMIT)
    while len(rows):
        # Memory stays bounded however wide the search is.
        chunk = max(1, _ROWS_AT_ONCE * 16 // width)
        unfilled: list[Int64s] = []
        for start in range(0, len(rows), chunk):
            some = rows[start : start + chunk]
            candidates = _candidates(some, vectors, groups, search, width)
            allowed = candidates >= 0
            if excluded is not None:
                row_index, slot = np.nonzero(allowed)
                allowed[row_index, slot] = ~excluded(some[row_index], candidates[row_index, slot])
            rank = np.cumsum(allowed, axis=1) - 1
            row_index, slot = np.nonzero(allowed & (rank < k))
            result[some[row_index], rank[row_index, slot]] = candidates[row_index, slot]
            # A row with empty slots has no further candidates.
            lacking = (allowed.sum(axis=1) < k) & (candidates[:, -1] >= 0)
            unfilled.append(some[lacking])
        if width >= max_width:
            return
        rows, width = np.concatenate(unfilled), min(max_width, 4 * width)


def _candidates(rows: Int64s, vectors: Float32s, groups: _Groups, search: Search, width: int) -> Int64s:
    """The ``width`` nearest rows of each row, without the row itself; -1 where there are no more.

    Returns:
        ``int64``, shape (len(rows), width), the nearest first.
    """
    own, inverse = np.unique(groups.group_of_row[rows], return_inverse=True)
    nearest_groups = search(vectors[groups.first[own]], width + 1)
    # A row's own group always comes first, even where rounding or an approximate search ranks it lower.
    others = np.where(nearest_groups == own[:, None], -1, nearest_groups)
    order = np.argsort(others < 0, axis=1, kind="stable")
    ranked_groups = np.concatenate([own[:, None], np.take_along_axis(others, order, axis=1)], axis=1)[inverse]
    sizes = np.where(ranked_groups >= 0, np.diff(groups.start)[ranked_groups], 0)
    counts = sizes - (np.arange(ranked_groups.shape[1]) == 0)  # the row itself is no candidate in its own group
    ends = np.minimum(np.cumsum(counts, axis=1), width)
    counts = np.diff(ends, axis=1, prepend=0)
    # One entry per candidate: its row, its group, its offset in the group.
    row_index, column = np.divmod(np.repeat(np.arange(counts.size), counts.ravel()), counts.shape[1])
    slot = np.arange(len(row_index)) - (np.cumsum(ends[:, -1]) - ends[:, -1])[row_index]
    group, size = ranked_groups[row_index, column], sizes[row_index, column]
    offset = slot - (ends - counts)[row_index, column]
    # The cycle starts after the row, so that it never reaches the row itself in its own group.
    codes = group * len(groups.group_of_row) + rows[row_index]
    first_offset = np.searchsorted(groups.codes, codes, side="right") - groups.start[group]
    result = np.full((len(rows), width), -1, np.int64)
    result[row_index, slot] = groups.members[groups.start[group] + (first_offset + offset) % size]
    return result

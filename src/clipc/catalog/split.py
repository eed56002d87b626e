"""Validation and test splits for sources that have none: deterministic, stratified, duplicates in one split."""

from dataclasses import replace
from hashlib import blake2b
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from clipc.catalog.catalog import Catalog
from clipc.errors import UserError, unknown_name

_MIN_PAIRS = 10
_MAX_LOOKALIKES = 0.2

Ints = npt.NDArray[np.int64]


def with_splits(
    catalog: Catalog, seed: int = 0, val: float = 0.1, test: float = 0.1, group_column: str | None = None
) -> Catalog:
    """The catalog with a ``val`` and a ``test`` split; existing ones stay, missing ones are selection from ``train``.

    The split of a pair depends on its image's content hash and the seed, not on the order of the rows. Pairs with
    the same image (equal ``content``), a near duplicate (equal ``dhash``) or the same group stay together, and a pair
    in one group with a pair of an existing split stays in ``train``. Classes of the main label keep their shares as
    far as the groups allow, with at least one pair of each class in ``train``. If more than a fifth of all images
    share one ``dhash`` (a fixed camera), it is not used.

    Args:
        catalog: Any catalog.
        seed: Seed of the random choice.
        val: Share of the pairs in ``train`` that go to a missing ``val``, at least one pair; in (0, 1).
        test: The same for ``test``.
        group_column: A column whose equal values (a patient, a strip of steel) stay in one split.

    Raises:
        UserError: The set is too small to split, there is no such column, or it holds too few groups.
    """
    names = catalog.split_names.astype(object)
    shares = {name: share for name, share in (("test", test), ("val", val)) if name not in catalog.splits}
    if not shares:
        return catalog
    if len(catalog) < _MIN_PAIRS:
        raise UserError(
            f"{catalog.about.name} has {len(catalog)} pairs; at least {_MIN_PAIRS} are needed to set some aside for "
            "validation and test. Add pairs, or name the splits in the source."
        )
    if sum(shares.values()) >= 1 or min(shares.values()) <= 0:
        raise UserError(f"the shares of val ({val}) and test ({test}) must be above 0 and together below 1.")
    groups, used_lookalikes = _groups(catalog, group_column)
    is_train = names == "train"
    rows = np.flatnonzero(is_train & ~np.isin(groups, groups[~is_train]))
    splits = _choose(catalog, rows, groups[rows], shares, seed)
    if splits is None:
        what = f"the column {group_column!r} holds" if group_column else f"{catalog.about.name} has"
        raise UserError(
            f"{what} too few groups of pairs to set some aside for {' and '.join(shares)}; "
            "name the splits in the source."
        )
    for name, split_rows in splits.items():
        names[split_rows] = name
    column = pa.array(names.tolist(), pa.string())
    table = catalog.table.set_column(catalog.table.schema.get_field_index("split"), "split", column)
    fingerprint = blake2b("\n".join(names).encode(), key=catalog.fingerprint.encode(), digest_size=8).hexdigest()
    note = _note(shares, seed, group_column, used_lookalikes)
    about = replace(catalog.about, notes=(*catalog.about.notes, note), splits_made=True)
    return replace(catalog, table=table, fingerprint=fingerprint, about=about)


def _note(shares: dict[str, float], seed: int, group_column: str | None, used_lookalikes: bool) -> str:
    splits = " and ".join(f"{name} ({share:.0%})" for name, share in shares.items())
    duplicates = "equal and nearly equal images" if used_lookalikes else "equal images"
    by = f" and pairs of one {group_column}" if group_column else ""
    note = f"the source names no {' or '.join(shares)} split; clipc made {splits} with seed {seed}"
    note += f", keeping {duplicates}{by} in one split"
    return note if used_lookalikes else note + " (so many images look alike that near duplicates cannot be detected)"


def _groups(catalog: Catalog, group_column: str | None) -> tuple[Ints, bool]:
    """The group of each row, shape (n,), and whether near duplicates share one."""
    table = catalog.table
    links = [table["content"]]
    if group_column is not None:
        if group_column not in table.column_names:
            raise unknown_name("column", group_column, table.column_names)
        links.append(table[group_column])
    strict = _components(links)
    if "dhash" not in table.column_names:
        return strict, True
    alike = _components([table["dhash"]])
    if np.bincount(alike).max() > max(2.0, _MAX_LOOKALIKES * len(catalog)):
        return strict, False
    return _components([*links, table["dhash"]]), True


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


def _choose(catalog: Catalog, rows: Ints, groups: Ints, shares: dict[str, float], seed: int) -> dict[str, Ints] | None:
    """The rows of each new split; None where the groups are too few or too large."""
    _, group_of = np.unique(groups, return_inverse=True)
    count = int(group_of.max()) + 1 if len(rows) else 0
    if count <= len(shares):
        return None
    sizes = np.bincount(group_of, minlength=count)
    ranks = np.full(count, np.iinfo(np.uint64).max, np.uint64)
    np.minimum.at(ranks, group_of, _mix(catalog.table["content"].to_numpy()[rows].astype(np.uint64), seed))
    strata = _strata(catalog, rows, group_of, count)
    order = np.argsort(ranks, kind="stable")
    left = np.ones(count, bool)
    capacity = np.bincount(strata, weights=sizes).astype(np.int64) - 1  # one of each class stays in train
    splits: dict[str, Ints] = {}
    for name, share in shares.items():
        target = max(1, round(share * len(rows)))
        quotas = _quotas(np.bincount(strata, weights=sizes), target, capacity)
        selection = np.zeros(count, bool)
        for group in order:
            if left[group] and sizes[group] <= quotas[strata[group]]:
                selection[group] = True
                quotas[strata[group]] -= sizes[group]
        missing = target - int(sizes[selection].sum())
        for group in order:  # fills up beyond the quotas of the classes
            if missing <= 0:
                break
            if left[group] and not selection[group] and sizes[group] <= min(missing, capacity[strata[group]]):
                selection[group] = True
                missing -= int(sizes[group])
        if not selection.any():
            smallest = order[np.argmin(np.where(left[order], sizes[order], len(rows) + 1))]
            selection[smallest] = True
        left &= ~selection
        capacity -= np.bincount(strata, weights=sizes * selection, minlength=len(capacity)).astype(np.int64)
        splits[name] = rows[selection[group_of]]
    return splits if left.any() else None


def _strata(catalog: Catalog, rows: Ints, group_of: Ints, count: int) -> Ints:
    """The class of each group (its first in alphabetical order), numbered from 0; all 0 without labels."""
    if not catalog.about.label_columns:
        return np.zeros(count, np.int64)
    labels = catalog.column(catalog.about.label_columns[0])
    codes = np.unique(["" if labels[row] is None else str(labels[row]) for row in rows], return_inverse=True)[1]
    least = np.full(count, len(rows), np.int64)
    np.minimum.at(least, group_of, codes)
    return np.unique(least, return_inverse=True)[1].astype(np.int64)


def _quotas(totals: npt.NDArray[Any], target: int, capacity: Ints) -> Ints:
    """``target`` apportioned to ``totals`` by largest remainders, at most ``capacity`` each."""
    exact = totals / totals.sum() * target
    quotas = np.floor(exact).astype(np.int64)
    rest = target - int(quotas.sum())
    quotas[np.argsort(quotas - exact, kind="stable")[:rest]] += 1
    return np.clip(quotas, 0, np.maximum(capacity, 0))


def _mix(values: npt.NDArray[np.uint64], seed: int) -> npt.NDArray[np.uint64]:
    """A hash of each value with the seed (the finaliser of splitmix64), by which the values are shuffled."""
    salt = int.from_bytes(blake2b(str(seed).encode(), digest_size=8).digest(), "little")
    mixed = values ^ np.uint64(salt)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return mixed ^ (mixed >> np.uint64(31))

"""Validation and test splits for sources that have none: deterministic, stratified, duplicates in one split."""

from dataclasses import replace
from hashlib import blake2b
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from clipc.catalog.catalog import Catalog
from clipc.catalog.groups import Bools, Ints, class_of_groups, image_groups, mix
from clipc.errors import UserError

_MIN_PAIRS = 10
_MISSED = 0.1
"""The share of its target that a split may lack.

Above it, classes with too few groups for one in each split are pooled into one stratum.
"""


def with_splits(
    catalog: Catalog, seed: int = 0, val: float = 0.1, test: float = 0.1, group_column: str | None = None
) -> Catalog:
    """The catalog with a ``val`` and a ``test`` split; existing ones stay, missing ones are drawn from ``train``.

    - The split of a pair depends on its image's content hash and the seed, not on the order of the rows.
    - Pairs with the same image (equal ``content``), a near duplicate (equal ``dhash``) or the same group stay together.
    - If more than a fifth of all images share one ``dhash`` (a fixed camera), it is not used.
    - A pair in one group with a pair of an existing split stays in ``train``.
    - Classes of the main label keep their shares as far as the groups allow, with at least one pair of each class in
      ``train``.
    - Where classes are so small that a split would get less than nine tenths of its share, those with too few groups
      for one in each split are pooled into one stratum. A class with two groups or more still keeps one in ``train``,
      but one with a single group may be in ``val`` or ``test`` alone.

    Args:
        catalog: Any catalog.
        seed: Seed of the random choice.
        val: Share of a missing ``val``, at least one pair; in (0, 1). It is a share of the pairs that may move: those
            in ``train`` that are in no group with a pair of an existing split.
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
    groups, why_not_near = image_groups(catalog, group_column)
    is_train = names == "train"
    rows = np.flatnonzero(is_train & ~np.isin(groups, groups[~is_train]))
    splits = _choose(catalog, rows, groups[rows], shares, seed)
    if splits is None:
        what = f"the column {group_column!r}" if group_column else catalog.about.name
        raise UserError(
            f"{what}: there are too few groups of pairs to set some aside for {' and '.join(shares)}; "
            "name the splits in the source."
        )
    for name, split_rows in splits.items():
        names[split_rows] = name
    column = pa.array(names.tolist(), pa.string())
    table = catalog.table.set_column(catalog.table.schema.get_field_index("split"), "split", column)
    fingerprint = blake2b("\n".join(names).encode(), key=catalog.fingerprint.encode(), digest_size=8).hexdigest()
    sizes = {name: len(split_rows) for name, split_rows in splits.items()}
    note = _note(sizes, int(is_train.sum()), seed, group_column, why_not_near)
    note += _lost_classes_note(catalog, np.concatenate([*splits.values()]), names == "train")
    about = replace(catalog.about, notes=(*catalog.about.notes, note), splits_made=True)
    return replace(catalog, table=table, fingerprint=fingerprint, about=about)


def _note(sizes: dict[str, int], pairs: int, seed: int, group_column: str | None, why_not_near: str) -> str:
    splits = " and ".join(f"{name} ({size:,} of {pairs:,} pairs)" for name, size in sizes.items())
    duplicates = "equal images" if why_not_near else "equal and nearly equal images"
    by = f" and pairs of one {group_column}" if group_column else ""
    note = f"the source names no {' or '.join(sizes)} split; clipc made {splits} with seed {seed}"
    return note + f", keeping {duplicates}{by} in one split" + (f" ({why_not_near})" if why_not_near else "")


def _lost_classes_note(catalog: Catalog, made: Ints, is_train: Bools) -> str:
    """The end of the note: how many classes have no pair in ``train`` any more; empty if all have one.

    Args:
        catalog: The catalog, whose main label column holds the classes.
        made: The rows of the splits that were made.
        is_train: Whether each row is in ``train`` after that.
    """
    if not catalog.about.label_columns:
        return ""
    labels = np.asarray([str(label or "") for label in catalog.column(catalog.about.label_columns[0])])
    gone = {*labels[made].tolist()} - {*labels[is_train].tolist()} - {""}
    if not gone:
        return ""
    classes = f"{len(gone):,} classes have" if len(gone) > 1 else "1 class has"
    return f"; {classes} too few pairs for every split, and none in train"


def _choose(catalog: Catalog, rows: Ints, groups: Ints, shares: dict[str, float], seed: int) -> dict[str, Ints] | None:
    """The rows of each new split; None where the groups are too few or too large."""
    _, group_of = np.unique(groups, return_inverse=True)
    count = int(group_of.max()) + 1 if len(rows) else 0
    if count <= len(shares):
        return None
    sizes = np.bincount(group_of, minlength=count)
    ranks = np.full(count, np.iinfo(np.uint64).max, np.uint64)
    np.minimum.at(ranks, group_of, mix(catalog.table["content"].to_numpy()[rows].astype(np.uint64), seed))
    order = np.argsort(ranks, kind="stable")
    classes = class_of_groups(catalog, rows, group_of, count)
    targets = {name: max(1, round(share * len(rows))) for name, share in shares.items()}
    # Groups larger than any split cannot be moved; without this, the first split would take all the small ones.
    usable, wanted = int(sizes[sizes <= max(targets.values())].sum()), sum(targets.values())
    if usable < wanted:
        targets = {name: max(1, target * usable // wanted) for name, target in targets.items()}

    def missed(draw: dict[str, Bools] | None) -> float:
        """The largest share of its target that a split lacks."""
        if draw is None:
            return np.inf
        return max(1 - int(sizes[draw[name]].sum()) / target for name, target in targets.items())

    draw = _draw(order, sizes, classes, classes, targets)
    if missed(draw) > _MISSED:
        few = np.bincount(classes)[classes] <= len(shares)  # too few groups for one in each split
        pooled = _draw(order, sizes, classes, np.where(few, 0, classes + 1), targets, with_single=True)
        draw = min(draw, pooled, key=missed)
    return None if draw is None else {name: rows[selection[group_of]] for name, selection in draw.items()}


def _draw(
    order: Ints, sizes: Ints, classes: Ints, strata: Ints, targets: dict[str, int], *, with_single: bool = False
) -> dict[str, Bools] | None:
    """Which groups each split gets: a quota of each stratum, then whatever fills it up to its target.

    The last group of a class stays in train, unless it is the only one and may leave.

    Args:
        order: The groups in the order in which they are tried, shape (count,).
        sizes: The number of pairs in each group.
        classes: The class of each group, from 0.
        strata: The stratum of each group, from 0: its class, or one for several classes.
        targets: The number of pairs of each split.
        with_single: Whether the only group of a class may leave train.
    """
    totals = np.bincount(strata, weights=sizes)
    # How many pairs each class can give: all but one, so that its last group stays.
    capacity = np.bincount(classes, weights=sizes).astype(np.int64) - 1
    if with_single:
        capacity += np.bincount(classes) == 1
    stratum_of_class = np.zeros(len(capacity), np.int64)
    stratum_of_class[classes] = strata
    left = np.ones(len(order), bool)
    splits: dict[str, Bools] = {}
    for name, target in targets.items():
        room = np.bincount(stratum_of_class, weights=capacity, minlength=len(totals)).astype(np.int64)
        quotas, selection, missing = _quotas(totals, target, room), np.zeros(len(order), bool), target
        for by_quota in (True, False):  # the second round fills up beyond the quotas
            for group in order:
                if missing <= 0:
                    break
                limit = min(quotas[strata[group]] if by_quota else missing, capacity[classes[group]])
                if left[group] and sizes[group] <= limit:
                    selection[group], left[group] = True, False
                    quotas[strata[group]] -= sizes[group]
                    capacity[classes[group]] -= sizes[group]
                    missing -= int(sizes[group])
        if not selection.any():
            allowed = left & (sizes <= capacity[classes]) & (2 * sizes <= sizes[left].sum())
            # Groups are few: better a class less in train than no split, or than one that gets most pairs.
            allowed = allowed if allowed.any() else left
            if not allowed.any():
                return None
            smallest = order[np.argmin(np.where(allowed[order], sizes[order], sizes.sum() + 1))]
            selection[smallest], left[smallest] = True, False
            capacity[classes[smallest]] -= sizes[smallest]
        splits[name] = selection
    return splits if left.any() else None


def _quotas(totals: npt.NDArray[Any], target: int, capacity: Ints) -> Ints:
    """``target`` apportioned to ``totals`` by largest remainders, at most ``capacity`` each."""
    exact = totals / totals.sum() * target
    quotas = np.floor(exact).astype(np.int64)
    rest = target - int(quotas.sum())
    quotas[np.argsort(quotas - exact, kind="stable")[:rest]] += 1
    return np.clip(quotas, 0, np.maximum(capacity, 0))

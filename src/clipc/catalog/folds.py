"""Folds of a cross-validation: every pair is a test pair exactly once; duplicates and groups stay together."""

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from clipc.catalog.catalog import Catalog, fingerprint
from clipc.catalog.groups import class_of_groups, image_groups, mix
from clipc.catalog.split import with_splits
from clipc.errors import UserError


def with_fold(catalog: Catalog, folds: int, fold: int, group_column: str | None = None, seed: int = 0) -> Catalog:
    """The catalog with one fold of all its pairs as ``test``, and the other folds as ``train`` and ``val``.

    The splits that the catalog has do not count. The folds are those of :func:`fold_of_rows`. A tenth of the pairs
    outside of the fold becomes ``val``, as :func:`~clipc.catalog.split.with_splits` draws it.

    Args:
        catalog: Any catalog.
        folds: The number of folds, at least 2.
        fold: The fold to test on, from 0.
        group_column: A column whose equal values (a patient, a part) stay in one fold.
        seed: Seed of the partition.

    Raises:
        UserError: There is no such column, or there are too few groups of pairs.
    """
    test = fold_of_rows(catalog, folds, group_column, seed) == fold
    names = np.where(test, "test", "train").tolist()
    table, column = catalog.table, pa.array(names, pa.string())
    table = table.set_column(table.schema.get_field_index("split"), "split", column)
    note = f"fold {fold + 1} of {folds} is the test split ({int(test.sum()):,} of {len(catalog):,} pairs)"
    about = replace(catalog.about, notes=(*catalog.about.notes, note), splits_made=True)
    # The fingerprint is that of the pairs with this split, whatever splits the catalog had before.
    whole = replace(catalog, table=table, fingerprint=fingerprint(table, about.intensity), about=about)
    return with_splits(whole, group_column=group_column)


def fold_of_rows(catalog: Catalog, folds: int, group_column: str | None = None, seed: int = 0) -> npt.NDArray[np.int64]:
    """The fold of each pair, ``int64`` (n,) in [0, folds).

    Pairs with equal or nearly equal images, or of one group, are in one fold
    (:func:`~clipc.catalog.groups.image_groups`). Groups are dealt out from the largest to the smallest: each one to the
    fold with the fewest pairs of its class of the main label, and among these to the smallest fold. Groups of one size
    are dealt in an order that depends on their images and the seed, not on the order of the rows.

    Args:
        catalog: Any catalog.
        folds: The number of folds, at least 2.
        group_column: A column whose equal values stay in one fold.
        seed: Seed of the partition.

    Raises:
        UserError: There is no such column, or there are fewer than two groups for each fold.
    """
    groups, _ = image_groups(catalog, group_column)
    _, group_of = np.unique(groups, return_inverse=True)
    sizes = np.bincount(group_of)
    if len(sizes) < 2 * folds:
        what = f"the column {group_column!r}" if group_column else catalog.about.name
        raise UserError(
            f"{what}: there are {len(sizes)} groups of pairs that must stay together; {folds} folds need {2 * folds} "
            "at least. Ask for fewer folds."
        )
    classes = class_of_groups(catalog, np.arange(len(catalog)), group_of, len(sizes))
    ranks = np.full(len(sizes), np.iinfo(np.uint64).max, np.uint64)
    np.minimum.at(ranks, group_of, mix(catalog.table["content"].to_numpy().astype(np.uint64), seed))
    fold_of_group = np.empty(len(sizes), np.int64)
    of_class, total = np.zeros((int(classes.max()) + 1, folds), np.int64), np.zeros(folds, np.int64)
    for group in np.lexsort((ranks, -sizes)):
        fold = int(np.lexsort((total, of_class[classes[group]]))[0])
        fold_of_group[group] = fold
        of_class[classes[group], fold] += sizes[group]
        total[fold] += sizes[group]
    return fold_of_group[group_of]

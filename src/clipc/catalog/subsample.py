"""Smaller training sets inside larger ones: what learning curves over the number of pairs are drawn from."""

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from clipc.catalog.catalog import Catalog
from clipc.errors import UserError


def subsample(catalog: Catalog, pairs: int, seed: int = 0) -> Catalog:
    """The catalog with so many of its training pairs; the other splits stay whole.

    Subsets are nested: those of a smaller number lie inside those of a larger one. Each holds of every class of the
    main label nearly its share, pairs without a label being a class of their own. Which pairs they are hangs on keys
    and seed, not on the order of the rows.

    Args:
        catalog: Any catalog with a training split.
        pairs: How many training pairs to keep, at least 1.
        seed: Another seed, other subsets.

    Raises:
        UserError: There are fewer training pairs than that.
    """
    train = np.flatnonzero(np.asarray([name or "train" for name in catalog.column("split")]) == "train")
    if pairs > len(train):
        raise UserError(f"{catalog.about.name} has {len(train):,} training pairs, fewer than data.pairs={pairs:,}.")
    if pairs == len(train):
        return catalog
    keys = catalog.column("key")
    by_key = train[np.argsort(np.asarray([keys[row] for row in train], dtype=np.str_))]
    labels = [str(value) if value is not None else "" for value in catalog.column("label")]
    order = stratified(np.asarray([labels[row] for row in by_key], dtype=np.str_), seed)
    kept = np.ones(len(catalog), dtype=np.bool_)
    kept[by_key[order[pairs:]]] = False
    about = replace(catalog.about, notes=(*catalog.about.notes, f"{pairs:,} of {len(train):,} training pairs"))
    return replace(catalog.take(np.flatnonzero(kept)), about=about)


def stratified(classes: npt.NDArray[np.str_], seed: int) -> npt.NDArray[np.int64]:
    """An order of which every beginning holds the classes in nearly their shares.

    The members of each class are shuffled and stand at equal distances, the first of them at a random place of its
    stretch (systematic sampling).

    Args:
        classes: The class of each member, shape (n,).
        seed: Of the shuffle.

    Returns:
        A permutation of range(n), ``int64``.
    """
    generator = np.random.Generator(np.random.Philox(seed))
    n = len(classes)
    _, code, counts = np.unique(classes, return_inverse=True, return_counts=True)
    shuffled = generator.permutation(n)
    sorted_by_class = shuffled[np.argsort(code[shuffled], kind="stable")]
    position = np.arange(n) - np.repeat(np.cumsum(counts) - counts, counts)
    begin = generator.random(len(counts))
    place = (position + np.repeat(begin, counts)) / np.repeat(counts, counts)
    return sorted_by_class[np.argsort(place, kind="stable")]

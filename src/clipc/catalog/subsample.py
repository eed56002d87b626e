"""Nested, stratified subsamples of the training split, for learning curves over the number of pairs."""

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from clipc.catalog.catalog import Catalog
from clipc.errors import UserError


def subsample(catalog: Catalog, pairs: int, seed: int = 0) -> Catalog:
    """The catalog with only ``pairs`` of its training pairs; the other splits stay whole.

    Subsamples are nested: a smaller one is a subset of a larger one. Each class of the main label keeps nearly its
    share; pairs without a label are a class of their own. The choice depends on keys and seed, not on the order of the
    rows.

    Args:
        catalog: Any catalog with a training split.
        pairs: The number of training pairs, at least 1.
        seed: Seed of the random choice.

    Raises:
        UserError: The catalog has fewer training pairs.
    """
    train = np.flatnonzero(catalog.split_names == "train")
    if pairs > len(train):
        raise UserError(f"{catalog.about.name} has {len(train):,} training pairs, fewer than data.pairs={pairs:,}.")
    if pairs == len(train):
        return catalog
    by_key = train[np.argsort(np.asarray([catalog.keys[row] for row in train], dtype=np.str_))]
    labels = [str(value) if value is not None else "" for value in catalog.column("label")]
    order = stratified_order(np.asarray([labels[row] for row in by_key], dtype=np.str_), seed)
    about = replace(catalog.about, notes=(*catalog.about.notes, f"{pairs:,} of {len(train):,} training pairs"))
    return replace(catalog.take(np.delete(np.arange(len(catalog)), by_key[order[pairs:]])), about=about)


def stratified_order(classes: npt.NDArray[np.str_], seed: int) -> npt.NDArray[np.int64]:
    """A random order in which every prefix has nearly the shares of the classes.

    The members of each class are shuffled and placed at equal distances, offsetning at a random offset (systematic
    sampling).

    Args:
        classes: The class of each member, shape (n,).
        seed: Seed of the shuffle.

    Returns:
        A permutation of range(n), ``int64``.
    """
    generator = np.random.Generator(np.random.Philox(seed))
    n = len(classes)
    _, code, counts = np.unique(classes, return_inverse=True, return_counts=True)
    shuffled = generator.permutation(n)
    sorted_by_class = shuffled[np.argsort(code[shuffled], kind="stable")]
    position = np.arange(n) - np.repeat(np.cumsum(counts) - counts, counts)
    offset = generator.random(len(counts))
    place = (position + np.repeat(offset, counts)) / np.repeat(counts, counts)
    return sorted_by_class[np.argsort(place, kind="stable")]

"""Batch sampling: spreads equal captions, or the members of a group, over the batches of an epoch."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import pyarrow as pa

from clipc.catalog.catalog import Catalog
from clipc.compose.arrays import Int32s, Int64s, Integers
from clipc.compose.entries import Entries
from clipc.errors import UserError

BatchSampling = Literal["random", "distinct", "balanced"]


@dataclass(frozen=True)
class Batches:
    """How the order of an epoch fills its batches.

    ``random`` is a plain shuffle. ``distinct`` keeps equal captions out of one batch, if there are enough
    batches; ``balanced`` gives every batch of an epoch its share of each group, so that no group dominates one.

    Attributes:
        sampling: One of these.
        size: Pairs a batch.
    """

    sampling: BatchSampling = "random"
    size: int = 1

    def order(self, catalog: Catalog, caption: Int32s, start: int, generator: np.random.Generator) -> Int32s:
        """The order of one epoch, a permutation of the catalog's rows.

        Args:
            catalog: The training pairs.
            caption: Index of each pair's caption in this epoch, shape (n,).
            start: The index of the epoch's first row in the concatenated plans.
            generator: The epoch's generator for orders.

        Raises:
            UserError: The sampling is ``balanced``, and no pair has a label.
        """
        if self.sampling == "random":
            return generator.permutation(np.arange(len(catalog), dtype=np.int32))
        if self.sampling == "distinct":
            words = catalog.table["captions"].combine_chunks().flatten()  # pyright: ignore
            return deal(_codes(words)[Entries.of(catalog).first + caption], self.size, start, generator)
        labels = catalog.table["label"].combine_chunks()
        if labels.null_count == len(catalog):
            raise UserError(
                f"batch_sampling=balanced needs labels, which {catalog.about.name} lacks; set data.label_columns."
            )
        return deal(_codes(labels), self.size, start, generator)


def deal(classes: Integers, size: int, start: int, generator: np.random.Generator) -> Int32s:
    """An order in which members of one class are spread evenly over the batches.

    The pairs, sorted by class, are assigned to the batches in turn. So of a class with m members in an
    epoch of k whole batches no batch holds more than m / k, rounded up, plus one where batches at the epoch's ends are
    not whole. The two parts of a batch that straddles two epochs are drawn independently.

    Args:
        classes: The class of each pair, shape (n,).
        size: Pairs a batch.
        start: The index of the epoch's first row in the concatenated plans, from which batch boundaries follow.
        generator: Shuffles the classes, the members of each, the batches, and the order in each batch.

    Returns:
        The pairs' rows in order, a permutation of range(n), ``int32``.
    """
    n = len(classes)
    _, code = np.unique(classes, return_inverse=True)
    shuffled = generator.permutation(n)
    rank = generator.permutation(int(code.max(initial=0)) + 1)
    cards = shuffled[np.argsort(rank[code[shuffled]], kind="stable")]
    batch = (start % size + np.arange(n)) // size
    chance = generator.random(n)
    turn = np.empty(n, dtype=np.int64)
    in_batch = np.lexsort((chance, batch))
    turn[in_batch] = np.arange(n) - np.searchsorted(batch, batch)
    seat = generator.permutation(int(batch[-1]) + 1)
    order = np.empty(n, dtype=np.int32)
    order[np.lexsort((seat[batch], turn))] = cards
    return order


def _codes(values: pa.Array) -> Int64s:
    """An integer code for each value; nulls share one code."""
    codes: pa.Array = values.dictionary_encode(null_encoding="encode").indices  # pyright: ignore
    return codes.to_numpy(zero_copy_only=False).astype(np.int64)

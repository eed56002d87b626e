"""Batch sampling: spreads equal captions, or the pairs of a label, over the batches of an epoch."""

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

    ``random`` is a plain shuffle. ``distinct`` keeps equal captions in different batches, if there are enough
    batches. ``balanced`` gives every batch its share of each label, so that no label dominates a batch.

    Attributes:
        sampling: ``random``, ``distinct`` or ``balanced``.
        size: The number of pairs in a batch.
    """

    sampling: BatchSampling = "random"
    size: int = 1

    def order(self, catalog: Catalog, caption: Int32s, start: int, generator: np.random.Generator) -> Int32s:
        """The order of one epoch, a permutation of the catalog's rows.

        Args:
            catalog: The training pairs.
            caption: Index of each pair's caption in this epoch, shape (n,).
            start: The index of the epoch's first row in the concatenated plans.
            generator: The epoch's generator of the stream ``order``.

        Raises:
            UserError: The sampling is ``balanced``, and no pair has a label.
        """
        if self.sampling == "random":
            return generator.permutation(np.arange(len(catalog), dtype=np.int32))
        if self.sampling == "distinct":
            return deal(catalog.caption_ids[Entries.of(catalog).first + caption], self.size, start, generator)
        labels = catalog.table["label"].combine_chunks()
        if labels.null_count == len(catalog):
            raise UserError(
                f"batch_sampling=balanced needs labels, which {catalog.about.name} lacks; set data.label_columns."
            )
        return deal(_codes(labels), self.size, start, generator)


def deal(classes: Integers, size: int, start: int, generator: np.random.Generator) -> Int32s:
    """An order in which members of one class are spread evenly over the batches.

    The pairs, sorted by class, are assigned to the batches in turn. If an epoch has k whole batches and a class has
    m members, a batch holds at most m / k of them, rounded up, or one more where the epoch's first or last batch is
    not whole. A batch that straddles two epochs gets its two parts independently.

    Args:
        classes: The class of each pair, shape (n,).
        size: The number of pairs in a batch.
        start: The index of the epoch's first row in the concatenated plans; it sets where batches begin.
        generator: Shuffles the classes, the members of each class, the batches, and the order in each batch.

    Returns:
        The pairs' rows in their new order: a permutation of range(n), ``int32``.
    """
    n = len(classes)
    _, code = np.unique(classes, return_inverse=True)
    shuffled = generator.permutation(n)
    rank = generator.permutation(int(code.max(initial=0)) + 1)
    by_class = shuffled[np.argsort(rank[code[shuffled]], kind="stable")]
    batch = (start % size + np.arange(n)) // size
    chance = generator.random(n)
    # Pairs are dealt to the positions of turn 0 in every batch first, then to those of turn 1, and so on.
    turn = np.empty(n, dtype=np.int64)
    shuffled_in_batch = np.lexsort((chance, batch))
    turn[shuffled_in_batch] = np.arange(n) - np.searchsorted(batch, batch)
    batch_rank = generator.permutation(int(batch[-1]) + 1)
    order = np.empty(n, dtype=np.int32)
    order[np.lexsort((batch_rank[batch], turn))] = by_class
    return order


def _codes(values: pa.Array) -> Int64s:
    """An integer code for each value; nulls share one code."""
    codes: pa.Array = values.dictionary_encode(null_encoding="encode").indices  # pyright: ignore
    return codes.to_numpy(zero_copy_only=False).astype(np.int64)

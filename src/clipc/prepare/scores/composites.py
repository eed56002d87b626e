"""Composites whose images and captions are named apart, so that either may be exchanged."""

from dataclasses import dataclass, fields, replace

import numpy as np

from clipc.compose.arrays import Bools, Bytes, Int32s, Int64s, Integers
from clipc.compose.plan import Plan, Plans


@dataclass(frozen=True, eq=False)
class Composites:
    """The images and captions of m composites of a catalog's pairs.

    Attributes:
        left: The catalog row of the first image, ``int32``, shape (m,) like all columns.
        right: The catalog row of the second image, ``int32``.
        layout: The shape, as in a plan, ``uint8``.
        first: The entry (:class:`~clipc.compose.entries.Entries`) of the first caption, ``int64``.
        second: The entry of the second caption, ``int64``.
        swapped: Whether the captions' drawn order is the reverse of the images', ``bool``.
        wording: How the captions are joined, as in a plan, ``uint8``.
    """

    left: Int32s
    right: Int32s
    layout: Bytes
    first: Int64s
    second: Int64s
    swapped: Bools
    wording: Bytes

    def __len__(self) -> int:
        return len(self.left)

    def __getitem__(self, rows: slice | Integers) -> "Composites":
        return Composites(*(getattr(self, column.name)[rows] for column in fields(self)))

    @classmethod
    def of_plan(cls, plans: Plans, plan: Plan) -> "Composites":
        """The composites of a plan's rows, each of which has a second pair.

        Args:
            plans: The plans that the rows are part of.
            plan: The rows.
        """
        first = plans.entries.first
        return cls(
            plan.left,
            plan.right,
            plan.layout,
            first[plan.left] + plan.left_caption,
            first[plan.right] + plan.right_caption,
            plan.swapped,
            plan.wording,
        )

    def with_captions(self, first: Int64s, second: Int64s) -> "Composites":
        """The same images under other captions.

        Args:
            first: Entries of the first captions, shape (m,).
            second: Entries of the second captions, shape (m,).
        """
        return replace(self, first=first.astype(np.int64), second=second.astype(np.int64))

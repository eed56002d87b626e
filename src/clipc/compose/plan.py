"""The plan: one row a training example of an epoch, made before any pixel is touched."""

from collections.abc import Iterator
from dataclasses import dataclass, fields
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from clipc.catalog.catalog import Catalog
from clipc.compose.layout import LAYOUT_NAMES, LEFT_RIGHT, PLAIN, STRONG, TOP_BOTTOM
from clipc.compose.partner import PARTNERS
from clipc.compose.policy import Policy
from clipc.compose.streams import epoch_generator


@dataclass(frozen=True, eq=False)
class Plan:
    """What each training example shows; the order of the rows is the order of training.

    Attributes:
        left: The row in the catalog of the first (or only) pair, ``int32``, shape (n,).
        right: The row of the second pair, or -1 for an example of one pair, ``int32``.
        left_caption: Which of the first pair's captions is used, ``int32``.
        right_caption: Which of the second pair's captions is used (0 where there is none), ``int32``.
        layout: Codes of :data:`~clipc.compose.layout.LAYOUT_NAMES`, ``uint8``.
    """

    left: npt.NDArray[np.int32]
    right: npt.NDArray[np.int32]
    left_caption: npt.NDArray[np.int32]
    right_caption: npt.NDArray[np.int32]
    layout: npt.NDArray[np.uint8]

    def __len__(self) -> int:
        return len(self.left)

    def __getitem__(self, rows: slice) -> "Plan":
        return Plan(*(getattr(self, f.name)[rows] for f in fields(self)))

    @classmethod
    def concatenate(cls, plans: list["Plan"]) -> "Plan":
        """One plan after the other."""
        return cls(*(np.concatenate([getattr(p, f.name) for p in plans]) for f in fields(cls)))

    def table(self) -> pa.Table:
        """The plan as an Arrow table; ``right`` and ``right_caption`` are null in rows of one pair."""
        alone = self.right < 0
        return pa.table(
            {
                "left": self.left,
                "right": pa.array(self.right, mask=alone),
                "left_caption": self.left_caption,
                "right_caption": pa.array(self.right_caption, mask=alone),
                "layout": pa.DictionaryArray.from_arrays(self.layout, list(LAYOUT_NAMES)),
            }
        )

    def statistics(self) -> dict[str, Any]:
        """Rows, how many are composed or strongly augmented, the treated share, and the layouts' counts."""
        counts = np.bincount(self.layout, minlength=len(LAYOUT_NAMES))
        composed = int((self.right >= 0).sum())
        strong = int(counts[STRONG])
        return {
            "rows": len(self),
            "composed": composed,
            "strong": strong,
            "share": (composed + strong) / max(1, len(self)),
            "layouts": {name: int(count) for name, count in zip(LAYOUT_NAMES, counts, strict=True)},
        }


def plan_epoch(catalog: Catalog, policy: Policy, seed: int, epoch: int) -> Plan:
    """The plan of one epoch: a pure function of its arguments.

    Every pair of the catalog comes first in exactly one row. The mask's draws are compared with rho, so
    the rows composed at a low rate are composed at every higher rate too.

    Args:
        catalog: The pairs to train on: the training split alone.
        policy: What is composed, and how.
        seed: The run's seed.
        epoch: The number of the epoch, from 0.
    """
    pairs = len(catalog)
    left = epoch_generator(seed, "order", epoch).permutation(np.arange(pairs, dtype=np.int32))
    treated = np.flatnonzero(epoch_generator(seed, "mask", epoch).random(pairs) < policy.rho)
    right = np.full(pairs, -1, dtype=np.int32)
    layout = np.full(pairs, PLAIN, dtype=np.uint8)
    if policy.treatment == "augment":
        layout[treated] = STRONG
    elif len(treated):
        # Drawn for every row, so that a row's partner does not hang on which other rows are composed.
        drawn = PARTNERS[policy.partner](left, pairs, epoch_generator(seed, "partner", epoch))
        right[treated] = drawn[treated]
        layout[treated] = np.where(right[treated] >= 0, _axes(policy, seed, epoch, pairs)[treated], PLAIN)
    captions = epoch_generator(seed, "caption", epoch)
    left_caption = _choices(captions, catalog.caption_counts[left])
    right_caption = _choices(captions, np.where(right >= 0, catalog.caption_counts[right], 1))
    return Plan(left, right, left_caption, right_caption, layout)


def _axes(policy: Policy, seed: int, epoch: int, rows: int) -> npt.NDArray[np.uint8]:
    if policy.axis != "random":
        return np.full(rows, LEFT_RIGHT if policy.axis == "left-right" else TOP_BOTTOM, dtype=np.uint8)
    return epoch_generator(seed, "layout", epoch).choice(np.array([LEFT_RIGHT, TOP_BOTTOM], dtype=np.uint8), rows)


def _choices(generator: np.random.Generator, counts: npt.NDArray[np.int64]) -> npt.NDArray[np.int32]:
    return (generator.random(len(counts)) * counts).astype(np.int32)


@dataclass(frozen=True, eq=False)
class Plans:
    """The plans of all epochs, one after the other, as one endless table.

    Row r belongs to epoch ``r // len(catalog)``. A batch is a range of rows, so it may straddle two epochs
    and no row is ever dropped.
    """

    catalog: Catalog
    policy: Policy
    seed: int

    def __post_init__(self) -> None:
        # Two epochs at most are needed at a time, unless a batch is larger than the data, which is refused earlier.
        object.__setattr__(self, "_epoch", lru_cache(maxsize=2)(self._plan))

    def __reduce__(self) -> tuple[Any, ...]:
        return Plans, (self.catalog, self.policy, self.seed)

    def _plan(self, epoch: int) -> Plan:
        return plan_epoch(self.catalog, self.policy, self.seed, epoch)

    def rows(self, start: int, stop: int) -> Plan:
        """The rows ``[start, stop)`` of the concatenated plans."""
        return Plan.concatenate(list(self._pieces(start, stop)))

    def _pieces(self, start: int, stop: int) -> Iterator[Plan]:
        pairs = len(self.catalog)
        while start < stop:
            epoch, first = divmod(start, pairs)
            last = min(pairs, first + stop - start)
            plan: Plan = self._epoch(epoch)  # pyright: ignore
            yield plan[first:last]
            start += last - first

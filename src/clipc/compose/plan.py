"""The plan: one row a training example of an epoch, made before any pixel is read."""

from dataclasses import dataclass, field, fields, replace
from functools import cached_property, lru_cache, partial
from typing import Any, Final

import numpy as np
import pyarrow as pa

from clipc.catalog.catalog import Catalog
from clipc.compose.arrays import Bools, Bytes, Int32s
from clipc.compose.batches import Batches
from clipc.compose.captions.joint import Wording
from clipc.compose.composites import FALLBACKS, compose_rows
from clipc.compose.entries import Entries
from clipc.compose.inputs import Inputs
from clipc.compose.layouts import find_layout
from clipc.compose.layouts.layout import SHAPES, Shape
from clipc.compose.layouts.tiles import STRONG
from clipc.compose.policy import Policy
from clipc.compose.streams import epoch_generator

_NO_INPUTS: Final = Inputs()
_SHUFFLED: Final = Batches()


@dataclass(frozen=True, eq=False)
class Plan:
    """The pairs, captions and layout of each training example, in the order of training.

    Attributes:
        left: The row in the catalog of the first (or only) pair, ``int32``, shape (n,).
        right: The row of the second pair, or -1 for an example of one pair, ``int32``.
        left_caption: Which of the first pair's captions is used, ``int32``.
        right_caption: Which of the second pair's captions is used (0 where there is none), ``int32``.
        third: The row of the pair whose caption replaces that of the second pair (a control), or -1,
            ``int32``.
        third_caption: Which of the third pair's captions that is (0 where there is none), ``int32``.
        layout: Indices into ``shapes``, ``uint8``.
        swapped: Whether the captions' order is not the images'; drawn for every composite, and used by
            some caption strategies; ``bool``.
        wording: How the captions are joined: 0 for the policy's wording, else the number of a rule's; ``uint8``.
        fallback: Codes of :data:`~clipc.compose.composites.FALLBACKS`: why a selected row stayed plain; ``uint8``.
        shapes: The shapes to which ``layout`` refers.
    """

    left: Int32s
    right: Int32s
    left_caption: Int32s
    right_caption: Int32s
    third: Int32s
    third_caption: Int32s
    layout: Bytes
    swapped: Bools
    wording: Bytes
    fallback: Bytes
    shapes: tuple[Shape, ...] = SHAPES

    def __len__(self) -> int:
        return len(self.left)

    def __getitem__(self, rows: slice) -> "Plan":
        return replace(self, **{name: getattr(self, name)[rows] for name in _COLUMNS})

    @property
    def words(self) -> tuple[Int32s, Int32s]:
        """The second caption: the row of its pair (-1 for none), and its index among that pair's captions."""
        wrong = self.third >= 0
        return np.where(wrong, self.third, self.right), np.where(wrong, self.third_caption, self.right_caption)

    @classmethod
    def concatenate(cls, plans: list["Plan"]) -> "Plan":
        """The concatenation of plans."""
        return replace(plans[0], **{name: np.concatenate([getattr(p, name) for p in plans]) for name in _COLUMNS})

    @classmethod
    def plain(cls, left: Int32s, caption: Int32s, shapes: tuple[Shape, ...] = SHAPES) -> "Plan":
        """A plan that composes nothing."""
        n = len(left)
        codes = {name: np.zeros(n, dtype=np.uint8) for name in ("layout", "wording", "fallback")}
        none, first = np.full(n, -1, dtype=np.int32), np.zeros(n, dtype=np.int32)
        swapped = np.zeros(n, dtype=np.bool_)
        return cls(left, none, caption, first, none.copy(), first.copy(), swapped=swapped, shapes=shapes, **codes)

    def table(self) -> pa.Table:
        """The plan as an Arrow table, with nulls where there is no second or third pair."""
        alone, right = self.right < 0, self.third < 0
        masks = {"right": alone, "right_caption": alone, "third": right, "third_caption": right}
        columns: dict[str, Any] = {name: pa.array(getattr(self, name), mask=masks.get(name)) for name in _COLUMNS}
        columns["layout"] = pa.DictionaryArray.from_arrays(self.layout, [shape.name for shape in self.shapes])
        columns["fallback"] = pa.DictionaryArray.from_arrays(self.fallback, list(FALLBACKS))
        return pa.table(columns)

    def statistics(self) -> dict[str, Any]:
        """Counts of the plan.

        Returns:
            ``rows``; how many are ``composed`` or ``strong``; the treated ``share``; the ``layouts``' counts; why
            selected rows stayed plain (``fallbacks``); the number of distinct
            partners (``partners``), and how often the most frequent one was used (``partners_most``).
        """
        counts = np.bincount(self.layout, minlength=len(self.shapes))
        second = self.right[self.right >= 0]
        strong = int(counts[STRONG])
        times = np.bincount(second) if len(second) else np.zeros(1, dtype=np.int64)
        fallbacks = np.bincount(self.fallback, minlength=len(FALLBACKS))
        return {
            "rows": len(self),
            "composed": len(second),
            "strong": strong,
            "share": (len(second) + strong) / max(1, len(self)),
            "layouts": {shape.name: int(count) for shape, count in zip(self.shapes, counts, strict=True)},
            "fallbacks": {name: int(n) for name, n in zip(FALLBACKS, fallbacks, strict=True) if name != "none"},
            "partners": int((times > 0).sum()),
            "partners_most": int(times.max()),
        }


_COLUMNS: Final = tuple(column.name for column in fields(Plan) if column.name != "shapes")


def plan_epoch(
    catalog: Catalog, policy: Policy, seed: int, epoch: int, inputs: Inputs = _NO_INPUTS, batches: Batches = _SHUFFLED
) -> Plan:
    """The plan of one epoch: a pure function of its arguments.

    Every pair of the catalog comes first in exactly one row. The mask's draws are compared with rho, so
    the rows composed at a low rate are composed at every higher rate too, with the same partners.

    Args:
        catalog: The pairs to train on: the training split alone.
        policy: The policy.
        seed: The run's seed.
        epoch: The number of the epoch, from 0.
        inputs: The policy's tables for these pairs, as :func:`clipc.prepare.plans.make_plans` makes it.
        batches: The batch sampling.

    Raises:
        UserError: The batch sampling is ``balanced``, and no pair has a label.
    """
    pairs = len(catalog)
    entries = Entries.of(catalog)
    uniform = epoch_generator(seed, "caption", epoch).random(pairs)
    caption = entries.choice(np.arange(pairs), uniform)
    left = batches.order(catalog, caption, epoch * pairs, epoch_generator(seed, "order", epoch))
    treated = np.flatnonzero(epoch_generator(seed, "mask", epoch).random(pairs) < policy.rho)
    plan = Plan.plain(left, caption[left], find_layout(policy.layout).by_code)
    if policy.treatment == "augment":
        plan.layout[treated] = STRONG
    elif len(treated):
        composites = compose_rows(left[treated], catalog, entries, policy, inputs, seed, epoch)
        choice, composed = composites["left_caption"], composites["right"] >= 0
        composites["left_caption"] = np.where(composed, choice, plan.left_caption[treated])
        for name, values in composites.items():
            getattr(plan, name)[treated] = values
    return plan


@dataclass(frozen=True, eq=False)
class Plans:
    """The plans of all epochs, one after the other, as one endless table.

    Row r belongs to epoch ``r // len(catalog)``. A batch is a range of rows, so it may straddle two epochs
    and no row is ever dropped.
    """

    catalog: Catalog
    policy: Policy
    seed: int
    inputs: Inputs = field(default_factory=Inputs)
    batches: Batches = _SHUFFLED

    def __post_init__(self) -> None:
        # At most two epochs are needed at a time, since a batch larger than the data is refused earlier.
        # The cache does not refer to this object, so plans and the rules' sandbox are freed with their last use.
        make_plan = partial(plan_epoch, self.catalog, self.policy, self.seed, inputs=self.inputs, batches=self.batches)
        object.__setattr__(self, "_epoch", lru_cache(maxsize=2)(make_plan))

    def __reduce__(self) -> tuple[Any, ...]:
        return Plans, (self.catalog, self.policy, self.seed, self.inputs, self.batches)

    @cached_property
    def entries(self) -> Entries:
        """The entries of the catalog."""
        return Entries.of(self.catalog)

    @property
    def wordings(self) -> tuple[Wording, ...]:
        """How captions are joined, in the order of the plan's ``wording`` column."""
        compiled_rules = self.inputs.compiled_rules
        return (self.policy.wording, *(compiled_rules.wordings if compiled_rules is not None else ()))

    def rows(self, start: int, stop: int) -> Plan:
        """The rows ``[start, stop)`` of the concatenated plans."""
        pieces: list[Plan] = []
        pairs = len(self.catalog)
        while start < stop:
            epoch, first = divmod(start, pairs)
            last = min(pairs, first + stop - start)
            pieces.append(self._epoch(epoch)[first:last])  # pyright: ignore
            start += last - first
        return Plan.concatenate(pieces)

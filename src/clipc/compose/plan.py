"""The plan: a table with one row for each training example of an epoch, made before any pixel is read."""

from dataclasses import dataclass, field, fields, replace
from functools import cached_property, lru_cache, partial
from typing import Any, Final

import numpy as np
import pyarrow as pa

from clipc.catalog.catalog import Catalog
from clipc.compose.arrays import Bools, Bytes, Int32s, Int64s, Positions
from clipc.compose.batches import Batches
from clipc.compose.captions.joint import Wording
from clipc.compose.composites import FALLBACKS, compose_rows, drawn_layouts
from clipc.compose.entries import Entries
from clipc.compose.inputs import Inputs
from clipc.compose.layouts import find_layout
from clipc.compose.layouts.layout import SHAPES, Shape
from clipc.compose.layouts.tiles import PLAIN, STRONG
from clipc.compose.policy import Policy
from clipc.compose.streams import epoch_generator, rows_uniform

_NO_INPUTS: Final = Inputs()
_SHUFFLED: Final = Batches()


@dataclass(frozen=True, eq=False)
class Plan:
    """The pairs, captions and shape of each training example, in the order of training.

    Attributes:
        left: The catalog row of the first (or only) pair, ``int32``, shape (n,) like all columns.
        right: The catalog row of the second pair, or -1 for an example of one pair, ``int32``.
        left_caption: The index of the caption that is used among the first pair's captions, ``int32``.
        right_caption: The index among the second pair's captions (0 where there is no second pair), ``int32``.
        third: The catalog row of the pair whose caption replaces the second pair's caption (a control), or -1,
            ``int32``.
        third_caption: The index among the third pair's captions (0 where there is no third pair), ``int32``.
        layout: The shape drawn from the policy's layout (or plain, strong), as an index into ``shapes``; ``uint8``.
        swapped: Whether the captions' order is the reverse of the images'. It is drawn for every composite, and some
            caption strategies use it; ``bool``.
        wording: How the captions are joined: an index into :attr:`Plans.wordings`, 0 for the policy's; ``uint8``.
        fallback: Why a treated row stayed plain: an index into :data:`~clipc.compose.composites.FALLBACKS`; ``uint8``.
        shapes: All shapes that ``layout`` can hold.
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

    def __getitem__(self, rows: slice | Int64s) -> "Plan":
        return replace(self, **{name: getattr(self, name)[rows] for name in _COLUMNS})

    @property
    def half_alone(self) -> Bools:
        """Which rows show one half of a composite alone (a control), ``bool``, shape (n,)."""
        return (self.right < 0) & (self.layout != PLAIN) & (self.layout != STRONG)

    @property
    def second_caption(self) -> tuple[Int32s, Int32s]:
        """The second caption: the catalog row of its pair (-1 for none), and its index among that pair's captions."""
        replaced = self.third >= 0
        return np.where(replaced, self.third, self.right), np.where(replaced, self.third_caption, self.right_caption)

    @classmethod
    def concatenate(cls, plans: list["Plan"]) -> "Plan":
        """The rows of several plans, one plan after the other."""
        return replace(plans[0], **{name: np.concatenate([getattr(p, name) for p in plans]) for name in _COLUMNS})

    @classmethod
    def plain(cls, left: Int32s, caption: Int32s, shapes: tuple[Shape, ...] = SHAPES) -> "Plan":
        """A plan that composes nothing.

        Args:
            left: Catalog rows in the order of training, ``int32``, shape (n,).
            caption: The index of each row's caption among its pair's captions, ``int32``, shape (n,).
            shapes: All shapes that the plan's ``layout`` can hold.
        """
        n = len(left)
        codes = {name: np.zeros(n, dtype=np.uint8) for name in ("layout", "wording", "fallback")}
        none, zero = np.full(n, -1, dtype=np.int32), np.zeros(n, dtype=np.int32)
        swapped = np.zeros(n, dtype=np.bool_)
        return cls(left, none, caption, zero, none.copy(), zero.copy(), swapped=swapped, shapes=shapes, **codes)

    def table(self) -> pa.Table:
        """The plan as an Arrow table, with nulls where there is no second or third pair."""
        no_right, no_third = self.right < 0, self.third < 0
        masks = {"right": no_right, "right_caption": no_right, "third": no_third, "third_caption": no_third}
        columns: dict[str, Any] = {name: pa.array(getattr(self, name), mask=masks.get(name)) for name in _COLUMNS}
        columns["layout"] = pa.DictionaryArray.from_arrays(self.layout, [shape.name for shape in self.shapes])
        columns["fallback"] = pa.DictionaryArray.from_arrays(self.fallback, list(FALLBACKS))
        return pa.table(columns)

    def statistics(self) -> dict[str, Any]:
        """Counts of the plan's rows.

        Returns:
            By name: the number of ``rows``; how many are ``composed``; how many are strongly augmented (``strong``), or
            show one half of a composite alone (``half``); the ``share`` of rows that are any of these; the number of
            rows of each shape (``layouts``); the number of treated rows that stayed plain, by reason (``fallbacks``);
            the number of distinct second pairs (``partners``), and how often the most frequent one is used
            (``partners_most``).
        """
        counts = np.bincount(self.layout, minlength=len(self.shapes))
        second = self.right[self.right >= 0]
        strong = int(counts[STRONG])
        treated = len(self) - int(counts[PLAIN])
        uses = np.bincount(second) if len(second) else np.zeros(1, dtype=np.int64)
        fallbacks = np.bincount(self.fallback, minlength=len(FALLBACKS))
        return {
            "rows": len(self),
            "composed": len(second),
            "strong": strong,
            "half": treated - strong - len(second),
            "share": treated / max(1, len(self)),
            "layouts": {shape.name: int(count) for shape, count in zip(self.shapes, counts, strict=True)},
            "fallbacks": {name: int(n) for name, n in zip(FALLBACKS, fallbacks, strict=True) if name != "none"},
            "partners": int((uses > 0).sum()),
            "partners_most": int(uses.max()),
        }


_COLUMNS: Final = tuple(column.name for column in fields(Plan) if column.name != "shapes")


def plan_epoch(
    catalog: Catalog,
    policy: Policy,
    seed: int,
    epoch: int,
    inputs: Inputs = _NO_INPUTS,
    batches: Batches = _SHUFFLED,
    treated_rows: int | None = None,
) -> Plan:
    """The plan of one epoch: a pure function of its arguments.

    Every pair of the catalog is the first (``left``) pair of exactly one row. A row is treated if its random number is
    less than rho, so a row that is composed at a low rho is composed at every higher rho too, with the same partner.

    Args:
        catalog: The pairs to train on: the training split alone.
        policy: The policy. With ``mixing: batches`` the rows of a whole batch are treated or not.
        seed: The run's seed.
        epoch: The number of the epoch, from 0.
        inputs: The policy's tables for these pairs, such as the ``inputs`` of what
            :func:`clipc.prepare.plans.make_plans` returns.
        batches: The batch sampling.
        treated_rows: The number of rows, over all epochs, after which none is treated; None for no limit.

    Raises:
        UserError: The batch sampling is ``balanced``, and no pair has a label.
    """
    pairs = len(catalog)
    entries = Entries.of(catalog)
    uniform = epoch_generator(seed, "caption", epoch).random(pairs)
    caption = entries.choice(np.arange(pairs), uniform)
    left = batches.order(catalog, caption, epoch * pairs, epoch_generator(seed, "order", epoch))
    treated = _treated(policy, seed, epoch, pairs, batches.size, treated_rows)
    plan = Plan.plain(left, caption[left], find_layout(policy.layout).all_shapes)
    if policy.treatment == "augment":
        plan.layout[treated] = STRONG
    elif policy.treatment == "half":
        plan.layout[treated] = drawn_layouts(policy, pairs, seed, epoch)[left[treated]]
    elif len(treated):
        composites = compose_rows(left[treated], catalog, entries, policy, inputs, seed, epoch)
        caption, composed = composites["left_caption"], composites["right"] >= 0
        composites["left_caption"] = np.where(composed, caption, plan.left_caption[treated])
        for name, values in composites.items():
            getattr(plan, name)[treated] = values
    return plan


def _treated(policy: Policy, seed: int, epoch: int, pairs: int, batch_size: int, treated_rows: int | None) -> Positions:
    """The rows of an epoch that are treated: single rows, or (``policy.mixing=batches``) those of whole batches."""
    last = epoch * pairs + np.arange(pairs)
    if policy.mixing == "rows":
        drawn = epoch_generator(seed, "mask", epoch).random(pairs) < policy.rho
    else:
        # A batch that straddles two epochs has the same number, and so the same chance, in both.
        batch = last // batch_size
        chance = rows_uniform(seed, "mask", int(batch[0]), int(batch[-1]) + 1, 1)[:, 0]
        drawn, last = chance[batch - batch[0]] < policy.rho, batch * batch_size + batch_size - 1
    return np.flatnonzero(drawn if treated_rows is None else drawn & (last < treated_rows))


@dataclass(frozen=True, eq=False)
class Plans:
    """The plans of all epochs, one after the other, as one endless table.

    Row r belongs to epoch ``r // len(catalog)``. A batch is a range of rows. It may straddle two epochs, so no row is
    ever dropped.

    Attributes:
        catalog: The training pairs.
        policy: The policy.
        seed: The run's seed.
        inputs: The policy's tables, pools and compiled rules for these pairs.
        batches: The batch sampling.
        treated_rows: The number of rows after which none is treated (``policy.until``); None for no limit.
    """

    catalog: Catalog
    policy: Policy
    seed: int
    inputs: Inputs = field(default_factory=Inputs)
    batches: Batches = _SHUFFLED
    treated_rows: int | None = None

    def __post_init__(self) -> None:
        # A batch needs at most two epochs, since a batch larger than the data is refused earlier. The cached function
        # does not refer to this object, so the plans and the rules' sandbox are freed together with it.
        settings = {"inputs": self.inputs, "batches": self.batches, "treated_rows": self.treated_rows}
        make_plan = partial(plan_epoch, self.catalog, self.policy, self.seed, **settings)
        object.__setattr__(self, "_epoch", lru_cache(maxsize=2)(make_plan))

    def __reduce__(self) -> tuple[Any, ...]:
        return Plans, (self.catalog, self.policy, self.seed, self.inputs, self.batches, self.treated_rows)

    @cached_property
    def entries(self) -> Entries:
        """The entries of the catalog."""
        return Entries.of(self.catalog)

    @property
    def wordings(self) -> tuple[Wording, ...]:
        """The policy's wording, then those of the rules; a plan's ``wording`` column holds indices into them."""
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

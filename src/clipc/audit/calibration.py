"""Can a score be trusted? It is tried on swapped captions, and a threshold is set by experts' decisions."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from clipc.catalog.catalog import Catalog
from clipc.compose.arrays import Bools, Float32s, Float64s, Int64s
from clipc.compose.layouts import find_layout
from clipc.compose.plan import Plans
from clipc.compose.rules.conditions import value_codes
from clipc.compose.streams import candidate_generator
from clipc.evaluate.statistics.auc import auc
from clipc.evaluate.statistics.interval import Interval
from clipc.prepare.scores.composites import Composites
from clipc.prepare.scores.table import Scorer, least

MIN_COMPOSITES: Final = 10
"""The fewest composites for which the area under the curve is computed."""

MIN_ACCEPTED: Final = 10
"""The fewest decisions from which a threshold is computed."""

_THRESHOLDS: Final = 10
_TRIES: Final = 64
_OWN_SWAPS: Final = {"left": (0,), "right": (1,)}


@dataclass(frozen=True)
class Threshold:
    """The lowest score at which experts accept composites often enough.

    Attributes:
        value: The threshold; None where no threshold reaches the precision.
        wanted: The wanted precision, in (0, 1).
        precision: The share of accepted ones among the decided composites at or above the threshold, with its interval;
            where there is none, that of the best threshold.
        kept: The share of the decided composites at or above the threshold.
    """

    value: float | None
    wanted: float
    precision: Interval
    kept: float


def self_calibration(scorer: Scorer, plans: Plans) -> dict[str, Any]:
    """How well a score tells composites from the same images under a caption in which one half is another pair's.

    Each image of the pairs is in at most one composite, so that composites are independent. Each is compared with two
    swaps: of the first and of the second caption. Swapped captions differ in text from all captions of the image.

    Args:
        scorer: The scorer.
        plans: Plans of the pairs to try it on, such as the test split's, without scores.

    Returns:
        ``composites`` (their number), ``random`` and ``same_class`` (captions of any pair, or of a pair with the same
        label), each the area under the curve for the score and for its ``parts``; None where labels are missing or
        there are too few composites.
    """
    composites = _disjoint(plans)
    result: dict[str, Any] = {"composites": len(composites), "random": None, "same_class": None}
    if len(composites) < MIN_COMPOSITES:
        return result
    true = scorer(plans, composites)
    classes = _classes(plans.catalog)
    for name, groups in (("random", None), ("same_class", classes)):
        if name == "random" or groups is not None:
            result[name] = _areas(scorer, plans, composites, true, groups)
    return result


def calibrate_threshold(scores: Sequence[float], accepted: Sequence[bool], wanted: float) -> Threshold:
    """The lowest threshold at and above which the wanted share of decided composites was accepted.

    Ten thresholds are tried, which keep a tenth, two tenths, ... of the decided composites. One passes if its
    Clopper-Pearson interval lies at or above the wanted precision; the level of the intervals is 95% for all ten
    together (Bonferroni), so that a lucky threshold among several is not taken for a good one.

    Args:
        scores: The scores of the decided composites, shape (m,).
        accepted: The decisions, shape (m,).
        wanted: The wanted precision, in (0, 1).

    Raises:
        ValueError: There are fewer than :data:`MIN_ACCEPTED` decisions.
    """
    order = np.argsort(-np.asarray(scores, dtype=np.float64), kind="stable")
    values, good = np.asarray(scores, dtype=np.float64)[order], np.asarray(accepted, dtype=np.bool_)[order]
    m = len(values)
    if m < MIN_ACCEPTED:
        raise ValueError(f"{m} decisions set no threshold; {MIN_ACCEPTED} are needed.")
    # Equal scores stand or fall together.
    last = np.searchsorted(-values, -values[(m * np.arange(1, _THRESHOLDS + 1)) // _THRESHOLDS - 1], side="right")
    ends, level = np.unique(last).astype(np.int64), 1 - 0.05 / _THRESHOLDS
    hits = np.cumsum(good)[ends - 1].astype(np.int64)
    low, high = clopper_pearson(hits, ends, level)
    passing = np.flatnonzero(low >= wanted)
    best = int(passing[-1]) if len(passing) else int(low.argmax())
    n = int(ends[best])
    precision = Interval(float(hits[best] / n), float(low[best]), float(high[best]), n, level)
    return Threshold(float(values[n - 1]) if len(passing) else None, wanted, precision, n / m)


def clopper_pearson(hits: Int64s, n: Int64s, level: float = 0.95) -> tuple[Float64s, Float64s]:
    """Clopper and Pearson's exact intervals of shares (Biometrika 26, 1934).

    Args:
        hits: The numbers of successes, shape (m,).
        n: The numbers of trials, shape (m,).
        level: The confidence level.

    Returns:
        The lower and the upper ends, shape (m,) each.
    """
    from scipy.stats import beta

    tail = (1 - level) / 2
    with np.errstate(invalid="ignore"):
        low = np.where(hits == 0, 0.0, beta.ppf(tail, hits, n - hits + 1))
        high = np.where(hits == n, 1.0, beta.ppf(1 - tail, hits + 1, n - hits))
    return low, high


def _disjoint(plans: Plans) -> Composites:
    """Composites of the pairs, each image in at most one of them, with random captions and layouts."""
    pairs, entries = plans.catalog, plans.entries
    generator = candidate_generator(plans.seed, "third", 0)
    distinct = np.unique(pairs.image_ids)
    order = generator.permutation(distinct).astype(np.int32)
    half = len(order) // 2
    left, right = order[:half], order[half : 2 * half]
    first = entries.first[left] + entries.choice(left, generator.random(half))
    second = entries.first[right] + entries.choice(right, generator.random(half))
    codes = np.array(find_layout(plans.policy.layout).codes_for(plans.policy.axis), dtype=np.uint8)
    zero = np.zeros(half, dtype=np.uint8)
    made = Composites(left, right, generator.choice(codes, half), first, second, generator.random(half) < 0.5, zero)
    # Two equal captions have no half that could be swapped for the other.
    return made[np.flatnonzero(pairs.caption_ids[first] != pairs.caption_ids[second])]


def _areas(
    scorer: Scorer, plans: Plans, composites: Composites, true: dict[str, Float32s], classes: Int64s | None
) -> dict[str, Any] | None:
    """The areas under the curve for the score and its parts; None if hardly any caption can be swapped."""
    generator = candidate_generator(plans.seed, "third", 1 if classes is None else 2)
    swaps: list[tuple[Composites, Bools]] = []
    for is_first in (True, False):
        rows = composites.left if is_first else composites.right
        entry, swappable = _other_captions(plans, rows, classes, generator)
        first, second = (entry, composites.second) if is_first else (composites.first, entry)
        swaps.append((composites.with_captions(first, second), swappable))
    which = [np.flatnonzero(swappable) for _, swappable in swaps]
    if len(np.unique(np.concatenate(which))) < MIN_COMPOSITES:
        return None
    wrong = [scorer(plans, made[rows]) for (made, _), rows in zip(swaps, which, strict=True)]

    def area(score: Callable[[dict[str, Float32s]], Float32s], sides: Sequence[int]) -> dict[str, Any] | None:
        clusters = np.concatenate([which[side] for side in sides])
        if not len(clusters):
            return None
        negative = np.concatenate([score(wrong[side]) for side in sides])
        used = np.unique(clusters)
        return auc(score(true)[used], negative, (used, clusters)).as_dict()

    def part(name: str) -> dict[str, Any] | None:
        # A half is tried on swaps of its own caption.
        return area(lambda parts: parts[name], _OWN_SWAPS.get(name, (0, 1)))

    return {"score": area(least, (0, 1)), "parts": {name: part(name) for name in true}, "swaps": sum(map(len, which))}


def _other_captions(
    plans: Plans, rows: npt.NDArray[np.int32], classes: Int64s | None, generator: np.random.Generator
) -> tuple[Int64s, Bools]:
    """For each image a caption of another pair whose text is none of its own, and whether one was found."""
    pairs, entries = plans.catalog, plans.entries
    own_row, ids = entries.rows(), pairs.caption_ids
    own = {
        row: set(ids[entries.first[row] : entries.first[row] + entries.counts[row]].tolist()) for row in rows.tolist()
    }
    entry, good = np.zeros(len(rows), dtype=np.int64), np.zeros(len(rows), dtype=np.bool_)
    pools = {} if classes is None else {code: np.flatnonzero(classes[own_row] == code) for code in np.unique(classes)}
    for _ in range(_TRIES):
        seeking = np.flatnonzero(~good)
        chance = generator.random(len(rows))[seeking]
        if classes is None:
            drawn = (chance * len(ids)).astype(np.int64)
        else:
            members = [pools[classes[row]] for row in rows[seeking].tolist()]
            drawn = np.array(
                [pool[int(c * len(pool))] for pool, c in zip(members, chance, strict=True)], dtype=np.int64
            )
        differs = [int(ids[e]) not in own[row] for e, row in zip(drawn.tolist(), rows[seeking].tolist(), strict=True)]
        entry[seeking], good[seeking] = drawn, differs
    if classes is not None:
        good &= classes[rows] >= 0
    return entry, good


def _classes(pairs: Catalog) -> Int64s | None:
    """The class of each pair by the main label column, -1 for none; None without labels."""
    column = next(iter(pairs.about.label_columns), None)
    return None if column is None else value_codes(pairs.table[column]).astype(np.int64)

"""The low-data curve: levels with intervals, the equivalence at each size, and the size that is decided at."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from clipc.evaluate.statistics.equivalence import invert, plain_weights
from clipc.evaluate.statistics.power_law import fit_power_law
from clipc.evaluate.statistics.two_way_contrasts import Floats, TwoWayContrasts
from clipc.study.worth.estimate import Estimate
from clipc.study.worth.points import Point, difference_weights, joined

_OCTAVE = 1.9
"""A size this many times as large counts as twice as large, because sizes are rounded to whole pairs."""

Points = Mapping[tuple[str, int], Point]


@dataclass(frozen=True)
class Reading:
    """The equivalence of one size.

    Attributes:
        size: The pairs with composition.
        pairs: The plain pairs that give as much.
        ratio: Their ratio to ``size``.
        contrasts: The points: plain CLIP at each size, then composition at ``size``.
        sizes: The plain sizes.
        sign: 1 where a higher metric is better, else -1.
    """

    size: int
    pairs: Estimate
    ratio: Estimate
    contrasts: TwoWayContrasts
    sizes: tuple[int, ...]
    sign: float

    def weights(self, ratio: float) -> Floats:
        """The weights of the difference between composition and plain CLIP with ``ratio`` times as many pairs."""
        plain = plain_weights(self.sizes, ratio * self.size)
        return self.sign * np.append(-plain, 1.0)

    @property
    def reach(self) -> float:
        """The largest ratio inside the measured range."""
        return self.sizes[-1] / self.size

    def as_json(self) -> dict[str, Any]:
        """The attributes for JSON."""
        n = {"seeds": self.contrasts.seeds, "items": self.contrasts.clusters}
        return {"size": self.size, "pairs": self.pairs.as_json(), "ratio": self.ratio.as_json(), **n}


def readings(points: Points, baseline: str, arm: str, *, higher_is_better: bool, level: float) -> list[Reading]:
    """The data equivalence at each size of the composition arm; empty with fewer than two plain sizes.

    Args:
        points: The points of one metric.
        baseline: The plain arm.
        arm: The arm with composition.
        higher_is_better: The metric's direction.
        level: The confidence level.
    """
    sizes = tuple(sorted(size for name, size in points if name == baseline))
    if len(sizes) < 2:
        return []
    result: list[Reading] = []
    for size in sorted(size for name, size in points if name == arm):
        together = joined([*(points[baseline, s] for s in sizes), points[arm, size]])
        if together is None:
            continue
        contrasts = together[0]
        found = invert(
            contrasts, np.array(sizes, dtype=np.float64), size, higher_is_better=higher_is_better, level=level
        )
        pairs, sign = Estimate.of(found), 1.0 if higher_is_better else -1.0
        result.append(Reading(size, pairs, pairs.map(lambda m, n=size: m / n), contrasts, sizes, sign))
    return result


def decision_reading(found: Sequence[Reading]) -> Reading | None:
    """The reading that the verdict rests on: the largest size with a plain size of at least twice as many pairs.

    It follows from the sizes alone, not from any result. At the largest size the answer could only be "more than".
    Where no size has one twice as large, it is the largest with a larger plain size.
    """
    for factor in (_OCTAVE, 1.0):
        usable = [r for r in found if r.sizes[-1] > r.size and r.sizes[-1] >= factor * r.size]
        if usable:
            return max(usable, key=lambda r: r.size)
    return None


def curve_table(points: Points, arms: Sequence[str], unit_is_share: bool, level: float) -> dict[str, Any]:
    """The lines of the low-data curve: each arm's level at each size with its two-way interval and numbers.

    Args:
        points: The points of one metric.
        arms: The arms, plain CLIP first.
        unit_is_share: Whether the metric is a share in [0, 1] where higher is better, so that a power law may be fitted
            to 1 minus its value.
        level: The confidence level.

    Returns:
        ``lines`` (``name``, ``points`` of ``x``, ``mean``, ``low``, ``high``, ``n``, ``items``, and ``fit`` or None).
    """
    lines: list[dict[str, Any]] = []
    for arm in arms:
        rows: list[dict[str, Any]] = []
        for size in sorted(size for name, size in points if name == arm):
            together = joined([points[arm, size]])
            if together is None:
                continue
            mean, low, high = together[0].intervals(difference_weights(1, 0), level)
            ends = [float(end[0]) if np.isfinite(end[0]) else None for end in (low, high)]
            n = {"n": together[0].seeds, "items": together[0].clusters}
            rows.append({"x": size, "mean": float(mean[0]), "low": ends[0], "high": ends[1], **n})
        if rows:
            lines.append({"name": arm, "points": rows, "fit": _fit(rows) if unit_is_share else None})
    return {"lines": lines}


def _fit(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any] | None:
    """A power law with a floor through the means, as points to draw, with its error."""
    sizes = [row["x"] for row in rows]
    fitted = fit_power_law(sizes, [1 - row["mean"] for row in rows])
    if fitted is None:
        return None
    xs = np.geomspace(sizes[0], sizes[-1], 40)
    error = fitted.exponent_error if np.isfinite(fitted.exponent_error) else None
    return {
        "points": [[float(x), float(1 - y)] for x, y in zip(xs, fitted(xs), strict=True)],
        "floor": fitted.floor,
        "exponent": fitted.exponent,
        "exponent_error": error,
        "rmse": fitted.rmse,
    }

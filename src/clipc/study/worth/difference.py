"""The difference between two points with its two-way interval."""

import math
from dataclasses import dataclass
from typing import Any

from clipc.evaluate.statistics.two_way_contrasts import TwoWayContrasts
from clipc.study.worth.estimate import Estimate
from clipc.study.worth.points import Point, difference_weights, joined


@dataclass(frozen=True)
class Difference:
    """A difference between two points, oriented so that higher is better.

    Attributes:
        name: What is compared with.
        metric: The metric's name.
        size: The number of training pairs.
        estimate: The difference.
        levels: The two means.
        contrasts: The two points.
        sign: 1 where a higher metric is better, else -1.
    """

    name: str
    metric: str
    size: int
    estimate: Estimate
    levels: tuple[float, float]
    contrasts: TwoWayContrasts
    sign: float

    def as_json(self) -> dict[str, Any]:
        """The attributes for JSON."""
        n = {"seeds": self.contrasts.seeds, "items": self.contrasts.clusters}
        names = {"name": self.name, "metric": self.metric, "size": self.size}
        return {**names, "value": self.levels[0], "against": self.levels[1], "difference": self.estimate.as_json(), **n}


def difference_of(
    name: str, metric: str, size: int, pair: tuple[Point, Point], better: bool, level: float
) -> Difference | None:
    """The difference between two points over the seeds that both have; None without one.

    Args:
        name: What the first point is compared with.
        metric: The metric's name.
        size: The number of training pairs.
        pair: The two points.
        better: Whether a higher metric is better.
        level: The confidence level.
    """
    together = joined(pair)
    if together is None:
        return None
    contrasts, sign = together[0], 1.0 if better else -1.0
    value, low, high = (float(x[0]) for x in contrasts.intervals(sign * difference_weights(2, 0, 1), level))
    open_low, open_high = not math.isfinite(low), not math.isfinite(high)
    estimate = Estimate(value, value if open_low else low, value if open_high else high, "inside", open_low, open_high)
    levels = (float(contrasts.means[0]), float(contrasts.means[1]))
    return Difference(name, metric, size, estimate, levels, contrasts, sign)

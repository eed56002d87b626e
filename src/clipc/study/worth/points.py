"""Trials as points with the same seeds and test items, ready for two-way intervals."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from clipc.evaluate.measurement import Measurement
from clipc.evaluate.statistics.two_way_contrasts import TwoWayContrasts

Point = Mapping[int, Measurement]
"""One metric of one arm at one size, by seed."""


def points_of(groups: Mapping[tuple[str, int], Sequence[Any]], metric: str) -> dict[tuple[str, int], Point]:
    """The points of all arms and sizes on one metric.

    Args:
        groups: The finished trials (:class:`clipc.study.results.Outcome`) of each arm at each size.
        metric: The metric's name; trials without it are left out.
    """
    points: dict[tuple[str, int], Point] = {}
    for key, outcomes in groups.items():
        by_seed = {o.trial.recipe.seed: o.measurements[metric] for o in outcomes if metric in o.measurements}
        if by_seed:
            points[key] = by_seed
    return points


def joined(points: Sequence[Point]) -> tuple[TwoWayContrasts, list[int]] | None:
    """Points over the seeds that all of them have; with items where all have the same number of them.

    Args:
        points: The points.

    Returns:
        The contrasts of the points in their order, and the seeds; None without a common seed.
    """
    seeds = sorted(set.intersection(*(set(point) for point in points)))
    if not seeds:
        return None
    rows = [[point[seed] for seed in seeds] for point in points]
    items = [[one.values for one in row if one.values is not None] for row in rows]
    if all(len(row) == len(seeds) for row in items) and len({len(array) for row in items for array in row}) == 1:
        first = rows[0][0]
        return TwoWayContrasts.from_items(np.array(items), first.owner), seeds
    return TwoWayContrasts.from_values([[one.value for one in row] for row in rows]), seeds


def repeated(measurement: Measurement, seeds: Sequence[int]) -> Point:
    """One measurement that has no seeds of its own, such as an untouched model's, for each seed."""
    return dict.fromkeys(seeds, measurement)


def difference_weights(count: int, plus: int, minus: int | None = None) -> npt.NDArray[np.float64]:
    """Weights of +1 for one of ``count`` points and, where it is given, -1 for another."""
    weights = np.zeros(count)
    weights[plus] = 1.0
    if minus is not None:
        weights[minus] -= 1.0
    return weights

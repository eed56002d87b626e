"""Differences of differences: how much the gain of one arm exceeds the gain of another."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from clipc.evaluate.statistics.interval import paired_difference
from clipc.evaluate.statistics.two_way import two_way
from clipc.study.compare import Groups
from clipc.study.results import Outcome, ends, items_of


class Gain(NamedTuple):
    """The gain of one arm over another at one size.

    Attributes:
        arm: The arm.
        over: The arm that it is compared with.
        size: The number of training pairs.
    """

    arm: str
    over: str
    size: int


def gain_differences(
    groups: Groups,
    metrics: Sequence[Mapping[str, Any]],
    baseline: str,
    controls: Sequence[str],
    named: Sequence[tuple[tuple[str, str], tuple[str, str]]] = (),
) -> list[dict[str, Any]]:
    """How much one gain exceeds another, ``(A - B) - (C - D)``, for each main metric.

    Gains are compared as differences, never as quotients: the quotient of two noisy gains has no useful interval where
    the lower one is near zero. Compared are

    - the gain of each arm under test over the baseline with that of each control, at every size;
    - the gain of each arm under test at the largest size with its gains at smaller ones;
    - the gains that the study names.

    All four groups of trials are paired by seed. The intervals are those of :mod:`clipc.study.compare`, with the
    difference of A and B in the place of one arm and that of C and D in the place of the other. They are not corrected,
    and there are no p values: a contrast is shown, and decides nothing.

    Args:
        groups: The finished trials.
        metrics: As :func:`clipc.study.results.metrics_table` gives them.
        baseline: The baseline's name.
        controls: The controls' names.
        named: Pairs ((A, B), (C, D)) of names of arms.

    Returns:
        Rows of ``metric``, ``gain`` and ``than`` (each with ``arm``, ``over`` and ``size``), ``difference``,
        ``interval``, ``both`` and ``per_seed``; none where fewer than two seeds have all four trials.
    """
    rows: list[dict[str, Any]] = []
    for gain, than in _contrasts(groups, baseline, controls, named):
        four = _common_seeds(groups, gain, than)
        if four is None:
            continue
        for metric in metrics:
            if metric["main"]:
                row = {"metric": metric["key"], "gain": gain._asdict(), "than": than._asdict()}
                rows.append(row | _difference(metric["key"], *four))
    return rows


def _contrasts(
    groups: Groups,
    baseline: str,
    controls: Sequence[str],
    named: Sequence[tuple[tuple[str, str], tuple[str, str]]],
) -> list[tuple[Gain, Gain]]:
    sizes = sorted({size for _, size in groups}, reverse=True)
    arms = [name for name in dict.fromkeys(name for name, _ in groups) if name not in (baseline, *controls)]
    gains = [(Gain(*a, size), Gain(*b, size)) for a, b in named for size in sizes]
    for arm in arms:
        gains += [(Gain(arm, baseline, n), Gain(control, baseline, n)) for control in controls for n in sizes]
        gains += [(Gain(arm, baseline, sizes[0]), Gain(arm, baseline, size)) for size in sizes[1:]]
    return gains


def _common_seeds(groups: Groups, gain: Gain, than: Gain) -> list[list[Outcome]] | None:
    """The trials of all four groups with the seeds that all of them have; None with fewer than two seeds."""
    keys = ((gain.arm, gain.size), (gain.over, gain.size), (than.arm, than.size), (than.over, than.size))
    by_seed = [{outcome.trial.recipe.seed: outcome for outcome in groups.get(key, ())} for key in keys]
    seeds = sorted(set.intersection(*(set(outcomes) for outcomes in by_seed)))
    return [[outcomes[seed] for seed in seeds] for outcomes in by_seed] if len(seeds) > 1 else None


def _difference(metric: str, a: list[Outcome], b: list[Outcome], c: list[Outcome], d: list[Outcome]) -> dict[str, Any]:
    values = [np.array([outcome.metrics[metric] for outcome in group]) for group in (a, b, c, d)]
    gains, others = values[0] - values[1], values[2] - values[3]
    over_seeds, items = paired_difference(gains, others), items_of(metric, (a, b, c, d))
    both = None
    if items is not None:
        (first, second, third, fourth), owner = items
        both = ends(two_way(first - second, third - fourth, owner))
    per_seed = (gains - others).tolist()
    return {"difference": over_seeds.mean, "interval": ends(over_seeds), "both": both, "per_seed": per_seed}

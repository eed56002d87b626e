"""Comparisons of arms with a baseline and controls: paired differences, intervals, corrected p values, verdicts."""

from collections.abc import Mapping, Sequence
from typing import Any

from clipc.evaluate.statistics.interval import Interval, paired_difference
from clipc.evaluate.statistics.p_values import sign_flip_p, t_p
from clipc.evaluate.statistics.two_way import two_way
from clipc.study.results import Outcome, ends, paired_items
from clipc.study.verdict import NOT_TESTED, WAITING, credit, decide

Groups = Mapping[tuple[str, int], Sequence[Outcome]]
"""The finished trials of each arm at each size, by seed."""


def comparisons(
    groups: Groups,
    metrics: Sequence[Mapping[str, Any]],
    baseline: str,
    controls: Sequence[str],
    planned: int | None = None,
    diverged: Mapping[tuple[str, int], int] | None = None,
) -> list[dict[str, Any]]:
    """Compares every arm with the baseline at every size, and every arm that is not a control with each control.

    Trials are paired by seed. Seeds that one arm lacks are left out; with fewer than two common seeds there is no
    comparison. :mod:`clipc.study.verdict` decides what is a gain, and what it is attributed to.

    Args:
        groups: The finished trials.
        metrics: As :func:`clipc.study.results.metrics_table` gives them.
        baseline: The baseline's name.
        controls: The controls' names.
        planned: The number of planned seeds. A comparison on fewer has intervals, but no p values, and the verdict
            :data:`~clipc.study.verdict.WAITING`. If None, every comparison is complete.
        diverged: For each arm and size the number of seeds that diverged; no more results are expected from them.

    Returns:
        The rows of ``study.json``; see :func:`clipc.study.study_tables.study_tables`.
    """

    def is_complete(name: str, size: int) -> bool:
        return planned is None or len(groups[name, size]) + (diverged or {}).get((name, size), 0) >= planned

    rows: list[dict[str, Any]] = []
    for (arm, size), outcomes in groups.items():
        for against in dict.fromkeys([baseline, *controls]):
            both_controls = arm in controls and against in controls
            if arm in (against, baseline) or both_controls or (against, size) not in groups:
                continue
            pair = paired(outcomes, groups[against, size])
            if len(pair[0]) > 1:
                # With controls only metrics with verdicts are compared: only gains on these are attributed.
                judged = [m for m in metrics if m["main"] or m["secondary"]]
                tested = metrics if against == baseline else judged
                final = is_complete(arm, size) and is_complete(against, size)
                names = {"arm": arm, "against": against, "size": size}
                rows += [names | row for row in _comparison_rows(pair, tested, final)]
    credit(rows, baseline, controls)
    return rows


def paired(first: Sequence[Outcome], second: Sequence[Outcome]) -> tuple[list[Outcome], list[Outcome]]:
    """The trials of two arms with the seeds that both arms have, in the order of the seeds."""
    first_by_seed, second_by_seed = ({o.trial.recipe.seed: o for o in group} for group in (first, second))
    seeds = sorted(first_by_seed.keys() & second_by_seed.keys())
    return [first_by_seed[seed] for seed in seeds], [second_by_seed[seed] for seed in seeds]


def _comparison_rows(
    pair: tuple[list[Outcome], list[Outcome]], metrics: Sequence[Mapping[str, Any]], final: bool
) -> list[dict[str, Any]]:
    """One row per metric: the paired difference, its t interval and, for a mean of items, the two-way interval."""
    rows: list[dict[str, Any]] = []
    intervals: list[tuple[Interval, Interval | None]] = []
    for metric in metrics:
        key = metric["key"]
        values, others = ([o.metrics[key] for o in group] for group in pair)
        over_seeds, items = paired_difference(values, others), paired_items(key, *pair)
        over_both = None if items is None else two_way(*items)
        per_seed = [a - b for a, b in zip(values, others, strict=True)]
        intervals.append((over_seeds, over_both))
        effect = {"metric": key, "difference": over_seeds.mean, "interval": ends(over_seeds), "per_seed": per_seed}
        judged = metric["main"] or metric["secondary"]
        testing = final and judged
        p_values = {"p": t_p(per_seed) if testing else None, "p_sign": sign_flip_p(per_seed) if testing else None}
        both_ends = None if over_both is None else ends(over_both)
        rows.append(
            {**effect, "both": both_ends, **p_values, "p_holm": None, "verdict": WAITING if judged else NOT_TESTED}
        )
    if final:
        decide(rows, intervals, metrics)
    return rows

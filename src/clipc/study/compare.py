"""Arms against a baseline and controls: paired differences, intervals, corrected p values, verdicts."""

from collections.abc import Mapping, Sequence
from typing import Any

from clipc.evaluate.statistics.interval import Interval, paired_difference
from clipc.evaluate.statistics.p_values import sign_flip_p, t_p
from clipc.evaluate.statistics.two_way import two_way
from clipc.study.results import Outcome, ends, items_of
from clipc.study.verdict import WAITING, credit, decide

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
    """Every arm against the baseline and, but for controls themselves, against each control, at every size.

    Trials are paired by seed; seeds that one side lacks are left out, and fewer than two make no comparison. What is a
    gain, and whose, is decided by :mod:`clipc.study.verdict`.

    Args:
        groups: The finished trials.
        metrics: As :func:`clipc.study.results.metrics_table` gives them.
        baseline: The baseline's name.
        controls: The controls' names.
        planned: How many seeds there will be; a comparison on fewer has intervals, but no p values and the verdict
            :data:`~clipc.study.verdict.WAITING`. All that are there are enough if None.
        diverged: How many seeds of an arm at a size ended without metrics: nothing more is to come of these.

    Returns:
        The rows of ``study.json``; see :func:`clipc.study.study_tables.study_tables`.
    """

    def is_complete(name: str, size: int) -> bool:
        return planned is None or len(groups[name, size]) + (diverged or {}).get((name, size), 0) >= planned

    rows: list[dict[str, Any]] = []
    for (arm, size), treated in groups.items():
        for against in dict.fromkeys([baseline, *controls]):
            mutual = arm in controls and against in controls
            if arm in (against, baseline) or mutual or (against, size) not in groups:
                continue
            pair = paired(treated, groups[against, size])
            if len(pair[0]) > 1:
                # Against controls the main metrics are enough: they decide whose a gain is.
                tested = metrics if against == baseline else [m for m in metrics if m["main"]]
                final = is_complete(arm, size) and is_complete(against, size)
                names = {"arm": arm, "against": against, "size": size}
                rows += [names | row for row in _comparison_rows(pair, tested, final)]
    credit(rows, baseline, controls)
    return rows


def paired(treated: Sequence[Outcome], control: Sequence[Outcome]) -> tuple[list[Outcome], list[Outcome]]:
    """The trials of two arms whose seeds both have, in the order of the seeds."""
    ours, theirs = ({o.trial.recipe.seed: o for o in group} for group in (treated, control))
    seeds = sorted(ours.keys() & theirs.keys())
    return [ours[seed] for seed in seeds], [theirs[seed] for seed in seeds]


def _comparison_rows(
    pair: tuple[list[Outcome], list[Outcome]], metrics: Sequence[Mapping[str, Any]], final: bool
) -> list[dict[str, Any]]:
    """One row a metric: the paired difference, its t interval over seeds and, for a mean of items, the two-way one."""
    rows: list[dict[str, Any]] = []
    intervals: list[tuple[Interval, Interval | None]] = []
    for metric in metrics:
        key = metric["key"]
        values, others = ([o.metrics[key] for o in group] for group in pair)
        seeds, items = paired_difference(values, others), items_of(key, *pair)
        both = None if items is None else two_way(*items)
        per_seed = [a - b for a, b in zip(values, others, strict=True)]
        intervals.append((seeds, both))
        effect = {"metric": key, "difference": seeds.mean, "interval": ends(seeds), "per_seed": per_seed}
        p_values = {"p": t_p(per_seed) if final else None, "p_sign": sign_flip_p(per_seed) if final else None}
        both_ends = None if both is None else ends(both)
        rows.append({**effect, "both": both_ends, **p_values, "p_holm": None, "verdict": WAITING})
    if final:
        decide(rows, intervals, metrics)
    return rows

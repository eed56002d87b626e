"""Arms against a baseline and controls: paired differences, intervals, corrected p values, verdicts."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from clipc.evaluate.statistics import (
    Interval,
    holm,
    sign_flip_p,
    t_p,
    two_way,
)
from clipc.study.results import Outcome, ends, items_of, paired_row, verdict_on

LEVEL: Final = 0.05
"""What a corrected p value must be below."""

WAITING: Final = "when finished"
"""The verdict while seeds are missing: a test that is looked at again and again finds too often what is not there."""

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

    Trials are paired by seed; seeds that one side lacks are left out, and fewer than two make no comparison. A
    *gain* needs the t interval over seeds and the two-way one over seeds and test items to exclude zero, and Holm's p
    value to be below :data:`LEVEL`: over the main metrics for these, over all others for the others.
    ``shown_by_controls`` names the controls that gain too and that the arm does not beat.

    Args:
        groups: The finished trials.
        metrics: As :func:`clipc.study.results.metrics_table` gives them.
        baseline: The baseline's name.
        controls: The controls' names.
        planned: How many seeds there will be; a comparison on fewer has intervals, but no p values and the verdict
            :data:`WAITING`. All that are there are enough if None.
        diverged: How many seeds of an arm at a size ended without figures: nothing more is to come of these.

    Returns:
        The rows of ``study.json``; see :func:`clipc.study.tables.study_tables`.
    """

    def ended(name: str, size: int) -> bool:
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
                asked = metrics if against == baseline else [m for m in metrics if m["main"]]
                rows += _compared(arm, against, size, pair, asked, final=ended(arm, size) and ended(against, size))
    gains = {(r["metric"], r["arm"], r["size"]) for r in rows if r["against"] == baseline and r["verdict"] == "gain"}
    beaten = {(r["metric"], r["arm"], r["size"], r["against"]) for r in rows if r["verdict"] == "gain"}
    for row in rows:
        metric, arm, size = place = row["metric"], row["arm"], row["size"]
        shown = [
            name for name in controls if name != arm and (metric, name, size) in gains and (*place, name) not in beaten
        ]
        row["shown_by_controls"] = shown if row["verdict"] == "gain" and row["against"] == baseline else []
    return rows


def paired(treated: Sequence[Outcome], control: Sequence[Outcome]) -> tuple[list[Outcome], list[Outcome]]:
    """The trials of two arms whose seeds both have, in the order of the seeds."""
    ours, theirs = ({o.trial.recipe.seed: o for o in group} for group in (treated, control))
    seeds = sorted(ours.keys() & theirs.keys())
    return [ours[seed] for seed in seeds], [theirs[seed] for seed in seeds]


def _compared(
    arm: str,
    against: str,
    size: int,
    pair: tuple[list[Outcome], list[Outcome]],
    metrics: Sequence[Mapping[str, Any]],
    *,
    final: bool,
) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    found: list[tuple[Interval, Interval | None]] = []
    for metric in metrics:
        row, seeds = paired_row(metric["key"], *pair)
        both = _both(metric["key"], pair)
        found.append((seeds, both))
        rows.append(
            {
                **row,
                "arm": arm,
                "against": against,
                "size": size,
                "both": None if both is None else ends(both),
                "p": t_p(row["per_seed"]) if final else None,
                "p_sign": sign_flip_p(row["per_seed"]) if final else None,
                "p_holm": None,
                "verdict": "no evidence" if final else WAITING,
                "shown_by_controls": [],
            }
        )
    if not final:
        return rows
    for main in (True, False):
        family = [row for row, metric in zip(rows, metrics, strict=True) if metric["main"] == main]
        for row, p in zip(family, holm([row["p"] for row in family]), strict=True):
            row["p_holm"] = p
    for row, intervals, metric in zip(rows, found, metrics, strict=True):
        if row["p_holm"] is not None and row["p_holm"] < LEVEL:
            row["verdict"] = verdict_on(metric, *intervals)
    return rows


def _both(metric: str, pair: tuple[list[Outcome], list[Outcome]]) -> Interval | None:
    """The two-way interval; None for metrics that are no mean of items."""
    items = items_of(metric, *pair)
    return None if items is None else two_way(*items)

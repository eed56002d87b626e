"""The rules by which an experiment decides what is a gain, what a gain is attributed to, and its headline."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from clipc.evaluate.statistics.holm import holm
from clipc.evaluate.statistics.interval import Interval
from clipc.evaluate.statistics.verdict import verdict

LEVEL: Final = 0.05
"""The level of the tests: a corrected p value must be below it."""

WAITING: Final = "when finished"
"""The verdict while seeds are missing: tests that are repeated as seeds come in give too many false positives."""

NOT_TESTED: Final = "not tested"
"""The verdict on metrics that are neither main nor secondary: they are shown, and decide nothing."""

FINAL: Final = ("gain", "loss", "no evidence")
"""The verdicts of complete comparisons."""

CLASSES: Final = ("gain", "shared", "uncontrolled", "mixed", "loss", "none", "waiting", "unknown")
"""The classes of an arm, in this order: a gain over the baseline and every control; gains that a control shows too;
gains whose cause is open; gains and losses; losses; no evidence; seeds still missing; not compared."""

Rows = Sequence[Mapping[str, Any]]
"""Rows of a table: comparisons or metrics."""


def decide(
    rows: Sequence[dict[str, Any]],
    intervals: Sequence[tuple[Interval, Interval | None]],
    metrics: Sequence[Mapping[str, Any]],
) -> None:
    """Sets ``p_holm`` and ``verdict`` of one arm's comparisons with another at one size, in place.

    A difference in a main metric is a gain or a loss only where its intervals exclude zero and its p value, corrected
    by Holm over the main metrics, is below :data:`LEVEL`. A secondary metric is judged by its intervals alone, outside
    of that correction, and its verdict counts for nothing else. All other metrics are :data:`NOT_TESTED`. Where lower
    is better, a negative difference is a gain.

    Args:
        rows: The comparisons, with ``p``.
        intervals: For each comparison its t interval over seeds, and its two-way interval or None.
        metrics: For each comparison its metric, as :func:`clipc.study.results.metrics_table` gives it.
    """
    family = [row for row, metric in zip(rows, metrics, strict=True) if metric["main"]]
    for row, p in zip(family, holm([row["p"] for row in family]), strict=True):
        row["p_holm"] = p
    for row, pair, metric in zip(rows, intervals, metrics, strict=True):
        if not metric["main"] and not metric["secondary"]:
            row["verdict"] = NOT_TESTED
            continue
        row["verdict"] = "no evidence"
        p = row["p_holm"] if metric["main"] else row["p"]
        if p is not None and p < LEVEL:
            outcome = verdict(*(interval for interval in pair if interval is not None))
            opposite = {"gain": "loss", "loss": "gain"}
            row["verdict"] = outcome if metric["higher_is_better"] else opposite.get(outcome, outcome)


def credit(rows: Sequence[dict[str, Any]], baseline: str, controls: Sequence[str]) -> None:
    """Sets what every gain over the baseline is attributed to, in place.

    ``shown_by_controls`` names the controls that gain too and over which the arm has no gain. ``credit`` is ``shared``
    where there are any, ``own`` where the arm gains over every control, and ``open`` otherwise. It is None for
    comparisons without a gain, and for controls.

    Args:
        rows: All comparisons, with verdicts.
        baseline: The baseline's name.
        controls: The controls' names.
    """
    gains = {(r["metric"], r["size"], r["arm"], r["against"]) for r in rows if r["verdict"] == "gain"}
    for row in rows:
        key = row["metric"], row["size"]
        row["shown_by_controls"], row["credit"] = [], None
        if row["arm"] in controls or row["against"] != baseline or row["verdict"] != "gain":
            continue
        beaten = [name for name in controls if (*key, row["arm"], name) in gains]
        shared_by = [name for name in controls if name not in beaten and (*key, name, baseline) in gains]
        row["shown_by_controls"] = shared_by
        row["credit"] = "shared" if shared_by else "own" if controls and len(beaten) == len(controls) else "open"


def conclude(arms: Sequence[str], baseline: str, controls: Sequence[str], metrics: Rows, rows: Rows) -> dict[str, Any]:
    """The conclusion of an experiment over all main metrics and sizes, as codes and counts for the report's words.

    Args:
        arms: The names of all arms.
        baseline: The baseline's name.
        controls: The controls' names.
        metrics: As :func:`clipc.study.results.metrics_table` gives them.
        rows: The comparisons, as :func:`credit` leaves them.

    Returns:
        ``headline`` (its code, and the counts that its sentence needs), ``arms`` (for every arm under test one of
        :data:`CLASSES`), ``controls`` (the code of what they show, and their names), and ``looks`` (the numbers of
        verdicts, of families of tests, and :func:`false_gain_rate`; None without verdicts).
    """
    main = {m["key"] for m in metrics if m["main"]}
    main_rows = [r for r in rows if r["metric"] in main]
    against = {name: [r for r in main_rows if (r["arm"], r["against"]) == (name, baseline)] for name in arms}
    treatments = {name: against[name] for name in arms if name != baseline and name not in controls}
    classes = {name: _classify(group) for name, group in treatments.items()}
    return {
        "headline": _headline(classes, treatments),
        "arms": classes,
        "controls": _controls({name: against.get(name, []) for name in controls}),
        "looks": _verdict_counts(main_rows, baseline, controls, len(main)),
    }


def _classify(rows: Rows) -> str:
    """The class of an arm, one of :data:`CLASSES`, from its comparisons with the baseline."""
    if not rows:
        return "unknown"
    credits = {r["credit"] for r in rows if r["verdict"] == "gain"}
    verdicts = {r["verdict"] for r in rows}
    if {"gain", "loss"} <= verdicts:
        return "mixed"
    for owner, code in (("own", "gain"), ("open", "uncontrolled"), ("shared", "shared")):
        if owner in credits:
            return code
    return "loss" if "loss" in verdicts else "waiting" if WAITING in verdicts else "none"


def _headline(classes: Mapping[str, str], tested: Mapping[str, Rows]) -> dict[str, Any]:
    codes = list(classes.values())
    decided = [name for name, code in classes.items() if code not in ("waiting", "unknown")]
    code = next((c for c in ("gain", "uncontrolled", "mixed", "shared", "loss") if c in codes), "none")
    if not decided:
        code = "waiting" if "waiting" in codes else "unknown"
    counts = {"compared": len(decided), "found": codes.count(code), "shared": codes.count("shared")}
    headline = {"code": code, "arm": decided[0] if len(decided) == 1 else None, **counts}
    if len(decided) == 1:
        rows = tested[decided[0]]
        gains = [r for r in rows if r["verdict"] == "gain"]
        losses, own = sum(r["verdict"] == "loss" for r in rows), sum(r["credit"] == "own" for r in gains)
        headline |= {"comparisons": len(rows), "gains": len(gains), "losses": losses, "own": own}
    return headline


def _controls(rows: Mapping[str, Rows]) -> dict[str, Any]:
    """The controls' names, those with gains, and a code: missing, unfinished, gain, none, or none_yet."""
    gains = [name for name, group in rows.items() if any(r["verdict"] == "gain" for r in group)]
    finished = [name for name, group in rows.items() if any(r["verdict"] in FINAL for r in group)]
    if not rows:
        code = "missing"
    elif not finished:
        code = "unfinished"
    elif gains:
        code = "gain"
    else:
        complete = all(group and all(r["verdict"] in FINAL for r in group) for group in rows.values())
        code = "none" if complete else "none_yet"
    return {"code": code, "names": list(rows), "gains": gains}


def false_gain_rate(families: int) -> float:
    """How often a study without any true difference says "gain" of at least one arm over the baseline, in [0, 1].

    A family is one arm under test at one size. Within it Holm's correction keeps the rate of any false verdict at
    :data:`LEVEL`, and half of these are gains, as differences are as often positive as negative. Families are not
    corrected for each other; were they independent, the rate would be ``1 - (1 - LEVEL / 2) ** families``. That is an
    upper limit: all arms are compared with the same baseline, so false gains come together, and the interval over test
    items has to exclude zero too. The soak tests simulate it.

    Args:
        families: The number of arms under test times the number of sizes.
    """
    return 1 - (1 - LEVEL / 2) ** families


def _verdict_counts(rows: Rows, baseline: str, controls: Sequence[str], main: int) -> dict[str, Any] | None:
    """The numbers of verdicts, of families, and the rate of false gains; None without verdicts."""
    finished = [r for r in rows if r["verdict"] in FINAL]
    with_baseline = [r for r in finished if r["against"] == baseline]
    families = len({(r["arm"], r["size"]) for r in with_baseline if r["arm"] not in controls})
    counts = {"with_baseline": len(with_baseline), "with_controls": len(finished) - len(with_baseline)}
    return (
        {**counts, "families": families, "metrics": main, "false_gain": false_gain_rate(families)} if finished else None
    )

"""The two gates before "adopt": composites keep their meaning, and composing amplifies no bias."""

from collections.abc import Mapping
from typing import Any, Final, Literal

Status = Literal["passed", "failed", "open", "not run"]
"""Passed; failed; undecided, with too few decisions of experts; not run."""

_MOST_DECISIONS: Final = 2000
"""The largest number of decisions that is computed."""


def meaning_gate(table: Mapping[str, Any] | None, acceptance: float) -> dict[str, Any]:
    """Whether composites keep their meaning: no rule is broken, and experts (or the score) accept enough of them.

    The decisions of experts count before the score. The share that they accept has an exact (Clopper-Pearson) 95%
    interval, and the gate passes only where all of it reaches the threshold.

    Args:
        table: ``broken`` (composites that break a rule; None if not checked), ``failed_examples`` (of the rules' own
            tests, or None), ``composites`` (how many were checked), ``rules`` (name and fingerprint, or None),
            ``acceptance`` (``accepted`` of ``decided``, or None) and ``score`` (``share`` with ``low``, ``high``,
            ``n``, or None). None if nothing was checked.
        acceptance: The share that must be accepted, in (0, 1).

    Returns:
        ``name``, ``status`` (one of :data:`Status`), ``code`` for its sentence, and the sentence's numbers.
    """
    gate: dict[str, Any] = {"name": "meaning", "threshold": acceptance, "composites": None, "rules": None}
    if table is None or table.get("broken") is None:
        return {**gate, "status": "not run", "code": "meaning-not-run"}
    gate |= {"composites": table.get("composites"), "rules": table.get("rules"), "broken": table["broken"]}
    if table["broken"]:
        return {**gate, "status": "failed", "code": "rules-broken"}
    if table.get("failed_examples"):
        return {**gate, "status": "failed", "code": "examples-failed", "examples": table["failed_examples"]}
    decisions, score = table.get("acceptance"), table.get("score")
    if decisions is not None and decisions["decided"] > 0:
        low, high = proportion_interval(decisions["accepted"], decisions["decided"])
        share = decisions["accepted"] / decisions["decided"]
        gate |= {"share": share, "low": low, "high": high, "n": decisions["decided"], "by": "expert"}
    elif score is not None:
        gate |= {"share": score["share"], "low": score["low"], "high": score["high"], "n": score["n"], "by": "score"}
    else:
        return {**gate, "status": "not run", "code": "acceptance-not-run"}
    by = gate["by"]
    if gate["low"] >= acceptance:
        return {**gate, "status": "passed", "code": f"accepted-{by}"}
    if gate["high"] < acceptance:
        return {**gate, "status": "failed", "code": f"refused-{by}"}
    more = decisions_needed(gate["share"], acceptance) if by == "expert" else None
    return {**gate, "status": "open", "code": f"undecided-{by}", "needed": more}


def bias_gate(table: Mapping[str, Any] | None) -> dict[str, Any]:
    """Whether composing amplifies no association significantly, after the correction if one was made.

    Args:
        table: ``tested`` (associations), ``amplified`` (significantly) and ``corrected``; None if no audit was run.

    Returns:
        ``name``, ``status``, ``code`` and the sentence's numbers.
    """
    if table is None:
        return {"name": "bias", "status": "not run", "code": "bias-not-run"}
    gate = {"name": "bias", **{key: table.get(key) for key in ("tested", "amplified", "corrected")}}
    if not table["tested"]:
        return {**gate, "status": "not run", "code": "bias-nothing-tested"}
    if table["amplified"]:
        return {**gate, "status": "failed", "code": "bias-corrected" if table.get("corrected") else "bias-amplified"}
    return {**gate, "status": "passed", "code": "bias-passed"}


def proportion_interval(successes: int, n: int, level: float = 0.95) -> tuple[float, float]:
    """The exact (Clopper-Pearson) interval of a share."""
    from scipy.stats import binomtest

    ends = binomtest(successes, n).proportion_ci(confidence_level=level, method="exact")
    return float(ends.low), float(ends.high)


def decisions_needed(share: float, threshold: float) -> int | None:
    """How many decisions in all would pass the gate if the share stayed; None if it never would."""
    if share <= threshold:
        return None
    return next((n for n in range(10, _MOST_DECISIONS + 1) if _passes(share, n, threshold)), None)


def _passes(share: float, n: int, threshold: float) -> bool:
    return proportion_interval(round(share * n), n)[0] >= threshold

"""The gates: passed, failed, undecided and not run, each with its code."""

from typing import Any

import pytest

from clipc.study.worth.gates import bias_gate, decisions_needed, meaning_gate, proportion_interval

BASE: dict[str, Any] = {"broken": 0, "failed_examples": None, "composites": 500, "acceptance": None, "score": None}


@pytest.mark.parametrize(
    ("table", "status", "code"),
    [
        (None, "not run", "meaning-not-run"),
        ({**BASE, "broken": None}, "not run", "meaning-not-run"),
        ({**BASE, "broken": 3}, "failed", "rules-broken"),
        ({**BASE, "failed_examples": 1}, "failed", "examples-failed"),
        (BASE, "not run", "acceptance-not-run"),
        ({**BASE, "acceptance": {"accepted": 0, "decided": 0}}, "not run", "acceptance-not-run"),
        ({**BASE, "acceptance": {"accepted": 58, "decided": 60}}, "passed", "accepted-expert"),
        ({**BASE, "acceptance": {"accepted": 30, "decided": 60}}, "failed", "refused-expert"),
        ({**BASE, "acceptance": {"accepted": 9, "decided": 10}}, "open", "undecided-expert"),
        ({**BASE, "score": {"share": 0.9, "low": 0.85, "high": 0.94, "n": 300}}, "passed", "accepted-score"),
        ({**BASE, "score": {"share": 0.5, "low": 0.45, "high": 0.55, "n": 300}}, "failed", "refused-score"),
        ({**BASE, "score": {"share": 0.8, "low": 0.7, "high": 0.9, "n": 30}}, "open", "undecided-score"),
    ],
)
def test_meaning(table: Any, status: str, code: str) -> None:
    gate = meaning_gate(table, 0.8)
    assert (gate["status"], gate["code"]) == (status, code)


def test_the_decisions_of_experts_count_before_the_score() -> None:
    score = {"share": 0.9, "low": 0.85, "high": 0.94, "n": 300}
    gate = meaning_gate({**BASE, "score": score, "acceptance": {"accepted": 30, "decided": 60}}, 0.8)
    assert gate["status"] == "failed"


@pytest.mark.parametrize(
    ("table", "status", "code"),
    [
        (None, "not run", "bias-not-run"),
        ({"tested": 0, "amplified": 0, "corrected": False}, "not run", "bias-nothing-tested"),
        ({"tested": 40, "amplified": 2, "corrected": False}, "failed", "bias-amplified"),
        ({"tested": 40, "amplified": 2, "corrected": True}, "failed", "bias-corrected"),
        ({"tested": 40, "amplified": 0, "corrected": True}, "passed", "bias-passed"),
    ],
)
def test_bias(table: Any, status: str, code: str) -> None:
    gate = bias_gate(table)
    assert (gate["status"], gate["code"]) == (status, code)


def test_the_decisions_that_are_needed_are_enough() -> None:
    needed = decisions_needed(0.9, 0.8)
    assert needed is not None
    assert proportion_interval(round(0.9 * needed), needed)[0] >= 0.8
    assert decisions_needed(0.8, 0.8) is None

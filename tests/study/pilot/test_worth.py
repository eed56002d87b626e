"""Which metric a pilot decides on: it follows from labels and metrics, not from results."""

from typing import Any

import pytest

from clipc.audit.decisions import decide
from clipc.study.pilot.worth import decision_metric, with_acceptance
from clipc.study.worth.gates import meaning_gate

RECALL, TOP1, BALANCED = "retrieval/text_equal/mean_recall", "zero_shot/defect/top1", "zero_shot/defect/mean_per_class"


@pytest.mark.parametrize(
    ("columns", "main", "expected"),
    [
        (["defect"], [RECALL, TOP1], TOP1),
        (["defect"], [RECALL, BALANCED], BALANCED),
        ([], [RECALL], RECALL),
        (["defect", "line"], [RECALL], RECALL),
        (["line", "defect"], ["mine/score", TOP1], "mine/score"),
    ],
)
def test_the_metric_that_is_decided_on(columns: list[str], main: list[str], expected: str) -> None:
    tables: dict[str, Any] = {
        "source": {"label_columns": columns},
        "metrics": [{"key": key, "main": key in main} for key in (*main, "other")],
    }
    assert decision_metric(tables) == expected


def test_decisions_of_experts_open_the_gate_of_meaning() -> None:
    meaning: dict[str, Any] = {"broken": 0, "failed_examples": None, "composites": 60, "rules": None}
    meaning |= {"acceptance": None, "score": None}
    assert meaning_gate(with_acceptance(meaning, []), 0.8)["status"] == "not run"
    decisions = [decide(f"a{i}", f"b{i}", "left-right", accept=i > 0, by="expert") for i in range(60)]
    gate = meaning_gate(with_acceptance(meaning, decisions), 0.8)
    assert gate["status"] == "passed"
    assert gate["n"] == 60
    refused = [decide(f"a{i}", f"b{i}", "left-right", accept=i < 20, by="expert") for i in range(60)]
    assert meaning_gate(with_acceptance(meaning, refused), 0.8)["status"] == "failed"
    assert with_acceptance(None, decisions) is None

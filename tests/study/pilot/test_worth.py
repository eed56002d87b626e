"""Which metric a pilot decides on: it follows from labels and metrics, not from results."""

from typing import Any

import pytest

from clipc.study.pilot.worth import decision_metric

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

"""What an experiment says for each outcome: above all what it does not say."""

from typing import Any

import pytest

from clipc.study.verdict import WAITING, conclude, credit

N, G, L = "no evidence", "gain", "loss"


def concluded(
    *sides: tuple[str, str, list[str]], controls: tuple[str, ...] = ("augment",), arms: tuple[str, ...] = ("new",)
) -> dict[str, Any]:
    """An experiment of which only the verdicts matter: who, against whom, on each main metric."""
    count = max((len(said) for _, _, said in sides), default=1)
    metrics = [{"key": f"m{i}", "main": True} for i in range(count)] + [{"key": "minor", "main": False}]
    rows = [
        {"metric": f"m{i}", "arm": arm, "against": against, "size": 100, "verdict": said}
        for arm, against, all_said in sides
        for i, said in enumerate(all_said)
    ]
    rows.append({"metric": "minor", "arm": "new", "against": "clip", "size": 100, "verdict": L})
    credit(rows, "clip", controls)
    return conclude(["clip", *arms, *controls], "clip", controls, metrics, rows) | {"rows": rows}


@pytest.mark.parametrize(
    ("effect", "control", "over", "code", "own", "of_controls"),
    [
        ([G, G], [N, N], [G, G], "gain", 2, "none"),
        ([G, N], [N, N], [G, N], "gain", 1, "none"),
        ([G, G], [G, N], [N, G], "gain", 1, "gain"),
        ([G, G], [G, G], [N, N], "shared", 0, "gain"),
        ([G, G], [N, N], [N, N], "uncontrolled", 0, "none"),
        ([G, N], [N, N], [N, G], "uncontrolled", 0, "none"),  # better than the control on another metric
        ([G, N], None, None, "uncontrolled", 0, "missing"),
        ([L, N], [N, N], [N, N], "loss", 0, "none"),
        ([G, L], [N, N], [G, L], "mixed", 1, "none"),
        ([N, N], [G, N], [N, N], "none", 0, "gain"),
        ([N, N], None, None, "none", 0, "missing"),
    ],
)
def test_outcomes_of_one_arm(effect: Any, control: Any, over: Any, code: str, own: int, of_controls: str) -> None:
    sides = [("new", "clip", effect)]
    if control is not None:
        sides += [("augment", "clip", control), ("new", "augment", over)]
    found = concluded(*sides, controls=() if control is None else ("augment",))
    counts = {"comparisons": 2, "gains": effect.count(G), "losses": effect.count(L), "own": own}
    assert found["headline"] == {
        "code": code, "arm": "new", "compared": 1, "found": 1, "shared": int(code == "shared"), **counts,
    }  # fmt: skip
    assert found["arms"] == {"new": code}
    assert found["controls"]["code"] == of_controls


def test_a_gain_counts_as_an_arms_own_only_over_every_control() -> None:
    sides = [("new", "clip", [G]), ("a", "clip", [N]), ("b", "clip", [N]), ("new", "a", [G])]
    assert concluded(*sides, controls=("a", "b"))["arms"] == {"new": "uncontrolled"}  # never compared with b
    assert concluded(*sides, ("new", "b", [N]), controls=("a", "b"))["arms"] == {"new": "uncontrolled"}
    assert concluded(*sides, ("new", "b", [G]), controls=("a", "b"))["arms"] == {"new": "gain"}


def test_a_control_has_no_credit_of_its_own() -> None:
    found = concluded(("new", "clip", [G]), ("augment", "clip", [G]), ("new", "augment", [N]))
    said = {
        (r["arm"], r["against"]): (r["credit"], r["shown_by_controls"]) for r in found["rows"] if r["metric"] == "m0"
    }
    assert said == {
        ("new", "clip"): ("shared", ["augment"]),
        ("augment", "clip"): (None, []),
        ("new", "augment"): (None, []),
    }


def test_of_several_arms_the_best_that_can_be_said_of_any_is_the_headline() -> None:
    base = [("augment", "clip", [N]), ("a", "clip", [G]), ("a", "augment", [G]), ("b", "clip", [L])]
    found = concluded(*base, ("new", "clip", [N]), arms=("a", "b", "new"))
    assert found["arms"] == {"a": "gain", "b": "loss", "new": "none"}
    assert found["headline"] == {"code": "gain", "arm": None, "compared": 3, "found": 1, "shared": 0}
    assert found["looks"] == {
        "with_baseline": 4, "with_controls": 1, "families": 3, "metrics": 1, "false_gain": pytest.approx(1 - 0.975**3),
    }  # fmt: skip


def test_what_waits_for_seeds_is_neither_a_gain_nor_no_evidence() -> None:
    found = concluded(("new", "clip", [WAITING]), ("augment", "clip", [WAITING]))
    assert found["headline"]["code"] == "waiting"
    assert found["arms"] == {"new": "waiting"}
    assert found["controls"]["code"] == "unfinished"
    assert found["looks"] is None
    other = concluded(("new", "clip", [G]), ("augment", "clip", [N]), controls=("augment", "late"))
    assert other["controls"]["code"] == "none_yet"


def test_without_any_comparison_nothing_can_be_told() -> None:
    found = concluded(arms=("new", "newer"))
    assert found["headline"] == {"code": "unknown", "arm": None, "compared": 0, "found": 2, "shared": 0}
    assert found["controls"]["code"] == "unfinished"

"""Decisions of experts survive crashes, are read with clear errors, and agree as scikit-learn says."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import cohen_kappa_score

from clipc.audit.decisions import (
    COLUMNS,
    Decision,
    agreement,
    append_decision,
    consensus,
    decide,
    read_decisions,
)
from clipc.errors import UserError

HEADER = ",".join(COLUMNS) + "\n"
ROW = "a,b,left-right,accept,Mori,2026-05-01T14:30:00\n"

texts = st.text(st.characters(exclude_categories=("Cs", "Cc", "Zl", "Zp")), min_size=1).filter(
    lambda t: t == t.strip() != ""
)


@pytest.mark.parametrize("name", ["decisions.csv", "decisions.jsonl"])
@given(rows=st.lists(st.tuples(texts, texts, texts, st.booleans()), max_size=6))
def test_what_is_appended_is_read(
    name: str, rows: list[tuple[str, str, str, bool]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    file = tmp_path_factory.mktemp("decisions") / name
    latest: dict[tuple[str, str, str], Decision] = {}
    for left, right, by, accept in rows:
        decision = decide(left, right, "left-right", accept=accept, by=by)
        append_decision(file, decision)
        latest.pop((left, right, by), None)
        latest[left, right, by] = decision
    assert not rows or read_decisions(file) == list(latest.values())


@pytest.mark.parametrize("name", ["decisions.csv", "decisions.jsonl"])
def test_a_crash_loses_one_decision_at_most(name: str, tmp_path: Path) -> None:
    file = tmp_path / name
    made = [decide(f"a{i}", 'b,"c"', "left-right", accept=i % 2 == 0, by="森") for i in range(3)]
    for decision in made:
        append_decision(file, decision)
    whole = file.read_bytes()
    begin = whole[:-1].rfind(b"\n") + 1
    for cut in range(begin, len(whole)):
        file.write_bytes(whole[:cut])
        left = read_decisions(file)
        assert left[:2] == made[:2]
        append_decision(file, made[2])
        read = read_decisions(file)
        assert read[:2] == made[:2]
        assert read[-1] == made[2]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("left,right\n", "begins with 'left,right', not with left,right,layout"),
        (HEADER + "a,b,left-right,accept,Mori\n", "line 2: there are 5 values"),
        (
            HEADER + ROW + "a,b,left-right,maybe,Mori,2026-05-01\n",
            "line 3: the decision is 'maybe', not accept, reject or withdraw",
        ),
        (HEADER + "a,,left-right,accept,Mori,2026-05-01\n", "line 2: right is empty"),
        (HEADER + "a,b,left-right,accept,Mori,yesterday\n", "line 2: when is 'yesterday'"),
    ],
)
def test_errors_name_the_line(content: str, message: str, tmp_path: Path) -> None:
    file = tmp_path / "d.csv"
    file.write_text(content, "utf-8")
    with pytest.raises(UserError, match=message):
        read_decisions(file)


def test_other_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"ends in \.csv or \.jsonl"):
        read_decisions(tmp_path / "d.xlsx")
    with pytest.raises(UserError, match="cannot be read"):
        read_decisions(tmp_path / "d.csv")
    other = tmp_path / "o.csv"
    other.write_text("x,y\n1,2\n", "utf-8")
    with pytest.raises(UserError, match="name another file"):
        append_decision(other, decide("a", "b", "left-right", accept=True, by="x"))
    assert other.read_text("utf-8") == "x,y\n1,2\n"


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=30))
def test_kappa(votes: list[tuple[bool, bool]]) -> None:
    decisions = [
        decide(str(i), "b", "left-right", accept=vote, by=by)
        for i, both in enumerate(votes)
        for by, vote in zip(("one", "two"), both, strict=True)
    ]
    (row,) = agreement(decisions)
    n, same = len(votes), sum(a == b for a, b in votes)
    assert (row["first"], row["second"], row["n"]) == ("one", "two", n)
    assert row["agree"] == pytest.approx(same / n)
    yes = [sum(v[k] for v in votes) / n for k in (0, 1)]
    chance = yes[0] * yes[1] + (1 - yes[0]) * (1 - yes[1])
    if len({v for both in votes for v in both}) == 1:
        assert row["kappa"] is None
    else:
        assert row["kappa"] == pytest.approx((same / n - chance) / (1 - chance))
        assert row["kappa"] == pytest.approx(cohen_kappa_score(*zip(*votes, strict=True)))


def test_a_composite_is_accepted_by_a_majority() -> None:
    votes = {"a": (True, True, False), "b": (True, False), "c": (False,)}
    made = [decide(key, "x", "left-right", accept=v, by=str(i)) for key, vs in votes.items() for i, v in enumerate(vs)]
    assert consensus(made) == {
        ("a", "x", "left-right"): True,
        ("b", "x", "left-right"): False,
        ("c", "x", "left-right"): False,
    }


def test_a_withdrawn_decision_no_longer_counts(tmp_path: Path) -> None:
    file = tmp_path / "decisions.csv"
    for accept, by in ((True, "Mori"), (False, "Sato"), (None, "Mori")):
        append_decision(file, decide("a", "b", "left-right", accept=accept, by=by))
    assert [(d.decision, d.by) for d in read_decisions(file)] == [("reject", "Sato")]
    append_decision(file, decide("a", "b", "left-right", accept=False, by="Mori"))
    assert consensus(read_decisions(file)) == {("a", "b", "left-right"): False}

"""Decisions of a sitting are in the file before anything else happens, and can be taken back."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clipc.audit.decisions import read_decisions
from clipc.errors import UserError
from clipc.review.book import DecisionBook

SHAPES = [("a", "b", "left-right"), ("a", "b", "top-bottom"), ("b", "a", "left-right")]
steps = st.lists(st.one_of(st.none(), st.tuples(st.sampled_from(SHAPES), st.booleans())), max_size=12)


@given(steps=steps, split=st.integers(0, 12))
def test_the_file_says_what_the_book_holds(
    steps: list[tuple[tuple[str, str, str], bool] | None], split: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    file = tmp_path_factory.mktemp("book") / "decisions.csv"
    book, stack = DecisionBook(file, "Mori"), list[tuple[tuple[str, str, str], bool]]()
    for number, step in enumerate(steps):
        if number == split:  # Another sitting goes on with the same file.
            book = DecisionBook(file, "Mori")
            stack = list(book.mine.items())
        if step is None:
            undone = book.undo()
            assert undone == (stack.pop()[0] if stack else None)
        else:
            book.decide(*step)
            stack.append(step)
        assert (
            {d.composite: d.decision == "accept" for d in read_decisions(file)} == book.mine if file.exists() else True
        )
    latest = dict(stack)
    assert book.mine == latest


def test_two_experts_append_to_one_file_and_see_each_other(tmp_path: Path) -> None:
    file = tmp_path / "decisions.jsonl"
    one, other = DecisionBook(file, "Mori"), DecisionBook(file, "Sato")
    for composite, first, second in zip(SHAPES, (True, False, True), (True, False, False), strict=True):
        one.decide(composite, first)
        other.decide(composite, second)
    (row,) = one.agreement()
    assert (row["first"], row["second"], row["n"]) == ("Mori", "Sato", 3)
    assert row["agree"] == pytest.approx(2 / 3)
    assert row["kappa"] == pytest.approx(0.4)
    assert one.undo() == SHAPES[2]
    assert other.agreement()[0]["n"] == 2
    assert other.mine == dict(zip(SHAPES, (True, False, False), strict=True))


def test_wrong_names_are_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="say who"):
        DecisionBook(tmp_path / "decisions.csv", "  ")
    with pytest.raises(UserError, match=r"ends in \.csv or \.jsonl"):
        DecisionBook(tmp_path / "decisions.txt", "Mori")

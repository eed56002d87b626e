"""The user's figures: the file that ships, and mistakes in one's own."""

from pathlib import Path

import pytest

from clipc.errors import UserError
from clipc.study.worth.figures import read_figures

EXAMPLES = Path(__file__).resolve().parents[3] / "examples"


@pytest.mark.parametrize("name", ["roi.yaml", "roi.ja.yaml"])
def test_the_file_that_ships_is_read(name: str) -> None:
    figures = read_figures(EXAMPLES / name)
    assert figures.currency == "JPY"
    assert figures.expert.hours > 0
    assert figures.point_value is None


def test_both_languages_of_the_example_hold_the_same_figures() -> None:
    assert read_figures(EXAMPLES / "roi.yaml") == read_figures(EXAMPLES / "roi.ja.yaml")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("expert: {hour: 9000}", "pair"),
        ("pair: 400", "expert"),
        ("pair: -1\nexpert: {hour: 9000}", "pair"),
        ("pair: 400\nexpert: {hours: 9000}", "expert.hour"),
        ("pair: 400\nexpert: {hour: 9000}\nprice: 3", "price"),
        ("pair: 400\nexpert: {hour: 9000}\ncurrency: yen", "currency"),
        ("pair: 400\nexpert: {hour: 9000}\nbenefit: points", "point_value"),
        ("[1, 2]", "not a table"),
    ],
)
def test_a_mistake_is_one_sentence_with_file_and_key(tmp_path: Path, text: str, says: str) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(text, "utf-8")
    with pytest.raises(UserError, match=says) as raised:
        read_figures(file)
    assert "mine.yaml" in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"nowhere\.yaml"):
        read_figures(tmp_path / "nowhere.yaml")

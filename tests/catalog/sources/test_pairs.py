import pytest

from clipc.catalog.rows import Row, SourceInfo
from clipc.catalog.sources.pairs import PairsByImage, split_labels


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        (["scratch", "dent", "scratch;dent"], ["scratch", "dent", "scratch|dent"]),
        (["scratch", "dent", "dent, scratch", None], ["scratch", "dent", "dent|scratch", None]),
        (["tench, Tinca tinca", "goldfish"], ["tench, Tinca tinca", "goldfish"]),
        (["gear, small", "gear, large", "nut, small"], ["gear, small", "gear, large", "nut, small"]),
        (["scratch", "dent", "scratch;rust"], ["scratch", "dent", "scratch;rust"]),
    ],
)
def test_labels_that_consist_of_others(labels: list[str | None], expected: list[str | None]) -> None:
    rows = [Row(str(n), ["words"], label, None, "1.jpg") for n, label in enumerate(labels)]
    info = SourceInfo()
    split_labels(rows, info)
    assert [row.more.get("all_labels", row.label) for row in rows] == expected
    assert [row.label for row in rows] == [label and label.split("|")[0] for label in expected]
    assert bool(info.notes) == (labels != expected)


@pytest.mark.parametrize(("column", "ids"), [("image_id", "112"), ("image_id", "111"), (None, "112")])
def test_one_file_under_several_ids_of_images_is_warned_of(column: str | None, ids: str) -> None:
    pairs, info = PairsByImage("t.csv", with_keys=False, image_ids=column), SourceInfo()
    for number in ids:
        assert pairs.add(Row(number, [f"gear {number}"], None, None, "a.jpg")) is None
    assert len(pairs.rows(info)) == 1
    is_told = column is not None and ids == "112"
    assert [("names 1 files under different image_id" in text) for text in info.warnings] == [True] * is_told

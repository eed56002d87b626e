import csv
import io
import itertools
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from clipc.catalog.open import open_catalog
from clipc.catalog.options import SourceOptions
from clipc.catalog.rows import Reject, Row, SourceInfo
from clipc.catalog.sources.layout import Dialect, separated_rows
from clipc.catalog.sources.table import table
from clipc.errors import UserError

Pairs = list[tuple[str, str]]
WORDS = st.text("abcあい傷 ,;'|\t.\\", max_size=12).map("a gear of ".__add__)


def written(rows: list[Any], **how: Any) -> str:
    out = io.StringIO(newline="")
    csv.writer(out, **how).writerows(rows)
    return out.getvalue()


def standard(pairs: Pairs) -> str:
    return written([("image", "caption"), *pairs])


def spark(pairs: Pairs) -> str:
    """Quotation marks after backslashes, in every row's text, so that the form can be known."""
    cells = ['"' + text.replace("\\", "/").replace('"', '\\"') + '"' for _, text in pairs]
    return "image,caption\n" + "".join(f"{file},{cell}\n" for (file, _), cell in zip(pairs, cells, strict=True))


FORMS = {
    "plain": standard,
    "carriage returns": lambda pairs: standard(pairs).replace("\r\n", "\r"),
    "sep": lambda pairs: "sep=;\r\n" + written([("image", "caption"), *pairs], delimiter=";"),
    "title": lambda pairs: "検査結果一覧,\r\n\r\n2024年度,\r\n" + standard(pairs),
    "comment": lambda pairs: "# written on 2024-01-01, version 3\r\n" + standard(pairs),
    "short title": lambda pairs: "Results of 2024\r\n" + standard(pairs),
    "index": lambda pairs: written([("", "image", "caption"), *((n, *pair) for n, pair in enumerate(pairs))]),
    "no heading": written,
    "no heading, tab": lambda pairs: written(pairs, delimiter="\t"),
    "quoted": lambda pairs: written([("image", "caption"), *pairs], quoting=csv.QUOTE_ALL),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("layouts")
    for n in range(40):
        (folder / f"{n:03d}.jpg").touch()
    return folder


def read(path: Path, text: str, **options: Any) -> tuple[list[Row], list[Reject], SourceInfo]:
    path.write_bytes(text.encode())
    info = SourceInfo()
    rows = list(table(path, "t", SourceOptions(**options)).read(info))
    return [r for r in rows if isinstance(r, Row)], [r for r in rows if isinstance(r, Reject)], info


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(WORDS, min_size=3, max_size=8))
@pytest.mark.parametrize("form", FORMS)
def test_every_layout_reads_the_same_pairs_back(folder: Path, form: str, texts: list[str]) -> None:
    pairs = [(f"{n:03d}.jpg", text) for n, text in enumerate(texts)]
    rows, rejects, _ = read(folder / "t.csv", FORMS[form](pairs))
    assert rejects == []
    assert [(row.file, row.captions) for row in rows] == [(file, [text]) for file, text in pairs]


def test_the_row_at_which_a_table_starts_counts_blank_lines_as_the_numbers_of_rows_do(folder: Path) -> None:
    text = "Results of 2024\r\n\r\n\r\nimage,caption\r\n000.jpg,a gear\r\n\r\n001.jpg,\r\n"
    rows, _, info = read(folder / "t.csv", text)
    assert "from row 4 on" in info.notes[0]
    assert [row.number for row in rows] == [5, 7]
    _, _, info = read(folder / "t.csv", "\r\nimage,caption\r\n000.jpg,a gear\r\n")
    assert "from row" not in info.notes[0]


@pytest.mark.parametrize(
    "text", ['a "5 inch" gear', 'a "big" one, "red"', '"quoted" at both "ends"', "no marks, at all"]
)
def test_quotation_marks_after_backslashes(folder: Path, text: str) -> None:
    pairs = [("000.jpg", 'a "5 inch" gear, wide'), ("001.jpg", text), ("002.jpg", "plain")]
    rows, rejects, info = read(folder / "t.csv", spark(pairs))
    assert (rejects, [row.captions for row in rows]) == ([], [[text] for _, text in pairs])
    assert "backslashes" in info.notes[0]


def test_backslashes_of_windows_stay(folder: Path) -> None:
    rows, _, info = read(
        folder / "t.csv", 'image,caption,from\n".\\000.jpg","a gear","C:\\data\\"\n.\\001.jpg,"b ""c""",x\n'
    )
    assert [(row.file, row.captions, row.more) for row in rows] == [
        ("000.jpg", ["a gear"], {"from": "C:\\data\\"}),
        ("001.jpg", ['b "c"'], {"from": "x"}),
    ]
    assert "backslashes" not in info.notes[0]


def test_a_heading_that_is_repeated_is_told(folder: Path) -> None:
    rows, (reject,), _ = read(folder / "t.csv", "image,caption\n000.jpg,a gear\n\ufeffimage,caption\n001.jpg,two\n")
    assert [row.captions for row in rows] == [["a gear"], ["two"]]
    assert (reject.row, reject.reason) == (3, "the heading again")


def test_spaces_around_bars_and_a_damaged_row(folder: Path) -> None:
    lines = [f"{n:03d}.jpg| {k}| A gear , number {n} view {k} ." for n in range(4) for k in range(3)]
    lines[4] = "001.jpg| 1   A gear , number 1 view 1 ."
    rows, (reject,), _ = read(folder / "t.csv", "\n".join(["image_name| comment_number| comment", *lines]))
    assert [len(row.captions) for row in rows] == [3, 2, 3, 3]
    assert rows[0].captions[1].strip() == "A gear , number 0 view 1 ."
    assert (reject.row, reject.reason) == (6, "there is no caption")


@pytest.mark.parametrize("name", ["results.token", "Flickr8k.token.txt"])
def test_token_files(folder: Path, name: str) -> None:
    texts = ['" Hi " , he said , and left .', "Two men , one dog .", 'A sign with " STOP']
    lines = [f"{n:03d}.jpg#{k}\t{texts[k]}" for n in range(3) for k in range(3)]
    rows, rejects, _ = read(folder / name, "\n".join(lines) + "\n")
    assert rejects == []
    assert [(row.file, row.captions) for row in rows] == [(f"{n:03d}.jpg", texts) for n in range(3)]


def test_names_without_ending_and_without_heading(folder: Path) -> None:
    rows, rejects, info = read(folder / "t.txt", "".join(f"{n:03d}\tan axial CT, number {n}\n" for n in range(5)))
    assert (len(rows), rejects) == (5, [])
    assert rows[4].file == "004.jpg"
    assert "without a heading" in info.notes[0]


def test_without_a_heading_words_are_no_captions_by_themselves(folder: Path) -> None:
    with pytest.raises(UserError, match="--caption-columns"):
        read(folder / "t.csv", "000.jpg,scratch\n001.jpg,dent\n")
    with pytest.raises(UserError, match="--caption-columns"):
        read(
            folder / "t.csv",
            "000.jpg,a long scratch here,seen from above left\n001.jpg,a dent in it,seen from below it\n",
        )
    rows, _, _ = read(folder / "t.csv", "000.jpg,scratch\n001.jpg,dent\n", caption_columns=("column 2",))
    assert [row.captions for row in rows] == [["scratch"], ["dent"]]


def test_several_labels_of_an_image_are_kept(folder: Path) -> None:
    text = "image,caption,label\n000.jpg,a mass,Mass\n001.jpg,two things,Edema|Mass\n"
    text += "000.jpg,an edema,Edema\n000.jpg,a mass,Mass\n"
    rows, rejects, info = read(folder / "t.csv", text)
    assert rejects == []
    assert [(row.label, row.captions, row.more) for row in rows] == [
        ("Mass", ["a mass", "an edema"], {"all_labels": "Mass|Edema"}),
        ("Edema", ["two things"], {"all_labels": "Edema|Mass"}),
    ]
    assert any("2 pairs have several labels" in note for note in info.notes)
    (warning,) = info.warnings
    assert "1 images another label in a later row" in warning
    assert "000.jpg" in warning


def test_an_image_in_two_splits_stays_in_the_first(folder: Path) -> None:
    text = "image,caption,split\n000.jpg,a,train\n000.jpg,b,test\n"
    rows, (reject,), _ = read(folder / "t.csv", text)
    assert [(row.captions, row.split) for row in rows] == [(["a"], "train")]
    assert "another split" in reject.reason


def test_words_for_missing_values_do_not_turn_numbers_to_text(folder: Path) -> None:
    text = "image,caption,label,weight\n000.jpg,nan,ok,1.5\n001.jpg,two,None,N/A\n002.jpg,three,bad,2\n"
    rows, _, _ = read(folder / "t.csv", text)
    assert [(row.captions, row.label, row.more) for row in rows] == [
        ([], "ok", {"weight": 1.5}),
        (["two"], None, {"weight": None}),
        (["three"], "bad", {"weight": 2.0}),
    ]


@pytest.mark.parametrize("name", ["t.xlsx", "t.xls", "t.csv"])
def test_a_workbook_is_to_be_saved_as_csv(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"PK\3\4 and more" if name != "t.xls" else b"\xd0\xcf\x11\xe0")
    with pytest.raises(UserError, match=r"save the sheet as CSV"):
        open_catalog(tmp_path / name)


def test_a_file_of_empty_lines_is_refused_soon() -> None:
    lines = itertools.chain(["image,caption\n"], itertools.repeat("\n"))  # endless
    with pytest.raises(UserError, match="more than 1,000,000 empty lines follow one another"):
        list(separated_rows(lines, Dialect(",", csv.QUOTE_MINIMAL)))

import csv
import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clipc.catalog.open import open_catalog
from clipc.catalog.sources.template import cell_text, read_template
from clipc.errors import UserError


@pytest.fixture
def export(tmp_path: Path, picture) -> Path:
    """A factory's export: columns, but no sentence."""
    for n in range(12):
        (tmp_path / f"{n}.jpg").write_bytes(picture(n))
    parts, defects, lines = ("gear", "washer"), ("scratch", "", "NaN", "dent"), ("A", "B", "C")
    with open(tmp_path / "export.csv", "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["file", "part", "defect", "line", "weight"])
        writer.writerows([f"{n}.jpg", parts[n % 2], defects[n % 4], lines[n % 3], n / 2] for n in range(12))
    return tmp_path / "export.csv"


def column(name: str) -> str:
    return name


@pytest.mark.parametrize(
    ("text", "record", "caption"),
    [
        ("a {part} with {defect|no defect}", {"part": "gear", "defect": "dent"}, "a gear with dent"),
        ("a {part} with {defect|no defect}", {"part": "gear", "defect": " "}, "a gear with no defect"),
        ("a {part} with {defect|no defect}", {"part": "gear", "defect": math.nan}, "a gear with no defect"),
        ("a {part} with {defect}", {"part": "gear", "defect": None}, None),
        ("a {part} with {defect}", {"part": "gear"}, None),
        ("{部品}の{状態|良品}", {"部品": "歯車", "状態": "―"}, "歯車の良品"),
        ("{a|}{b}", {"b": 3.0}, "3"),
        ("{{{a}}} {{x}}", {"a": "v"}, "{v} {x}"),
        ("{a}", {"a": "{b}"}, "{b}"),
        ("{a}", {"a": ["x", "y"]}, "x, y"),
    ],
)
def test_templates(text: str, record: dict[str, Any], caption: str | None) -> None:
    assert read_template(text, column).fill(record) == caption


@pytest.mark.parametrize("text", ["a {part", "part}", "{a}}", "{{{{a}", "a gear", "", "{{part}}", "{a{b}}"])
def test_what_is_no_template_is_a_users_error(text: str) -> None:
    with pytest.raises(UserError, match="the caption template"):
        read_template(text, column)


texts = st.text(st.characters(exclude_categories=["Cs"]))


@given(texts, texts, texts.filter(lambda text: cell_text(text) != ""))
def test_any_text_survives_with_its_braces_doubled(before: str, after: str, value: str) -> None:
    doubled = [text.replace("{", "{{").replace("}", "}}") for text in (before, after)]
    template = read_template(f"{doubled[0]}{{x}}{doubled[1]}", column)
    assert template.fill({"x": value}) == before + value.strip() + after


def test_captions_are_made_shown_and_counted(export: Path) -> None:
    plain = open_catalog(export, caption_templates=["a {part} with {defect|no defect}"])
    assert [plain.captions(n) for n in range(4)] == [
        ["a gear with scratch"],
        ["a washer with no defect"],
        ["a gear with no defect"],
        ["a washer with dent"],
    ]
    (note,) = [note for note in plain.about.notes if "captions made from columns" in note]
    assert "4 distinct" in note
    assert '"a gear with scratch"; "a washer with no defect"' in note
    assert any("only 4 distinct captions for 12 rows" in warning for warning in plain.about.warnings)
    assert plain.column("line")[:3] == ["A", "B", "C"]
    two = open_catalog(export, caption_templates=["a {part} with {defect}", "{part} {weight}"])
    assert two.captions(0) == ["a gear with scratch", "gear 0.0"]
    assert two.captions(1) == ["washer 0.5"]
    assert any("skipped in 6 rows" in note for note in two.about.notes)
    assert [w.partition(":")[0] for w in two.about.warnings] == ["6 of 12 pairs have no label in the column defect"]
    (ten,) = [note for note in two.about.notes if "captions made from columns" in note]
    assert ten.count('"') == 20
    assert two.fingerprint != plain.fingerprint
    assert open_catalog(export, caption_templates=["a {part} with {defect|no defect}"]).fingerprint == plain.fingerprint


def test_a_row_without_a_caption_is_refused(export: Path) -> None:
    catalog = open_catalog(export, caption_templates=["a {part} with {defect}"])
    assert len(catalog) == 6
    assert catalog.rejects["reason"].to_pylist() == ["there is no caption"] * 6


def test_a_wrong_column_is_told_with_the_nearest(export: Path) -> None:
    with pytest.raises(UserError, match=r"'a \{parts\}': unknown column 'parts'; did you mean 'part'"):
        open_catalog(export, caption_templates=["a {parts}"])


def test_a_table_without_captions_gets_a_proposal(export: Path) -> None:
    with pytest.raises(UserError) as error:
        open_catalog(export)
    proposal = str(error.value).partition('--caption-template "')[2].partition('"')[0]
    assert proposal == "a {part} with {defect|no defect}, line {line}"
    assert len(open_catalog(export, caption_templates=[proposal])) == 12
    text = export.read_text().replace("part,defect,line", "部品,判定,ライン")
    export.write_text(text)
    with pytest.raises(UserError, match=r'"\{部品\}、\{判定\|異常なし\}、ライン\{ライン\}"'):
        open_catalog(export)
    export.write_text("file,判定\n" + "".join(f"{n}.jpg,{'良'}\n" for n in range(12)))
    with pytest.raises(UserError, match=r'"\{判定\}の写真"'):
        open_catalog(export)
    export.write_text("file,note\n" + "".join(f"{n}.jpg,value {n}\n" for n in range(12)))
    with pytest.raises(UserError) as error:
        open_catalog(export)
    assert "template" not in str(error.value)


def test_a_source_without_columns_refuses_templates(tmp_path: Path, picture) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "1.jpg").write_bytes(picture(1))
    with pytest.raises(UserError, match=r"is no table.*CSV"):
        open_catalog(tmp_path, caption_templates=["{a}"])

import base64
import csv
import io
import json
import os
import unicodedata
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from clipc.catalog.open import open_catalog
from clipc.catalog.sources.encoding import detect_encoding
from clipc.errors import UserError

HEADING = ["画像", "説明", "品番", "不良種別"]
ROWS = [
    ["images/歯車～壱.jpg", '表面に傷がある、"深い"歯車', "007", "傷"],
    ["images/表ソ能.jpg", "ソ連製の能面、表にへこみ", "012", "凹み"],
    ["images/ナット②.jpg", "良品のナット\n二行目", "007", "良品"],
]  # ソ 能 表 end in the byte 0x5C in CP932


@pytest.fixture
def parts(tmp_path: Path, picture) -> Path:
    (tmp_path / "images").mkdir()
    for n, row in enumerate(ROWS):
        (tmp_path / unicodedata.normalize("NFD", row[0])).write_bytes(picture(n))
    return tmp_path


def as_csv(rows: list[list[str]], separator: str = ",") -> str:
    out = io.StringIO()
    csv.writer(out, delimiter=separator).writerows(rows)
    return out.getvalue()


@pytest.mark.parametrize("separator", [",", "\t", ";"])
@pytest.mark.parametrize(
    ("codec", "told"),
    [
        ("utf-8", "UTF-8"),
        ("utf-8-sig", "byte order mark"),
        ("utf-16", "UTF-16"),
        ("utf-16-le", "UTF-16-LE"),
        ("utf-16-be", "UTF-16-BE"),
        ("cp932", "CP932"),
        ("euc_jp", "EUC_JP"),
    ],
)
def test_japanese_spreadsheets(parts: Path, codec: str, told: str, separator: str) -> None:
    rows = [HEADING, *ROWS]
    if codec == "euc_jp":  # it has no ② and another wave dash
        rows = [[cell.replace("②", "2").replace("～", "〜") for cell in row] for row in rows]
        for path in (parts / "images").iterdir():
            path.rename(path.with_name(path.name.replace("②", "2")))
    (parts / "parts.csv").write_bytes(as_csv(rows, separator).encode(codec))
    catalog = open_catalog(parts / "parts.csv")
    assert catalog.rejects.to_pylist() == []
    assert [catalog.captions(n) for n in range(3)] == [[" ".join(row[1].split())] for row in rows[1:]]
    assert catalog.column("品番") == ["007", "012", "007"]
    assert catalog.column("label") == ["傷", "凹み", "良品"]
    assert catalog.about.label_columns == ("label",)
    assert told in catalog.about.notes[0]
    assert all(catalog.image(n).shape == (16, 24, 3) for n in range(3))


def test_the_encoding_can_be_named(parts: Path) -> None:
    (parts / "parts.csv").write_bytes(as_csv([HEADING, *ROWS]).encode("cp932"))
    assert len(open_catalog(parts / "parts.csv", encoding="shift_jis")) == 3
    with pytest.raises(UserError, match="no encoding 'klingon'"):
        open_catalog(parts / "parts.csv", encoding="klingon")
    with pytest.raises(UserError):
        open_catalog(parts / "parts.csv", encoding="base64")


@pytest.mark.parametrize("codec", ["utf-8", "cp932"])
def test_bad_bytes_cost_their_row_only(parts: Path, codec: str) -> None:
    data = as_csv([HEADING, *ROWS]).encode(codec)
    at = data.index("表にへこみ".encode(codec))
    damaged = data[: at + 1] + b"\xff" + data[at + 2 :]
    (parts / "parts.csv").write_bytes(damaged)
    catalog = open_catalog(parts / "parts.csv")
    assert len(catalog) == 2
    (reject,) = catalog.rejects.to_pylist()
    assert "bad characters" in reject["reason"]
    assert (reject["file"], reject["row"]) == ("parts.csv", 3)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.text("あいうえおカキクケコ日本語傷歯車。、（）～ソ表能ー①㈱ abc,", min_size=4), min_size=3))
def test_japanese_text_is_told_from_other_encodings(lines: list[str]) -> None:
    text = "説明,画像\n" + "\n".join(lines)
    assert detect_encoding(text.encode("cp932")).codec == "cp932"
    assert detect_encoding(text.encode("utf-8")).codec == "utf-8"
    assert detect_encoding(text.encode("utf-16-le")).codec == "utf-16-le"


def test_european_text_is_not_taken_for_japanese() -> None:
    text = "image,caption\n1.jpg,un café près de la forêt, très beau\n2.jpg,über größere Häuser\n" * 20
    data = text.encode("cp1252")
    assert data.decode(detect_encoding(data).codec) == text


def test_captions_with_commas_quotes_and_newlines(tmp_path: Path, picture) -> None:
    captions = ['a "red", round thing', "two\nlines", "plain; with | and\ttab", 'a 5" pipe, cut']
    for n in range(4):
        (tmp_path / f"{n}.png").write_bytes(picture(n, format="PNG"))
    rows = [["filename", "caption"], *([f"{n}.png", c] for n, c in enumerate(captions))]
    (tmp_path / "t.csv").write_text(as_csv(rows), encoding="utf-8")
    catalog = open_catalog(tmp_path / "t.csv")
    assert [catalog.captions(n)[0] for n in range(4)] == [" ".join(c.split()) for c in captions]


def test_tab_separated_text_without_quoting(tmp_path: Path, picture) -> None:
    captions = ['"quoted" at the start', 'a 5" pipe', '"open at the start']
    for n in range(3):
        (tmp_path / f"{n}.jpg").write_bytes(picture(n))
    text = "image\tcaption\n" + "".join(f"{n}.jpg\t{c}\n" for n, c in enumerate(captions))
    (tmp_path / "t.tsv").write_text(text, encoding="utf-8")
    catalog = open_catalog(tmp_path / "t.tsv")
    found = [catalog.captions(n)[0] for n in range(len(catalog))]
    assert len(found) + catalog.rejects.num_rows == 3
    assert 'a 5" pipe' in found


def test_a_quote_that_is_never_closed_costs_its_row_only(tmp_path: Path, picture) -> None:
    for n in range(40):
        (tmp_path / f"{n}.jpg").write_bytes(picture(n))
    lines = [f'{n}.jpg,"thing, number {n}"\n' for n in range(40)]
    lines[5] = '5.jpg,"never closed\n'
    (tmp_path / "t.csv").write_text("image,caption\n" + "".join(lines), encoding="utf-8")
    catalog = open_catalog(tmp_path / "t.csv")
    assert len(catalog) >= 38
    assert any("not closed" in reason for reason in catalog.rejects["reason"].to_pylist())


def test_one_caption_a_row_is_joined_by_image(tmp_path: Path, picture) -> None:
    for n in range(2):
        (tmp_path / f"{n}.jpg").write_bytes(picture(n))
    rows = [["image", "caption"], *([f"{n % 2}.jpg", f"caption {n}"] for n in range(10))]
    (tmp_path / "captions.txt").write_text(as_csv(rows), encoding="utf-8")
    catalog = open_catalog(tmp_path)
    assert len(catalog) == 2
    assert catalog.captions(1) == [f"caption {n}" for n in range(1, 10, 2)]
    assert any("8 rows" in note for note in catalog.about.notes)


@pytest.mark.parametrize("kind", ["csv", "jsonl", "json", "parquet"])
def test_lists_of_captions_and_numbered_columns(tmp_path: Path, picture, kind: str) -> None:
    records = [
        {"file_name": f"{n}.jpg", "captions": [f"one, {n}", f"two {n}"], "id": n + 100, "w": n / 2, "split": "dev"}
        for n in range(3)
    ]
    (tmp_path / "sub").mkdir()
    for n in range(3):
        (tmp_path / "sub" / f"{n}.jpg").write_bytes(picture(n))
    path = tmp_path / f"t.{kind}"
    if kind == "csv":
        rows = [[str(json.dumps(v) if isinstance(v, list) else v) for v in r.values()] for r in records]
        path.write_text(as_csv([list(records[0]), *rows]), encoding="utf-8")
    elif kind == "jsonl":
        path.write_text("\n".join(map(json.dumps, records)) + "\nnot json\n", encoding="utf-8")
    elif kind == "json":
        path.write_text(json.dumps(records, indent=1), encoding="utf-8")
    else:
        pq.write_table(pa.Table.from_pylist(records), path)
    catalog = open_catalog(path)
    assert [catalog.captions(n) for n in range(3)] == [[f"one, {n}", f"two {n}"] for n in range(3)]
    assert catalog.keys == ["100", "101", "102"]
    assert catalog.splits == {"val": 3}
    assert catalog.table["w"].to_pylist() == [0.0, 0.5, 1.0]
    assert catalog.rejects.num_rows == (kind == "jsonl")
    assert any("folder sub" in note for note in catalog.about.notes)


def test_numbered_caption_columns(tmp_path: Path, picture) -> None:
    (tmp_path / "a.jpg").write_bytes(picture(0))
    (tmp_path / "t.csv").write_text("Image Path,Caption_1,Caption_2,title\n.\\a.jpg,x,y,z\n", encoding="utf-8")
    catalog = open_catalog(tmp_path / "t.csv")
    assert catalog.captions(0) == ["x", "y"]
    assert catalog.column("title") == ["z"]


def test_columns_by_name_and_by_option(tmp_path: Path, picture) -> None:
    (tmp_path / "a.jpg").write_bytes(picture(0))
    (tmp_path / "t.csv").write_text("bild,worte,art,zustand\na.jpg,ein Ding,x,neu\n", encoding="utf-8")
    with pytest.raises(UserError, match=r"captions.*--caption-columns.*bild, worte, art, zustand"):
        open_catalog(tmp_path / "t.csv")
    catalog = open_catalog(tmp_path / "t.csv", caption_columns=("worte",), label_columns=("art", "zustand"))
    assert catalog.captions(0) == ["ein Ding"]
    assert catalog.column("label") == ["x"]
    assert catalog.column("zustand") == ["neu"]
    with pytest.raises(UserError, match=r"unknown column 'wort'; did you mean 'worte'"):
        open_catalog(tmp_path / "t.csv", caption_columns=("wort",))


def test_a_table_without_a_heading_lists_its_columns(tmp_path: Path, picture) -> None:
    for n in range(2):
        (tmp_path / f"{n}.jpg").write_bytes(picture(n))
    (tmp_path / "t.csv").write_text("0.jpg,first\n1.jpg,second\n", encoding="utf-8")
    with pytest.raises(UserError, match=r"column 1, column 2"):
        open_catalog(tmp_path / "t.csv")
    assert len(open_catalog(tmp_path / "t.csv", caption_columns=("column 2",))) == 2


def test_images_never_lie_outside_the_root(tmp_path: Path, picture) -> None:
    root = tmp_path / "root"
    (root / "in").mkdir(parents=True)
    (tmp_path / "secret.jpg").write_bytes(picture(9))
    (root / "in" / "good.jpg").write_bytes(picture(1))
    (root / "alias.jpg").symlink_to(root / "in" / "good.jpg")
    (root / "link.jpg").symlink_to(tmp_path / "secret.jpg")
    (root / "linked").symlink_to(tmp_path)
    os.mkfifo(root / "pipe.jpg")
    names = {
        "in/good.jpg": None,
        "alias.jpg": None,
        str(root / "in" / "good.jpg"): None,
        "../secret.jpg": "out of",
        "in/../../secret.jpg": "out of",
        str(tmp_path / "secret.jpg"): "out of",
        "link.jpg": "out of",
        "linked/secret.jpg": "out of",
        "pipe.jpg": "regular",
        "nowhere.jpg": "no such",
        "in": "regular",
        "https://example.org/a.jpg": "web address",
    }
    rows = [["image", "caption", "label"], *([name, f"c{n}", str(n)] for n, name in enumerate(names))]
    (root / "t.csv").write_text(as_csv(rows), encoding="utf-8")
    catalog = open_catalog(root / "t.csv")
    assert catalog.keys == ["in/good.jpg", "alias.jpg"]
    assert catalog.captions(0) == ["c0", "c2"]
    reasons = {row["row"]: row["reason"] for row in catalog.rejects.to_pylist()}
    for number, (name, word) in enumerate(names.items(), 2):
        assert (word is None) == (number not in reasons), name
        assert word is None or word in reasons[number], (name, reasons[number])


def test_images_may_lie_elsewhere_when_told(tmp_path: Path, picture) -> None:
    (tmp_path / "store").mkdir()
    (tmp_path / "tables").mkdir()
    (tmp_path / "store" / "a.jpg").write_bytes(picture(0))
    (tmp_path / "tables" / "t.csv").write_text("image,caption\nA,ein Wort\n", encoding="utf-8")
    assert len(open_catalog(tmp_path / "tables" / "t.csv", images=tmp_path / "store", image_column="image")) == 1


@pytest.mark.parametrize("data", [b"", b"   \n", b"\0" * 100, b"PK\x03\x04", b"PAR1", b"[1, 2", b"\xff\xfe", b"a\n"])
def test_what_is_no_table_is_a_users_error(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "t.csv").write_bytes(data)
    with pytest.raises(UserError):
        open_catalog(tmp_path / "t.csv")


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\0")).map("w".__add__), min_size=1))
def test_any_caption_survives_a_well_written_csv(tmp_path: Path, picture, captions: list[str]) -> None:
    for n in range(len(captions)):
        (tmp_path / f"{n}.jpg").write_bytes(picture(n))
    rows = [["image", "caption"], *([f"{n}.jpg", c] for n, c in enumerate(captions))]
    out = io.StringIO(newline="")
    csv.writer(out).writerows(rows)
    (tmp_path / "t.csv").write_bytes(out.getvalue().encode())
    catalog = open_catalog(tmp_path / "t.csv")
    expected = [[" ".join(c.replace("\0", " ").split())] for c in captions]
    found = [catalog.captions(n) for n in range(len(catalog))]
    kept = [c for c in expected if "\ufffd" not in c[0] and not c[0].startswith("w[")]
    assert all(c in found for c in kept)


def test_labels_of_whole_numbers_lose_what_missing_values_gave_them(tmp_path: Path, picture) -> None:
    for labels, read in ((["1.0", "2", ""], ["1", "2", None]), (["1.0", "2.5", "x"], ["1.0", "2.5", "x"])):
        for n in range(3):
            (tmp_path / f"{n}.jpg").write_bytes(picture(n))
        rows = [f"{n}.jpg,gear {n},{labels[n]}\n" for n in range(3)]
        (tmp_path / "t.csv").write_text("image,caption,label\n" + "".join(rows))
        assert open_catalog(tmp_path / "t.csv").column("label") == read


def test_a_space_between_images_and_captions_is_named(tmp_path: Path, picture) -> None:
    (tmp_path / "a.jpg").write_bytes(picture(1))
    (tmp_path / "captions.txt").write_text("a.jpg a red gear\nb.jpg a washer\n")
    for source in (tmp_path, tmp_path / "captions.txt"):
        with pytest.raises(UserError, match="only a space is between image files and captions; write a tab"):
            open_catalog(source)


def test_half_of_the_training_images_are_not_completed_by_those_for_the_test(tmp_path: Path, picture) -> None:
    for folder, count in (("train_images", 5), ("test_images", 12)):
        (tmp_path / folder).mkdir()
        for n in range(count):
            (tmp_path / folder / f"{n}.png").write_bytes(picture(100 * len(folder) + n))
    rows = [["id", "caption"], *([f"{n}.png", f"leaf {n}"] for n in range(12))]
    (tmp_path / "train.csv").write_text(as_csv(rows))
    catalog = open_catalog(tmp_path / "train.csv")
    assert list(catalog.keys) == [f"train_images/{n}.png" for n in range(5)]
    (tmp_path / "leaves.csv").write_text(as_csv(rows))
    with pytest.raises(UserError, match=r"several folders .*test_images 12, train_images 5.*--images"):
        open_catalog(tmp_path / "leaves.csv")


@pytest.mark.parametrize("start", ["/mnt/nas/", "D:\\nas\\", ""])
def test_a_lot_that_was_not_copied_gives_no_captions_to_another(tmp_path: Path, picture, start: str) -> None:
    (tmp_path / "lot_A").mkdir()
    for n in range(6):
        (tmp_path / "lot_A" / f"{n}.png").write_bytes(picture(n))
    rows = [[f"{start}{lot}/{n}.png", f"{lot} ring {n}", lot] for lot in ("lot_B", "lot_A") for n in range(6)]
    (tmp_path / "rings.csv").write_text(as_csv([["filepath", "caption", "label"], *rows]))
    catalog = open_catalog(tmp_path / "rings.csv")
    assert [catalog.captions(n) for n in range(6)] == [[f"lot_A ring {n}"] for n in range(6)]
    assert [reject["row"] for reject in catalog.rejects.to_pylist()] == [2, 3, 4, 5, 6, 7]
    assert "there is no such image file" in catalog.rejects["reason"][0].as_py()
    assert not any("another label" in warning for warning in catalog.about.warnings)


def test_of_two_columns_of_image_files_the_user_names_one(parts: Path) -> None:
    rows = [["clinic", "derm", "mask", "caption"]]
    rows += [[ROWS[n][0], ROWS[m][0], ROWS[m][0], f"view {n}"] for n, m in ((0, 1), (1, 0))]
    path = parts / "meta.csv"
    path.write_text(as_csv(rows))
    with pytest.raises(UserError, match=r"columns clinic, derm name different image files.*--image-column"):
        open_catalog(path)
    assert len(open_catalog(path, image_column="derm")) == 2
    # Equal columns, masks, and files that are not there leave no choice; a name of images is one.
    path.write_text(as_csv([rows[0], *([a, a, b, c] for a, _, b, c in rows[1:])]))
    assert len(open_catalog(path)) == 2
    path.write_text(as_csv([rows[0], *([a, f"gone/{b}", c, d] for a, b, c, d in rows[1:])]))
    assert len(open_catalog(path)) == 2
    path.write_text(as_csv([["clinic", "image", "mask", "caption"], *rows[1:]]))
    assert list(open_catalog(path).keys) == [unicodedata.normalize("NFD", ROWS[n][0]) for n in (1, 0)]


@pytest.mark.parametrize(("size", "column"), [(5, "image"), (40, "picture_b64"), (300, "image")])
def test_images_as_text_are_refused_without_their_text(tmp_path: Path, size: int, column: str) -> None:
    texts = [base64.b64encode(b"\x89PNG\r\n\x1a\n" + os.urandom(size * size * 3)).decode() for _ in range(4)]
    path = tmp_path / "trays.tsv"
    path.write_text(
        as_csv([["index", column, "caption"], *([str(n), t, f"tray {n}"] for n, t in enumerate(texts))], "\t")
    )
    with pytest.raises(UserError, match=r"as text \(base64\)") as caught:
        open_catalog(path)
    assert len(str(caught.value)) < 300
    assert "iVBOR" not in str(caught.value)
    assert "no such image" not in str(caught.value)


@pytest.mark.parametrize(("missing", "is_told"), [(0, False), (1, False), (2, True), (9, True), (10, False)])
def test_labels_that_are_missing_in_more_than_a_tenth_of_the_rows(
    tmp_path: Path, picture, missing: int, is_told: bool
) -> None:
    rows = [["image", "caption", "label"]]
    for n in range(10):
        (tmp_path / f"{n}.png").write_bytes(picture(n))
        rows.append([f"{n}.png", f"number {n}", "" if n < missing else "ab"[n % 2]])
    (tmp_path / "t.csv").write_text(as_csv(rows))
    warnings = open_catalog(tmp_path / "t.csv").about.warnings
    told = f"{missing} of 10 pairs have no label in the column label"
    assert any(told in warning for warning in warnings) == is_told


@pytest.mark.parametrize(("damaged", "is_told"), [(4, True), (2, False)])
def test_names_that_unzipping_damaged_are_a_guess_only_where_as_many_are_left(
    tmp_path: Path, picture, damaged: int, is_told: bool
) -> None:
    rows = [["画像", "キャプション"]]
    for n in range(6):
        name = f"部品表_{n}.png"
        broken = name.encode("cp932").decode("cp437")
        if n < 2 or n >= 6 - damaged:
            (tmp_path / (name if n < 2 else broken)).write_bytes(picture(n))
        rows.append([name, f"部品 {n} の写真"])
    (tmp_path / "list.csv").write_text(as_csv(rows))
    catalog = open_catalog(tmp_path / "list.csv")
    assert len(catalog) == 2
    told = [
        w for w in catalog.about.warnings if "4 image files that are named are not there, and 4 that are there" in w
    ]
    assert len(told) == is_told

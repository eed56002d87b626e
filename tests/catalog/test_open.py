import subprocess
import sys
from pathlib import Path

import pytest

from clipc.catalog.catalog import SCHEMA
from clipc.catalog.open import open_catalog
from clipc.catalog.options import SourceOptions
from clipc.errors import UserError


def test_every_kind_gives_the_same_columns(tmp_path: Path, write_tar, samples, picture) -> None:
    write_tar(tmp_path / "tars" / "a.tar", samples(2))
    (tmp_path / "table").mkdir()
    (tmp_path / "folder").mkdir()
    for n in range(2):
        (tmp_path / "table" / f"{n}.jpg").write_bytes(picture(n))
        (tmp_path / "folder" / f"{n}.jpg").write_bytes(picture(n))
        (tmp_path / "folder" / f"{n}.txt").write_text(f"picture {n}", encoding="utf-8")
    (tmp_path / "table" / "metadata.csv").write_text("file_name,text\n0.jpg,a\n1.jpg,b\n", encoding="utf-8")
    sources = ["tars", "tars/a.tar", "tars/*.tar", "table", "table/metadata.csv", "folder"]
    contents = []
    for source in sources:
        catalog = open_catalog(str(tmp_path / source))
        assert catalog.table.schema.names[: len(SCHEMA)] == SCHEMA.names
        assert catalog.table.schema.names[len(SCHEMA)] == "dhash"
        assert all(catalog.table.schema.field(name).equals(SCHEMA.field(name)) for name in SCHEMA.names)
        contents.append(catalog.column("content"))
    assert all(content == contents[0] for content in contents)


def test_wrong_sources_are_told_what_there_is(tmp_path: Path, picture) -> None:
    (tmp_path / "pictures").mkdir()
    cases = {
        str(tmp_path / "picturs"): "but there is",
        str(tmp_path / "no" / "where"): "does not exist",
        str(tmp_path / "pictures"): "is an empty folder",
        str(tmp_path / "*.tar"): "there is no",
    }
    (tmp_path / "notes.pdf").write_bytes(b"%PDF")
    cases[str(tmp_path / "notes.pdf")] = "no known kind"
    (tmp_path / "set.tar.gz").write_bytes(b"\x1f\x8b")
    cases[str(tmp_path / "set.tar.gz")] = "unpack it first"
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "readme.md").write_text("hello")
    cases[str(tmp_path / "docs")] = r"readme\.md"
    (tmp_path / "tables").mkdir()
    for name in ("a.csv", "b.csv"):
        (tmp_path / "tables" / name).write_text("image,caption\n")
    cases[str(tmp_path / "tables")] = "several tables"
    for source, words in cases.items():
        with pytest.raises(UserError, match=words) as caught:
            open_catalog(source)
        assert "\n" not in str(caught.value)


def test_options_are_the_same_however_they_are_given(tmp_path: Path, picture) -> None:
    rows = ["file,words,part"]
    for n in range(20):
        (tmp_path / f"{n}.jpg").write_bytes(picture(n))
        rows.append(f"{n}.jpg,picture {n},P-{n // 2}")
    (tmp_path / "t.csv").write_text("\n".join(rows), "utf-8")
    options = SourceOptions(image_column="file", caption_columns=("words",))
    catalog = open_catalog(tmp_path / "t.csv", options)
    named = open_catalog(tmp_path / "t.csv", image_column="file", caption_columns=["words"])
    assert named.fingerprint == catalog.fingerprint
    assert catalog.splits == {"train": 20}
    with pytest.raises(TypeError, match="caption_column"):
        open_catalog(tmp_path / "t.csv", caption_column="words")
    split = open_catalog(tmp_path / "t.csv", options, group_column="part")
    assert set(split.splits) == {"train", "val", "test"}
    sides = {(part, side) for part, side in zip(split.column("part"), split.column("split"), strict=True)}
    assert len(sides) == 10


def test_the_demo_set_opens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, write_tar, samples) -> None:
    import clipc.demo as demo

    def few(folder: Path, lang: str = "en", progress: object = None) -> Path:
        write_tar(folder / "train-00000.tar", samples(4, generated=True))
        return folder

    monkeypatch.setattr(demo, "make_demo", few)
    catalog = open_catalog("demo")
    assert catalog.about.name == "demo"
    assert catalog.about.generated
    assert len(catalog) == 4


def test_opening_needs_no_heavy_library() -> None:
    code = "import sys, clipc.catalog; print(*({'torch', 'PIL', 'simplejpeg', 'scipy', 'datasets'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def test_globs_in_folders_with_brackets(tmp_path: Path, write_tar, samples) -> None:
    write_tar(tmp_path / "[2024] set" / "a.tar", samples(1))
    write_tar(tmp_path / "[2024] set" / "b.tar", samples(1, start=1))
    assert len(open_catalog(str(tmp_path / "[2024] set" / "*.tar"))) == 2
    assert len(open_catalog(str(tmp_path / "[2024] set" / "[a].tar"))) == 1
    write_tar(tmp_path / "2" / "c.tar", samples(1))
    assert len(open_catalog(str(tmp_path / "[0-9]" / "*.tar"))) == 1


def test_tables_that_are_not_read_with_their_neighbours_are_named(tmp_path: Path, picture, write_tar) -> None:
    table = "image,label\n" + "".join(f"{n}.jpg,a\n" for n in range(3))
    write_tar(tmp_path / "tars" / "images.tar", [(f"{n}.jpg", picture(n)) for n in range(3)])
    (tmp_path / "tars" / "captions.csv").write_text(table)
    with pytest.raises(UserError, match=r"tables beside tars were not read \(captions.csv\)"):
        open_catalog(tmp_path / "tars")
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "labels.csv").write_text(table)
    for n in range(3):
        (tmp_path / "texts" / f"{n}.jpg").write_bytes(picture(n))
        (tmp_path / "texts" / f"{n}.txt").write_text("a gear")
    with pytest.raises(UserError, match="Texts beside images are not read where a table is"):
        open_catalog(tmp_path / "texts")

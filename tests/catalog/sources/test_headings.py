from pathlib import Path
from typing import Any

import pytest

from clipc.catalog.open import open_catalog
from clipc.catalog.options import SourceOptions
from clipc.catalog.sources.headings import find_headings
from clipc.errors import UserError


@pytest.fixture
def images(tmp_path: Path, picture) -> Path:
    (tmp_path / "images").mkdir()
    for n in range(60):
        (tmp_path / "images" / f"{n:04d}.jpg").write_bytes(picture(n))
    return tmp_path


def write(root: Path, heading: str, row: str, rows: int = 60) -> Path:
    path = root / "t.csv"
    path.write_text("\n".join([heading, *(row.format(n=n, half=n // 2) for n in range(rows))]), encoding="utf-8")
    return path


@pytest.mark.parametrize("name", ["状態", "判定", "良否", "合否", "結果", "不良種別", "defect", "label", "Defect Type"])
def test_label_columns_by_name(name: str) -> None:
    headings = find_headings(["image", "caption", name], [], SourceOptions(), "t.csv")
    assert headings.labels == (name,)
    assert headings.others == ()


@pytest.mark.parametrize(
    ("heading", "row", "image"),
    [
        ("image_url,file,caption", "https://example.org/{n}.jpg,images/{n:04d}.jpg,gear {n}", "file"),
        ("image,path,caption", "https://example.org/{n}.jpg,images/{n:04d}.jpg,gear {n}", "path"),
        ("image_id,caption", "{n},gear {n}", "image_id"),
        ("ID,caption", "{n:04d},gear {n}", "ID"),
        ("id,image,caption", "{n},{n:04d},gear {n}", "image"),
        ("path,caption", r"D:\set\images\{n:04d}.jpg,gear {n}", "path"),
        ("image,caption", "/data/upload/3/{n:04d}.jpg,gear {n}", "image"),
    ],
)
def test_the_image_column(images: Path, heading: str, row: str, image: str) -> None:
    catalog = open_catalog(write(images, heading, row))
    assert catalog.column("file") == [f"images/{n:04d}.jpg" for n in range(60)]
    assert [catalog.caption(n, 0) for n in range(60)] == [f"gear {n}" for n in range(60)]
    assert any(f"columns: image = {image};" in note for note in catalog.about.notes)


def test_numbers_of_rows_are_no_images(images: Path) -> None:
    with pytest.raises(UserError, match=r"--image-column.*id, caption"):
        open_catalog(write(images, "id,caption", "{n},gear {n}"))
    with pytest.raises(UserError, match="web address"):
        open_catalog(write(images, "url,id,caption", "https://example.org/{n}.jpg,{n},gear {n}"))


def test_a_failing_image_column_is_named(images: Path) -> None:
    with pytest.raises(UserError, match=r"there is no such image file \(column path\)"):
        open_catalog(write(images, "path,caption", "missing{n}.jpg,gear {n}"))


def test_other_columns_are_listed_shortly(images: Path) -> None:
    names = [f"c{n}" for n in range(11)]
    catalog = open_catalog(write(images, ",".join(["image", "caption", *names]), "{n:04d}.jpg,gear {n}" + ",1" * 11))
    assert "columns used only as metadata: c0, c1, c2, c3, c4, c5, c6, c7 and 3 more" in catalog.about.notes


@pytest.mark.parametrize(
    ("caption", "doubt"),
    [
        ("{n}", "holds numbers"),
        ("{n:04d}.JPG", "holds file names"),
        ("captions/{n}.txt", "holds file names"),
        ("a picture", "'a picture' in 60 of 60"),
        ("gear {n}", None),
        ("gear {half}", None),
    ],
)
def test_doubtful_captions(images: Path, caption: str, doubt: str | None) -> None:
    warnings = open_catalog(write(images, "image,caption", "{n:04d}.jpg," + caption)).about.warnings
    assert len(warnings) == (doubt is not None)
    assert doubt is None or (doubt in warnings[0] and "caption column caption" in warnings[0])


@pytest.mark.parametrize("name", ["label", "不良種別"])
def test_nearly_unique_labels_are_no_classes(images: Path, name: str) -> None:
    path = write(images, f"image,caption,{name}", "{n:04d}.jpg,gear {n},S{half}")
    catalog = open_catalog(path)
    assert catalog.about.label_columns == ()
    assert set(catalog.column("label")) == {None}
    assert catalog.column("source_label" if name == "label" else name)[:3] == ["S0", "S0", "S1"]
    (warning,) = catalog.about.warnings
    assert f"--label-columns {name}" in warning
    assert "60 of 60" in warning
    named = open_catalog(path, label_columns=[name])
    assert named.about.label_columns == ("label",)
    assert named.about.warnings == ()


def test_classes_with_a_few_rare_ones_stay(images: Path) -> None:
    text = "image,caption,label\n" + "".join(f"{n:04d}.jpg,gear {n},{max(n, 29)}\n" for n in range(60))
    (images / "t.csv").write_text(text)
    assert open_catalog(images / "t.csv").about.label_columns == ("label",)


def test_two_paths_with_one_end_are_refused(images: Path) -> None:
    rows = [("/a/images/0001.jpg", 1), ("/b/images/0001.jpg", 2), ("/a/images/0002.jpg", 3)]
    (images / "t.csv").write_text("image,caption\n" + "".join(f"{path},gear {n}\n" for path, n in rows))
    catalog = open_catalog(images / "t.csv")
    assert catalog.column("file") == ["images/0002.jpg"]
    assert "different paths" in catalog.rejects["reason"].to_pylist()[0]


def test_records_with_numbers_and_paths() -> None:
    sample: list[dict[str, Any]] = [{"img": {"path": "a.jpg"}, "text": "x"}, {"img": {"path": "b.jpg"}, "text": "y"}]
    assert find_headings(["img", "text"], sample, SourceOptions(), "t").image == "img"

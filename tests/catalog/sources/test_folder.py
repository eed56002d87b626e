import unicodedata
from pathlib import Path

import pytest

from clipc.catalog import open_catalog
from clipc.errors import UserError


def test_captions_beside_images(tmp_path: Path, picture) -> None:
    (tmp_path / "sub").mkdir()
    for n, name in enumerate(["img10", "img2", "sub/img2", "alone"]):
        (tmp_path / f"{name}.jpg").write_bytes(picture(n))
        if name != "alone":
            (tmp_path / f"{name}.txt").write_text(f"caption of {name}", encoding="utf-8")
    catalog = open_catalog(tmp_path)
    assert catalog.keys == ["img2", "img10", "sub/img2"]
    assert catalog.captions(1) == ["caption of img10"]
    (reject,) = catalog.rejects.to_pylist()
    assert reject["file"] == "alone.jpg"
    assert ".txt" in reject["reason"]


@pytest.mark.parametrize("codec", ["utf-8", "utf-8-sig", "cp932", "utf-16"])
def test_japanese_captions_in_any_encoding(tmp_path: Path, picture, codec: str) -> None:
    for n, text in enumerate(["表面に傷がある歯車", "良品のナット", "能面"]):
        (tmp_path / f"部品ガ{n}.jpg").write_bytes(picture(n))
        (tmp_path / f"{unicodedata.normalize('NFD', '部品ガ')}{n}.txt").write_bytes(text.encode(codec))
    catalog = open_catalog(tmp_path)
    assert [catalog.captions(n)[0] for n in range(3)] == ["表面に傷がある歯車", "良品のナット", "能面"]


def test_class_folders_with_splits(tmp_path: Path, picture) -> None:
    n = 0
    for split in ("train", "valid", "test"):
        for label in ("pitted_surface", "inclusion"):
            (tmp_path / split / label).mkdir(parents=True)
            for _ in range(2):
                (tmp_path / split / label / f"{n}.png").write_bytes(picture(n, format="PNG"))
                n += 1
    catalog = open_catalog(tmp_path)
    assert catalog.splits == {"train": 4, "val": 4, "test": 4}
    assert set(catalog.column("label")) == {"pitted_surface", "inclusion"}
    assert {catalog.captions(row)[0] for row in range(12)} == {"a photo of a pitted surface", "a photo of an inclusion"}
    assert open_catalog(tmp_path, lang="ja").captions(0) == ["inclusionの写真"]
    (tmp_path / "classes.json").write_text('{"inclusion": "slag inclusion"}', encoding="utf-8")
    assert open_catalog(tmp_path).captions(0) == ["a photo of a slag inclusion"]


def test_an_image_changed_in_place_is_noticed(tmp_path: Path, picture) -> None:
    for n in range(2):
        (tmp_path / f"{n}.png").write_bytes(picture(n, format="PNG"))
        (tmp_path / f"{n}.txt").write_text("words", encoding="utf-8")
    before = open_catalog(tmp_path)
    (tmp_path / "1.png").write_bytes(picture(7, size=(40, 40), format="PNG"))
    after = open_catalog(tmp_path)
    assert after.fingerprint != before.fingerprint
    assert after.sizes[1].tolist() == [40, 40]
    (tmp_path / "1.txt").write_text("other words", encoding="utf-8")
    assert open_catalog(tmp_path).captions(1) == ["other words"]


def test_links_out_of_the_folder_are_refused(tmp_path: Path, picture) -> None:
    root = tmp_path / "root"
    root.mkdir()
    (tmp_path / "secret.txt").write_text("secret words", encoding="utf-8")
    (tmp_path / "secret.jpg").write_bytes(picture(5))
    for name in ("a", "b", "c"):
        (root / f"{name}.jpg").write_bytes(picture(1))
        (root / f"{name}.txt").write_text("words", encoding="utf-8")
    (root / "b.txt").unlink()
    (root / "b.txt").symlink_to(tmp_path / "secret.txt")
    (root / "c.jpg").unlink()
    (root / "c.jpg").symlink_to(tmp_path / "secret.jpg")
    catalog = open_catalog(root)
    assert catalog.keys == ["a"]
    assert all("out of" in reason for reason in catalog.rejects["reason"].to_pylist())


def test_flat_folder_of_images_without_captions_is_an_error(tmp_path: Path, picture) -> None:
    (tmp_path / "a.jpg").write_bytes(picture(0))
    with pytest.raises(UserError, match="no class folder"):
        open_catalog(tmp_path)

import os
import pickle
from pathlib import Path

import pyarrow as pa
import pytest

from clipc.catalog import open as open_module
from clipc.catalog.catalog import Catalog
from clipc.catalog.open import open_catalog


@pytest.fixture
def built(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The sources that were really read, in order."""
    names: list[str] = []
    real = open_module.build

    def counting(source, *rest):
        names.append(source.name)
        return real(source, *rest)

    monkeypatch.setattr(open_module, "build", counting)
    return names


def test_the_second_opening_reads_the_cache(tmp_path: Path, write_tar, samples, built: list[str]) -> None:
    path = write_tar(tmp_path / "a.tar", [*samples(5), ("bad.jpg", b"x")])
    first, second = open_catalog(path), open_catalog(path)
    assert built == ["a"]
    assert second.table.equals(first.table)
    assert (second.fingerprint, second.about) == (first.fingerprint, first.about)
    assert second.rejects.equals(first.rejects)
    assert second.rejects_file == first.rejects_file
    assert second.rejects_file is not None
    assert second.rejects_file.is_file()


def test_changes_are_noticed(tmp_path: Path, write_tar, samples, built: list[str]) -> None:
    folder = tmp_path / "set"
    write_tar(folder / "a.tar", samples(3))
    assert len(open_catalog(folder)) == 3
    write_tar(folder / "b.tar", samples(2, start=3))
    assert len(open_catalog(folder)) == 5
    write_tar(folder / "a.tar", samples(1))
    assert len(open_catalog(folder)) == 3
    (folder / "classes.json").write_text('{"a": "apple", "b": "bee"}')
    assert open_catalog(folder).about.class_names["label"]["a"] == "apple"
    (folder / "classes.json").write_text('{"a": "avocado", "b": "bee"}')
    assert open_catalog(folder).about.class_names["label"]["a"] == "avocado"
    open_catalog(folder, encoding="cp932")
    assert len(built) == 6


def test_images_added_to_a_table_are_noticed(tmp_path: Path, picture) -> None:
    (tmp_path / "t.csv").write_text("image,caption\na.jpg,one\nb.jpg,two\n", encoding="utf-8")
    (tmp_path / "a.jpg").write_bytes(picture(0))
    assert len(open_catalog(tmp_path / "t.csv")) == 1
    (tmp_path / "b.jpg").write_bytes(picture(1))
    assert len(open_catalog(tmp_path / "t.csv")) == 2


@pytest.mark.parametrize("damage", [b"", b"ARROW1\0\0", b"nonsense" * 100, None])
def test_a_damaged_cache_is_made_anew(tmp_path: Path, own_cache: Path, write_tar, samples, damage) -> None:
    path = write_tar(tmp_path / "a.tar", samples(5))
    first = open_catalog(path)
    (kept,) = (own_cache / "catalogs").glob("*.arrow")
    data = kept.read_bytes()
    kept.unlink()
    kept.write_bytes(damage if damage is not None else data[: len(data) // 2])
    assert open_catalog(path).table.equals(first.table)


def test_an_unwritable_cache_is_done_without(tmp_path: Path, write_tar, samples) -> None:
    (tmp_path / "file").write_text("in the way")
    catalog = open_catalog(write_tar(tmp_path / "a.tar", samples(3)), cache=tmp_path / "file" / "cache")
    assert len(catalog) == 3
    assert catalog.rejects_file is None


def test_where_the_cache_lies(tmp_path: Path, write_tar, samples, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_tar(tmp_path / "a.tar", samples(1))
    open_catalog(path, cache=tmp_path / "given")
    monkeypatch.delenv("CLIPC_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    open_catalog(path)
    assert list((tmp_path / "given" / "catalogs").glob("a-*.arrow"))
    assert list((tmp_path / "xdg" / "clipc" / "catalogs").glob("a-*.arrow"))
    assert not [name for name in os.listdir(tmp_path / "given" / "catalogs") if not name.endswith(".arrow")]


def test_a_moved_set_is_opened_where_it_is(tmp_path: Path, write_tar, samples) -> None:
    write_tar(tmp_path / "one" / "set" / "a.tar", samples(3))
    before = open_catalog(tmp_path / "one" / "set")
    (tmp_path / "one").rename(tmp_path / "two")
    after = open_catalog(tmp_path / "two" / "set")
    assert after.root == tmp_path / "two" / "set"
    assert after.fingerprint == before.fingerprint
    assert after.encoded(2) == samples(3)[6][1]


def test_a_catalog_travels_to_a_worker(tmp_path: Path, write_tar, samples) -> None:
    catalog = open_catalog(write_tar(tmp_path / "a.tar", samples(3)))
    catalog.image(0)
    copy: Catalog = pickle.loads(pickle.dumps(catalog))
    assert copy.encoded(1) == catalog.encoded(1)
    assert copy.table.equals(catalog.table)
    assert isinstance(copy.table, pa.Table)

from collections.abc import Callable
from pathlib import Path

import pytest

from clipc.catalog.open import open_catalog
from clipc.catalog.sources.dataset_card import card_files
from clipc.errors import UserError

Picture = Callable[..., bytes]


def card(root: Path, configs: str) -> None:
    root.mkdir(exist_ok=True)
    (root / "README.md").write_text(f"---\nlicense: mit\n{configs}---\n# A set\n", encoding="utf-8")


def test_splits_of_the_only_configuration(tmp_path: Path) -> None:
    files = ["README.md", "data/a-0.parquet", "data/b-0.parquet", "data/b-1.parquet", "other.csv"]
    card(
        tmp_path,
        "configs:\n- config_name: default\n  data_files:\n  - split: train\n    path: data/b-*\n"
        "  - split: test\n    path: [data/a-0.parquet]\n",
    )
    expected = {"data/b-0.parquet": "train", "data/b-1.parquet": "train", "data/a-0.parquet": "test"}
    assert card_files(tmp_path, files) == expected
    card(
        tmp_path,
        "configs:\n- config_name: a\n  data_dir: ./data\n  data_files: b-*\n- config_name: gone\n  data_files: x-*\n",
    )
    assert card_files(tmp_path, files) == {"data/b-0.parquet": None, "data/b-1.parquet": None}
    for configs in ("", "configs: [\ndata_files", "configs: 1 # data_files\n", "- data_files\n"):
        card(tmp_path, configs)
        assert card_files(tmp_path, files) == {}
    assert card_files(tmp_path, files[1:]) == {}


def test_several_configurations_are_refused_and_listed(tmp_path: Path) -> None:
    card(tmp_path, "configs:\n- config_name: en\n  data_files: en/*\n- config_name: ja\n  data_files: ja/*\n")
    with pytest.raises(UserError, match=r"2 configurations, en \(en/1.csv\), ja \(ja/1.csv\); name the folder of one"):
        card_files(tmp_path, ["README.md", "en/1.csv", "ja/1.csv"])
    assert card_files(tmp_path, ["README.md", "en/1.csv"]) == {"en/1.csv": None}
    card(tmp_path, "configs:\n- data_files: {train: d/*, test: d/1.csv}\n")
    with pytest.raises(UserError, match=r"names d/1\.csv for two splits, train and test"):
        card_files(tmp_path, ["README.md", "d/1.csv"])


def test_tables_and_tars_of_a_card(tmp_path: Path, picture: Picture, write_tar: Callable[..., Path], samples) -> None:
    tables, tars = tmp_path / "tables", tmp_path / "tars"
    card(tables, "configs:\n- data_files:\n  - {split: train, path: a.csv}\n  - {split: test, path: b.csv}\n")
    for number, name in enumerate(("a", "b", "words")):
        (tables / f"{name}.jpg").write_bytes(picture(number))
        (tables / f"{name}.csv").write_text(f"image,caption\n{name}.jpg,a gear\n", encoding="utf-8")
    catalog = open_catalog(tables)
    assert dict(zip(catalog.column("file"), catalog.column("split"), strict=True)) == {
        "a.jpg": "train",
        "b.jpg": "test",
    }
    card(tars, "configs:\n- data_files:\n  - {split: train, path: a.tar}\n  - {split: validation, path: b.tar}\n")
    write_tar(tars / "a.tar", samples(2))
    write_tar(tars / "b.tar", samples(1, start=2))
    assert open_catalog(tars).splits == {"train": 2, "val": 1}

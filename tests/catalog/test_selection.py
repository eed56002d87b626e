import json
import shutil
from pathlib import Path

import pytest

from clipc.catalog.open import open_catalog
from clipc.errors import UserError
from clipc.recipe.recipe import Data


def test_only_the_named_pairs_stay_in_the_order_of_the_source(tiny_source: Path, tmp_path: Path) -> None:
    whole = open_catalog(tiny_source)
    file = tmp_path / "keys.csv"
    file.write_text("key,why\n" + "".join(f"{key},good\n" for key in reversed(whole.keys[::3])), "utf-8")
    part = open_catalog(tiny_source, keys=file)
    assert part.keys == whole.keys[::3]
    assert part.fingerprint not in ("", whole.fingerprint)
    assert part.fingerprint == open_catalog(tiny_source, keys=file).fingerprint
    assert "20 of 60 pairs are used" in part.about.notes[-1]
    assert Data(source=str(tiny_source), keys=file).open().keys == part.keys


def test_a_changed_file_of_keys_is_read_anew_and_all_keys_change_nothing(tiny_source: Path, tmp_path: Path) -> None:
    whole = open_catalog(tiny_source)
    file = tmp_path / "keys.jsonl"
    file.write_text("".join(json.dumps({"key": key}) + "\n" for key in whole.keys[:9]), "utf-8")
    assert len(open_catalog(tiny_source, keys=file)) == 9
    file.write_text("".join(json.dumps({"key": key}) + "\n" for key in [*whole.keys, "gone"]), "utf-8")
    again = open_catalog(tiny_source, keys=file)
    assert again.fingerprint == whole.fingerprint
    assert "(1 of its keys are not in the source)" in again.about.notes[-1]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name\na\n", "has no column 'key'"),
        ("key\nnowhere\n", "names no key of"),
        ("", "is empty"),
    ],
)
def test_a_file_without_the_keys_is_refused(tiny_source: Path, tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "keys.csv"
    file.write_text(text, "utf-8")
    with pytest.raises(UserError, match=message):
        open_catalog(tiny_source, keys=file)


def test_a_missing_file_of_keys_is_refused(tiny_source: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"gone\.csv"):
        open_catalog(tiny_source, keys=tmp_path / "gone.csv")


def test_a_leak_that_is_left_out_is_no_longer_warned_of(tiny_source: Path, tmp_path: Path) -> None:
    images = [tiny_source.parent / f"{i:02d}.png" for i in range(30)]
    rows = ["image,caption,split"]
    for i, image in enumerate([*images, images[0]]):
        shutil.copy(image, tmp_path / f"{i}.png")
        rows.append(f"{i}.png,plate {i},{'train' if i < 20 else 'test'}")
    table, keys = tmp_path / "pairs.csv", tmp_path / "keys.csv"
    table.write_text("\n".join(rows), "utf-8")
    whole = open_catalog(table)
    assert any("byte by byte" in sentence for sentence in whole.about.warnings)
    keys.write_text("key\n" + "\n".join(whole.keys[1:]), "utf-8")
    assert not any("byte by byte" in sentence for sentence in open_catalog(table, keys=keys).about.warnings)

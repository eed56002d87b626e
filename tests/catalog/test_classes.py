"""The order of labels, and the warning about classes that are named by numbers."""

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clipc.catalog.classes import class_names_of_numbers, class_order, numeric_class_warning, with_class_names
from clipc.catalog.open import open_catalog


@given(st.sets(st.integers(-20, 2000), min_size=1))
def test_numbers_are_in_numeric_order(numbers: set[int]) -> None:
    assert class_order(map(str, numbers)) == list(map(str, sorted(numbers)))


def test_other_labels_are_in_alphabetical_order() -> None:
    assert class_order(["b", "10", "9", "b"]) == ["10", "9", "b"]
    assert class_order(["2", "010", "1.5"]) == ["010", "1.5", "2"]
    assert class_order(["010", "9", "09"]) == ["09", "9", "010"]
    assert class_order([]) == []


def test_class_numbers_by_name() -> None:
    assert class_names_of_numbers([1, -1, 0, 2, None], ["cat", "dog"]) == ["dog", None, "cat", None, None]
    assert class_names_of_numbers(1, ["cat", "dog"]) == "dog"


def test_numbers_are_warned_of_where_they_are_most() -> None:
    warning = numeric_class_warning("label", ["7", "10", "ok"], {})
    assert warning is not None
    assert "named by numbers (10, 7)" in warning
    assert '"a photo of a 10"' in warning
    assert numeric_class_warning("label", ["7", "ok"], {}) is None
    assert numeric_class_warning("label", ["7", "10"], {"7": "gear", "10": "傷"}) is None
    assert numeric_class_warning("label", [], {}) is None


@pytest.mark.parametrize("form", ["table", "folders", "tar"])
def test_every_source_warns_once_and_names_end_it(
    form: str, tmp_path: Path, picture: Callable[..., bytes], write_tar: Callable[..., Path]
) -> None:
    images = [(f"{n}/{i}.jpg", picture(10 * n + i)) for n in (0, 1, 11) for i in range(3)]
    source = tmp_path / "set"
    if form == "tar":
        texts = [(name.replace("/", "-").replace("jpg", "cls"), name.split("/")[0].encode()) for name, _ in images]
        write_tar(source / "a.tar", [*((name.replace("/", "-"), data) for name, data in images), *texts])
    else:
        for name, data in images:
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            (source / name).write_bytes(data)
    if form == "table":
        rows = [f"{name},a part {name},{name.split('/')[0]}" for name, _ in images]
        (source / "pairs.csv").write_text("image,caption,label\n" + "\n".join(rows))
    catalog = open_catalog(source)
    assert [w for w in catalog.about.warnings if "named by numbers (0, 1, 11)" in w] == [*catalog.about.warnings]
    assert len(catalog.about.warnings) == 1
    half = with_class_names(catalog, "label", {"0": "nought"})
    assert "named by numbers (1, 11)" in half.about.warnings[0]
    named = with_class_names(half, "label", {"1": "one", "11": "eleven"})
    assert named.about.warnings == ()
    assert named.about.class_names["label"] == {"0": "nought", "1": "one", "11": "eleven"}
    assert named.fingerprint == catalog.fingerprint


def test_wordnets_numbers_are_no_names() -> None:
    assert "n01440764" in str(numeric_class_warning("label", ["n01440764", "n01443537"], {}))
    assert numeric_class_warning("label", ["n01440764"], {"n01440764": "tench"}) is None
    assert numeric_class_warning("label", ["n0144076", "n95"], {}) is None

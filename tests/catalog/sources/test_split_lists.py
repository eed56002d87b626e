from collections.abc import Sequence
from pathlib import Path

import pytest

from clipc.catalog.open import open_catalog
from clipc.catalog.sources.split_lists import split_lists


@pytest.fixture
def captioned(tmp_path: Path, picture) -> Path:
    """A folder with ``images/a/0.jpg`` to ``images/b/5.jpg``, each with its caption beside it."""
    for n in range(6):
        for folder in "ab":
            (tmp_path / "images" / folder).mkdir(parents=True, exist_ok=True)
            (tmp_path / "images" / folder / f"{n}.jpg").write_bytes(picture(n + ord(folder)))
            (tmp_path / "images" / folder / f"{n}.txt").write_text(f"number {n} of {folder}")
    return tmp_path


def write(path: Path, lines: Sequence[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n")


def splits_by_key(source: Path) -> dict[str, str]:
    catalog = open_catalog(source)
    return dict(zip(map(str, catalog.column("key")), catalog.split_names.tolist(), strict=True))


@pytest.mark.parametrize(
    "form",
    ["images/{}.jpg", "{}", "./images/{}.jpg", r"D:\set\images\{}.jpg", "{}.jpg 3", "/home/x/images/{}.jpg", '"{}"'],
)
def test_lists_of_names_in_all_their_forms_give_the_splits(captioned: Path, form: str) -> None:
    write(captioned / "lists" / "train_list.txt", [form.format(f"{at}/{n}") for at in "ab" for n in range(4)])
    write(captioned / "lists" / "val.txt", [form.format(f"{at}/4") for at in "ab"])
    write(captioned / "lists" / "set.testImages.txt", [form.format(f"{at}/5") for at in "ab"])
    splits = splits_by_key(captioned)
    assert splits == {
        f"images/{at}/{n}": "val" if n == 4 else "test" if n == 5 else "train" for at in "ab" for n in range(6)
    }


def test_what_a_list_does_not_name_is_train_and_a_folder_of_the_set_is_never_exchanged(captioned: Path) -> None:
    (captioned / "images" / "a" / "3.jpg").unlink()
    write(captioned / "test.txt", ["a/2.jpg", "a/3.jpg", "b/2.jpg"])
    splits = splits_by_key(captioned)
    assert [key for key, split in splits.items() if split == "test"] == ["images/a/2", "images/b/2"]
    assert "9 pairs are on no list and count as train" in str(open_catalog(captioned).about.notes)


def test_an_image_on_two_lists_is_measured_and_not_trained_on(captioned: Path) -> None:
    write(captioned / "train.txt", [f"a/{n}" for n in range(6)])
    write(captioned / "test.txt", ["a/0", "b/0"])
    assert splits_by_key(captioned)["images/a/0"] == "test"
    assert "two splits name the same images (1; the first is images/a/0.jpg)" in str(
        open_catalog(captioned).about.warnings
    )


def test_lists_that_name_other_images_are_warned_of(captioned: Path) -> None:
    write(captioned / "train.txt", ["x/0.jpg", "y/1.jpg"])
    catalog = open_catalog(captioned)
    assert set(catalog.split_names) == {"train"}
    assert "train.txt is named as lists of splits" in str(catalog.about.warnings)


def test_lists_beside_a_table_and_the_splits_of_its_rows(captioned: Path) -> None:
    rows = [f"{at}/{n}.jpg,number {n} of {at}" for at in "ab" for n in range(6)]
    write(captioned / "images" / "pairs.csv", ["image,caption", *rows])
    write(captioned / "images" / "test.txt", ["a/0.jpg"])
    assert [key for key, split in splits_by_key(captioned / "images" / "pairs.csv").items() if split == "test"] == [
        "a/0.jpg"
    ]
    write(captioned / "images" / "pairs.csv", ["image,caption,split", *(f"{row},train" for row in rows)])
    assert set(splits_by_key(captioned / "images" / "pairs.csv").values()) == {"train"}


def test_the_two_tables_of_cub(captioned: Path) -> None:
    names = [f"{at}/{n}.jpg" for at in "ab" for n in range(6)]
    write(captioned / "images.txt", [f"{n} {name}" for n, name in enumerate(names, 1)])
    write(captioned / "train_test_split.txt", [f"{n} {int(n % 4 > 0)}" for n in range(1, 13)])
    assert [key for key, split in splits_by_key(captioned).items() if split == "test"] == [
        "images/a/3",
        "images/b/1",
        "images/b/5",
    ]


def test_captions_and_other_texts_are_no_lists() -> None:
    files = ["images/train.jpg", "images/test.png", "text/train.txt", "images/test.txt", "test-bench.txt", "val.txt"]
    assert split_lists([*files, "train_test_split.txt", "trainval.txt"]) == {"val.txt": "val"}

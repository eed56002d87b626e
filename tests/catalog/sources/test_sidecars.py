import unicodedata

import pytest

from clipc.catalog.sources.sidecars import texts_beside, texts_in_parallel
from clipc.errors import UserError


def parallel(images: list[str], texts: list[str], numbers: str = "labels") -> tuple[dict[str, str], list[str]]:
    return texts_in_parallel(images, texts, lambda files: numbers in files[0])


def test_exact_names_come_before_similar_ones() -> None:
    assert texts_beside(["a.jpg", "A.jpg"], ["a.txt", "A.txt"]) == {"a.jpg": "a.txt", "A.jpg": "A.txt"}
    assert texts_beside(["IMG.JPG"], ["img.txt"]) == {"IMG.JPG": "img.txt"}
    assert texts_beside(["b.jpg"], ["B.txt", "B.TXT"]) == {}
    decomposed = unicodedata.normalize("NFD", "ガ.txt")
    assert texts_beside(["ガ.jpg"], [decomposed]) == {"ガ.jpg": decomposed}


def test_names_with_the_image_ending_and_caption_files() -> None:
    texts = ["1.jpg.txt", "1.txt", "2.txt", "2.caption"]
    assert texts_beside(["1.jpg", "1.png", "2.jpg"], texts) == {
        "1.jpg": "1.jpg.txt",
        "1.png": "1.txt",
        "2.jpg": "2.caption",
    }


def test_parallel_folders_differ_in_one_part() -> None:
    assert parallel(["images/1.jpg"], ["text/1.txt"])[0] == {"images/1.jpg": "text/1.txt"}
    assert parallel(["train/images/1.jpg"], ["train/text/1.txt", "val/text/1.txt"])[0] == {
        "train/images/1.jpg": "train/text/1.txt"
    }
    assert parallel(["images/train/1.jpg"], ["text/train/1.txt", "text/val/1.txt"])[0] == {
        "images/train/1.jpg": "text/train/1.txt"
    }
    assert parallel(["1.jpg"], ["captions/1.txt"])[0] == {"1.jpg": "captions/1.txt"}
    assert parallel(["images/1.jpg"], ["1.txt"])[0] == {"images/1.jpg": "1.txt"}
    assert parallel(["a/b/1.jpg"], ["c/d/1.txt"])[0] == {}


def test_half_of_the_images_must_have_a_text() -> None:
    images = [f"scratch/{n}.jpg" for n in range(5)]
    assert parallel(images, ["notes/1.txt", "notes/2.txt"])[0] == {}
    assert len(parallel(images, [f"notes/{n}.txt" for n in range(3)])[0]) == 3


def test_folders_of_numbers_are_named_and_two_folders_of_captions_refused() -> None:
    assert parallel(["images/1.jpg"], ["labels/1.txt", "text/1.txt"]) == ({"images/1.jpg": "text/1.txt"}, ["labels"])
    with pytest.raises(UserError, match="captions in ja and in en; keep one"):
        parallel(["images/1.jpg"], ["ja/1.txt", "en/1.txt"])

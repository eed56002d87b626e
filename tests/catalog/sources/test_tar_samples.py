from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clipc.catalog.sources.members import Member
from clipc.catalog.sources.tar_samples import IMAGES, TEXTS, TarSamples
from clipc.errors import UserError


def read(names: Iterable[str]) -> tuple[TarSamples, dict[str, dict[str, str] | str]]:
    """The samples of a tar with members of these names; each part is the name of its member."""
    samples = TarSamples()
    for name in names:
        stem, _, ending = name.rpartition(".")
        samples.add(stem, ending.lower(), name.encode() if ending.lower() in TEXTS else Member(name, 0, 1))
    found: dict[str, dict[str, str] | str] = {}
    for key, sample in samples.samples():
        if isinstance(sample, str):
            found[key] = sample
        else:
            found[key] = {e: p.decode() if isinstance(p, bytes) else str(p.name) for e, p in sample.items()}
    return samples, found


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ("a.jpg a.txt a.json", "a: jpg txt json"),
        ("v.1/22.05.PNG v.1/22.05.TXT v.1/22.06.PNG", "v.1/22.05: PNG TXT, v.1/22.06: PNG"),
        ("1.jpg 1.txt 1.5.jpg 1.5.txt", "1: jpg txt, 1.5: jpg txt"),
        ("1.image.jpg 1.caption.txt 2.image.jpg 2.caption.txt", "1: image.jpg caption.txt, 2: image.jpg caption.txt"),
        ("22.05.img.jpg 22.05.text.txt 22.06.img.jpg", "22.05: img.jpg text.txt, 22.06: img.jpg"),
        ("1.left.rgb.jpg 1.json 2.left.rgb.jpg 2.json", "1: left.rgb.jpg json, 2: left.rgb.jpg json"),
        ("1.image.jpg 1.mask.png 1.caption.txt", "1: image.jpg caption.txt, 1.mask: png"),
        ("1.image.jpg 1.image.txt 2.text.jpg 2.text.txt", "1.image: jpg txt, 2.text: jpg txt"),
        ("1.jpg 1.caption.txt 1.cls.txt 1.meta.json", "1: jpg caption.txt meta.json cls.txt"),
        ("1.jpg 1.title.txt 1.caption.txt", "1: jpg caption.txt"),
        ("1.jpg 1.jpg.txt", "1: jpg jpg.txt"),
        ("1.jpg 1.png 1.jpg.txt 1.png.txt", "1.jpg: txt 1.jpg, 1.png: txt 1.png"),
        ("IMG_1.JPG img_1.txt", "IMG_1: JPG img_1.txt"),
        ("images/1.jpg captions/1.txt meta/1.json", "images/1: jpg captions/1.txt meta/1.json"),
        ("1.jpg 1.output.txt", "1: jpg"),
        ("22.05.png 22.06.txt", "22.05: png, 22.06: txt"),
        ("22.jpg 22.06.txt", "22: jpg, 22.06: txt"),
    ],
)
def test_members_that_belong_together(names: str, expected: str) -> None:
    _, found = read(names.split())
    shown = [
        f"{key}: {' '.join(name.removeprefix(f'{key}.') for name in sample.values())}"
        for key, sample in found.items()
        if isinstance(sample, dict)
    ]
    assert sorted(shown) == sorted(expected.split(", "))


def test_several_images_and_one_text_are_refused() -> None:
    _, found = read(["1.jpg", "1.png", "1.txt", "2.jpg", "2.txt"])
    assert found == {
        "1.jpg": "2 images share its text 1.txt; name the text of this one 1.jpg.txt",
        "1.png": "2 images share its text 1.txt; name the text of this one 1.png.txt",
        "2": {"jpg": "2.jpg", "txt": "2.txt"},
    }
    _, found = read(["1.left.jpg", "1.right.jpg", "1.txt"])
    assert set(found) == {"1.left", "1.right", "1"}  # refused later: no caption, and no image
    _, found = read(["1.jpg", "1.png"])
    assert set(found) == {"1.jpg", "1.png"}


def test_two_folders_of_captions_are_refused() -> None:
    with pytest.raises(UserError, match="captions in en and in ja"):
        read(["images/1.jpg", "en/1.txt", "ja/1.txt"])


def test_what_is_passed_over_is_counted() -> None:
    samples, found = read(
        ["1.jpg", "1.txt", "1.npy", "1.seg.png", "1.ja.txt", "notes.md", "2.jpg", "2.caption", "2.txt"]
    )
    assert set(found) == {"1", "2"}
    assert samples.passed_over == {"npy": 1, "seg.png": 1, "ja.txt": 1, "md": 1, "txt": 1}
    assert not samples.joined


WORDS = st.lists(st.sampled_from(["1", "2", "22", "05", "image", "caption", "jpg", "seg"]), min_size=1, max_size=3)
NAMES = st.builds(
    lambda folder, words, ending: f"{folder}{'.'.join(words)}.{ending}",
    st.sampled_from(["", "a.b/", "images/", "captions/"]),
    WORDS,
    st.sampled_from(["jpg", "png", "txt", "caption", "json", "cls", "npy"]),
)


@given(st.lists(NAMES, unique=True, max_size=14))
def test_no_two_images_share_a_sample_and_none_is_lost(names: list[str]) -> None:
    samples = TarSamples()
    for name in names:
        stem, _, ending = name.rpartition(".")
        samples.add(stem, ending, name.encode() if ending in TEXTS else Member(name, 0, 1))
    try:
        found = list(samples.samples())
    except UserError:
        return
    parts = [part for _, sample in found if isinstance(sample, dict) for part in sample.values()]
    assert len(parts) == len(set(parts))
    for _, sample in found:
        assert isinstance(sample, str) or len(IMAGES & sample.keys()) <= 1
    keys = [key for key, sample in found if isinstance(sample, dict) and IMAGES & sample.keys()]
    assert len(keys) == len(set(keys))
    images = sum(name.rpartition(".")[2] in IMAGES for name in names)
    passed = sum(n for ending, n in samples.passed_over.items() if ending.rpartition(".")[2] in IMAGES)
    assert images == len(keys) + passed + sum(isinstance(sample, str) for _, sample in found)


@given(st.data(), st.lists(NAMES, unique=True, max_size=14))
def test_the_order_of_members_changes_nothing(data: st.DataObject, names: list[str]) -> None:
    def result(names: list[str]) -> object:
        try:
            found = read(names)[1]
        except UserError:
            return None
        return {key: sample if isinstance(sample, str) else sorted(sample.items()) for key, sample in found.items()}

    assert result(names) == result(data.draw(st.permutations(names)))

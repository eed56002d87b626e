import io
import json
import re
import tarfile
from collections import Counter
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from clipc.demo import LANGUAGES, demo, make_demo
from clipc.demo.backgrounds import BACKGROUNDS
from clipc.demo.captions import captions, class_names, load_language
from clipc.demo.defects import STATES
from clipc.demo.image import MATERIALS, SIDE, draw, scene
from clipc.demo.shapes import SHAPES
from clipc.errors import UserError

PAIRS = [(shape, state) for shape in SHAPES for state in STATES]


def generator(number: int) -> np.random.Generator:
    return np.random.Generator(np.random.Philox(key=[99, number]))


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    counts = {"train": 80, "val": 5, "test": 6}
    monkeypatch.setattr(demo, "COUNTS", counts)
    monkeypatch.setattr(demo, "_SHARD_SIZE", 50)
    return counts


def entries(folder: Path) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    for path in sorted(folder.glob("*.tar")):
        with tarfile.open(path) as tar:
            for entry in tar:
                file = tar.extractfile(entry)
                assert file is not None
                found[entry.name] = file.read()
    return found


def test_the_set_is_what_its_files_say(tmp_path: Path, small: dict[str, int]) -> None:
    told: list[tuple[int, int]] = []
    folder = make_demo(tmp_path / "new" / "demo", progress=lambda what, done, total: told.append((done, total)))
    assert {path.name for path in folder.iterdir()} == {
        *("train-00000.tar", "train-00001.tar", "val-00000.tar", "test-00000.tar", "classes.json", "README.txt")
    }
    assert [path.name for path in folder.parent.iterdir()] == ["demo"]
    assert told[-1] == (91, 91)
    files = entries(folder)
    names = json.loads((folder / "classes.json").read_text())
    splits: Counter[str] = Counter()
    for name in files:
        if name.endswith(".json"):
            key = name.removesuffix(".json")
            about = json.loads(files[name])
            splits[about["split"]] += 1
            assert about["generated"] is True
            assert about["label"] == about["shape"]
            assert about["shape"] in names["shape"]
            assert about["state"] in names["state"]
            assert about["colour"] in MATERIALS
            assert about["background"] in BACKGROUNDS
            assert about["captions"][0] == files[f"{key}.txt"].decode()
            assert 2 <= len(set(about["captions"])) == len(about["captions"]) <= 3
            picture = Image.open(io.BytesIO(files[f"{key}.jpg"]))
            assert (picture.mode, picture.size) == ("RGB", (SIDE, SIDE))
    assert splits == small


def test_equal_calls_write_equal_bytes(tmp_path: Path, small: dict[str, int]) -> None:
    first, second = make_demo(tmp_path / "a"), make_demo(tmp_path / "b")
    for path in first.iterdir():
        assert path.read_bytes() == (second / path.name).read_bytes()


def test_a_second_call_writes_nothing(tmp_path: Path, small: dict[str, int], monkeypatch: pytest.MonkeyPatch) -> None:
    folder = make_demo(tmp_path / "demo")
    monkeypatch.setattr(demo, "_write", lambda *_: pytest.fail("written again"))
    assert make_demo(folder) == folder


def test_languages_share_their_pictures(tmp_path: Path, small: dict[str, int]) -> None:
    english, japanese = (entries(make_demo(tmp_path / lang, lang)) for lang in ("en", "ja"))
    for name, content in english.items():
        assert (content == japanese[name]) == name.endswith(".jpg")


def test_a_folder_with_something_else_is_refused(tmp_path: Path, small: dict[str, int]) -> None:
    (tmp_path / "mine.txt").write_text("kept")
    with pytest.raises(UserError, match="something other"):
        make_demo(tmp_path)
    make_demo(tmp_path / "demo", "en")
    with pytest.raises(UserError, match="something other"):
        make_demo(tmp_path / "demo", "ja")


def test_an_unknown_language_is_told(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="there are: en, ja"):
        make_demo(tmp_path / "demo", "martian")


def test_an_interrupted_call_leaves_nothing(tmp_path: Path, small: dict[str, int]) -> None:
    def stop(what: str, done: int, total: int) -> None:
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make_demo(tmp_path / "demo", progress=stop)
    assert list(tmp_path.iterdir()) == []


def test_shapes_and_states_are_balanced() -> None:
    assert len(SHAPES) >= 8
    assert len(STATES) >= 6
    for count in demo.COUNTS.values():
        assert count % len(PAIRS) == 0
    texts = [
        json.loads(content)
        for files in islice(demo._images("test", 420, "en"), len(PAIRS))
        for name, content in files.items()
        if name.endswith(".json")
    ]
    assert Counter((about["shape"], about["state"]) for about in texts) == Counter(PAIRS)


@pytest.mark.parametrize(("shape", "state"), PAIRS)
def test_every_shape_can_be_in_every_state(shape: str, state: str) -> None:
    shown = scene(shape, state, generator(7))
    picture = draw(shown, generator(8))
    assert picture.shape == (SIDE, SIDE, 3)
    assert picture.dtype == np.uint8
    assert picture.std() > 10
    change = np.abs(picture.astype(float) - draw(scene(shape, "intact", generator(7)), generator(8)))
    assert state == "intact" or (change > 25).mean() > 0.002


def test_fields_stay_in_single_precision() -> None:
    for shape in SHAPES.values():
        line = np.linspace(-1, 1, 9, dtype=np.float32)
        relief = shape(*np.meshgrid(line, line), generator(0))
        assert relief.distance.dtype == relief.height.dtype == np.float32
        assert np.ndim(relief.tone) == 0 or np.asarray(relief.tone).dtype == np.float32
    for background in BACKGROUNDS.values():
        floor = background(12, generator(0))
        assert floor.dtype == np.float32
        assert floor.shape == (3, 12, 12)


def test_only_what_holds_iron_rusts() -> None:
    assert {scene("bolt", "rusty", generator(i)).colour for i in range(60)} == {"steel", "black", "blue", "red"}


@pytest.mark.parametrize("lang", LANGUAGES)
def test_captions_name_the_part_and_its_state(lang: str) -> None:
    words = load_language(lang)
    for number, (shape, state) in enumerate(PAIRS * 4):
        shown = scene(shape, state, generator(number))
        for text in captions(shown, words, generator(number)):
            assert any(word in text for word in words.parts[shape]), text
            said = (*words.states[state], *words.flaws[state], *words.verdicts[state])
            assert any(word in text for word in said), text
            assert not re.search(r"[{}]|\(n\)|  |\b[Aa] [aeiou]|\b[Aa]n [bcdfghjkmnpqrstvwxyz]", text), text


@pytest.mark.parametrize("lang", LANGUAGES)
def test_every_word_list_covers_every_label(lang: str) -> None:
    words = load_language(lang)
    assert set(words.parts) == set(SHAPES)
    assert set(words.states) == set(words.flaws) == set(words.verdicts) == set(STATES)
    assert set(words.colours) == set(MATERIALS)
    assert set(words.backgrounds) == set(BACKGROUNDS)
    for names in class_names(words).values():
        assert len(set(names.values())) == len(names)


def test_captions_vary() -> None:
    shown = scene("gear", "rusty", generator(0))
    texts = {text for i in range(200) for text in captions(shown, load_language("en"), generator(i))}
    assert len(texts) > 120


def test_captions_say_where_the_part_lies() -> None:
    told = 0
    for number in range(300):
        shown = scene("washer", "stained", generator(number))
        for text in captions(shown, load_language("en"), generator(number)):
            if "of the picture" in text:
                told += 1
                assert ("upper" in text) == (shown.centre[1] < -0.08)
                assert ("right" in text) == (shown.centre[0] >= 0.08)
    assert told > 20

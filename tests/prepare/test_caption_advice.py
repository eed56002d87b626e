import re

import numpy as np
import pytest

from clipc.demo.captions import captions, load_language
from clipc.demo.image import scene
from clipc.models.tokenizer import Tokenizer, load_tokenizer, local_tokenizer
from clipc.models.vocabulary import learn_vocabulary, save_vocabulary
from clipc.prepare.caption_advice import caption_advice

ENGLISH = ["a red plate on the table.", "two red bolts, rusty", "the plate is blue", "a blue bolt on the plate"] * 3


def japanese_captions() -> list[str]:
    generator = np.random.Generator(np.random.Philox(0))
    shown = [
        scene(shape, state, generator) for shape in load_language("ja").parts for state in load_language("ja").states
    ] * 4
    return [caption for each in shown for caption in captions(each, load_language("ja"), generator)]


@pytest.fixture(scope="module")
def japanese() -> list[str]:
    return japanese_captions()


@pytest.fixture(scope="module")
def learnt(japanese: list[str], tmp_path_factory: pytest.TempPathFactory) -> Tokenizer:
    folder = tmp_path_factory.mktemp("vocabulary")
    save_vocabulary(learn_vocabulary([*japanese, *ENGLISH], 1000), folder)
    return local_tokenizer(folder, 77)


def test_costs_and_advice(japanese: list[str], learnt: Tokenizer) -> None:
    clip = load_tokenizer("ViT-B-32")
    offered = caption_advice(japanese, clip)
    assert offered is not None
    assert offered == caption_advice(japanese, clip)
    numbers = re.match(r"captions cost (\d+) .* ones (\d+), the model reads 75, and (\d+)%", offered)
    assert numbers
    caption, joint, overflow = map(int, numbers.groups())
    assert 2 * caption <= joint + 10
    assert caption < joint
    assert overflow > 30
    assert "vocabulary=8000" in offered
    assert "\n" not in offered
    assert caption_advice(japanese, learnt) is None
    long = caption_advice(["a long note about many different things " * 8] * 5, clip)
    assert long is not None
    assert "vocabulary=" not in long
    assert caption_advice(["one"], clip) is None

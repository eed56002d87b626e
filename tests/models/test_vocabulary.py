import json
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from clipc.demo.captions import captions, load_language
from clipc.demo.image import scene
from clipc.errors import UserError
from clipc.models.model import ClipModel
from clipc.models.model_config import model_config
from clipc.models.tokenizer import Tokenizer, load_tokenizer, local_tokenizer
from clipc.models.vocabulary import learn_vocabulary, save_vocabulary

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


def test_equal_captions_give_equal_vocabularies(japanese: list[str]) -> None:
    assert len({learn_vocabulary(japanese, 400).to_str() for _ in range(5)}) == 1


def test_a_japanese_word_costs_about_a_token(japanese: list[str], learnt: Tokenizer) -> None:
    clip = load_tokenizer("small")
    ours, theirs = (np.mean([tokenizer.count(text) for text in japanese]) for tokenizer in (learnt, clip))
    assert ours < theirs / 3
    made = learn_vocabulary(japanese, 1000)
    tokens = made.encode("青いトレーの中に錆びたボルトがある。").tokens[1:-1]
    assert tokens == ["青い", "トレー", "の", "中", "に", "錆びた", "ボルト", "がある", "。"]


def test_no_token_spans_two_words() -> None:
    made = learn_vocabulary(["a red plate on the table"] * 50, 400)
    assert made.encode("A red plate,on THE table").tokens[1:-1] == [
        *("\u2581a", "\u2581red", "\u2581plate", "<|unknown|>", "on", "\u2581the", "\u2581table")
    ]
    assert made.decode(made.encode("a red plate").ids) == "a red plate"
    assert max(len(token) for token in made.get_vocab() if not token.startswith("<|")) <= 16


def test_spelling_variants_are_one(learnt: Tokenizer) -> None:
    texts = ["ボルト 12 rusty", "ﾎﾞﾙﾄ １２ ＲＵＳＴＹ", " ボルト　12\nRusty "]
    tokens = learnt(texts)
    assert torch.equal(tokens[0], tokens[1])
    assert torch.equal(tokens[0], tokens[2])


@pytest.mark.parametrize("size", [128, 300, 5000])
def test_padding_is_zero_and_the_end_is_last(size: int, japanese: list[str]) -> None:
    made = learn_vocabulary(japanese, size)
    assert made.get_vocab_size() <= size
    assert made.token_to_id("<|padding|>") == 0
    assert made.token_to_id("<|end|>") == made.get_vocab_size() - 1
    assert sorted(made.get_vocab().values()) == list(range(made.get_vocab_size()))


@settings(deadline=None)
@given(st.lists(st.one_of(st.text(), st.just("<|end|> of 𠮷 🐈"), st.just("word " * 200)), min_size=1, max_size=4))
def test_every_text_is_start_tokens_end_padding(learnt: Tokenizer, texts: list[str]) -> None:
    end = learnt.text_config["eos_id"]
    for row, text in zip(learnt(texts).tolist(), texts, strict=True):
        length = min(learnt.count(text), 75) + 2
        assert len(row) == 77
        assert row.index(end) == length - 1
        assert 0 not in row[:length]
        assert set(row[length:]) <= {0}
        assert max(row) == end


def test_towers_with_their_own_words_refuse_others(learnt: Tokenizer) -> None:
    for name in ("coca_ViT-B-32", "roberta-ViT-B-32"):
        with pytest.raises(UserError, match="bound to its own tokenizer"):
            ClipModel.create(name, tokenizer=learnt)


def test_towers_that_pool_at_a_named_end_are_told_which(learnt: Tokenizer, tiny_model: str, tmp_path: Path) -> None:
    config = model_config(tiny_model)
    config["text_cfg"] |= {"pool_type": "eos", "context_length": 77}
    (tmp_path / "eos.json").write_text(json.dumps(config))
    model = ClipModel.create(str(tmp_path / "eos.json"), tokenizer=learnt).eval()
    with torch.inference_mode():
        features = model.encode_text(["錆びたボルト", "錆びたナット"])
    assert not torch.allclose(features[0], features[1])


def test_a_tokenizer_that_cannot_be_had_is_one_clear_sentence(
    tiny_model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    config = model_config(tiny_model)
    config["text_cfg"]["hf_tokenizer_name"] = "nobody/no-such-tokenizer"
    (tmp_path / "hf.json").write_text(json.dumps(config))
    with pytest.raises(UserError, match=r"'nobody/no-such-tokenizer' cannot be loaded .*; connect to") as caught:
        load_tokenizer(str(tmp_path / "hf.json"))
    assert "\n" not in str(caught.value)

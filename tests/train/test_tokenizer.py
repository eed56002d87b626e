"""CLIP's tokenizer through clipc: the same ids, sooner."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from open_clip.tokenizer import SimpleTokenizer

from clipc.train.tokenizer import Tokenizer, load_tokenizer

SIMPLE = SimpleTokenizer(context_length=77)
PRINTABLE = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=60)


@pytest.fixture(scope="module")
def ours() -> Tokenizer:
    return load_tokenizer("ViT-B-32")


@settings(max_examples=200, deadline=None)
@given(text=st.one_of(PRINTABLE, st.text(max_size=30)))
def test_ids_are_those_of_open_clip(ours: Tokenizer, text: str) -> None:
    assert ours.count(text) == len(SIMPLE.encode(text))
    assert torch.equal(ours([text]), SIMPLE([text]))


@pytest.mark.parametrize(
    "text",
    [
        "<|startoftext|> a",
        "a<|end_of_text|>b",
        "it's we'll",
        "  A\tb \n",
        "&amp; a &lt;",
        "“curly” — dash",
        "x\x1b[1m",
        "",
    ],
)
def test_ids_of_what_cleaning_touches(ours: Tokenizer, text: str) -> None:
    assert torch.equal(ours([text]), SIMPLE([text]))


def test_a_long_caption_keeps_its_end(ours: Tokenizer) -> None:
    assert torch.equal(ours(["word " * 200]), SIMPLE(["word " * 200]))

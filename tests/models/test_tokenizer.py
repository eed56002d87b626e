"""CLIP's tokenizer through clipc: the same ids, sooner."""

from pathlib import Path
from typing import Any, Final

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from open_clip.tokenizer import HFTokenizer, SimpleTokenizer
from PIL import Image
from tokenizers import Tokenizer as Words
from tokenizers import models, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

from clipc.catalog.open import open_catalog
from clipc.compose.plan import Plans
from clipc.compose.policy import Policy
from clipc.models.tokenizer import Tokenizer, load_tokenizer
from clipc.render.context import Context
from clipc.render.texts import texts

SIMPLE = SimpleTokenizer(context_length=77)
WORDS: Final = [f"w{i}" for i in range(30)]
SPECIAL: Final = ["<pad>", "<start>", "<end>", "<class>"]
LENGTH: Final = 12
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


def tokenizer_of(kind: str, folder: Path) -> Any:
    """One of open_clip's whose tokens are words, and which adds what its kind says."""
    if kind == "clip":
        return SimpleTokenizer(context_length=LENGTH)
    words = Words(models.WordLevel({word: i for i, word in enumerate([*SPECIAL, *WORDS, "and"])}, unk_token="<end>"))
    words.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    if kind != "clips":
        added = {"start and end": "<start> $A <end>", "end": "$A <end>", "four": "<class> <start> $A <end> <end>"}[kind]
        words.post_processor = processors.TemplateProcessing(
            single=added, special_tokens=[(token, i) for i, token in enumerate(SPECIAL)]
        )
    named = {"pad_token": "<pad>", "bos_token": "<start>", "eos_token": "<end>", "cls_token": "<class>"}
    PreTrainedTokenizerFast(tokenizer_object=words, **named).save_pretrained(folder)
    return HFTokenizer(str(folder), context_length=LENGTH, tokenizer_mode="clips" if kind == "clips" else None)


KINDS: Final = {"clip": 10, "start and end": 10, "end": 11, "four": 8, "clips": 9}


def words_in(kind: str, tokens: torch.Tensor) -> int:
    """How many tokens of a text there are among those of a row."""
    if kind == "clip":
        return int(((tokens > 0) & (tokens < SIMPLE.sot_token_id)).sum())
    return int((tokens >= len(SPECIAL)).sum())


@pytest.mark.parametrize("kind", KINDS)
def test_what_has_room_stays_and_one_token_more_does_not(kind: str, tmp_path: Path) -> None:
    theirs = tokenizer_of(kind, tmp_path)
    ours = Tokenizer(theirs, LENGTH)
    assert ours.max_text_tokens == Context(theirs).limit == Context(ours).limit == KINDS[kind]
    for text in (
        ("x " * ours.max_text_tokens, "x " * (ours.max_text_tokens + 1))
        if kind == "clip"
        else (
            " ".join(WORDS[: ours.max_text_tokens]),
            "  ".join(WORDS[: ours.max_text_tokens + 1]),
        )
    ):
        assert ours.count(text) == Context(theirs).count(text)
        assert (
            words_in(kind, ours([text])[0])
            == words_in(kind, theirs([text])[0])
            == min(ours.count(text), ours.max_text_tokens)
        )


@pytest.mark.parametrize("kind", KINDS)
def test_no_token_of_a_joint_caption_is_lost_without_being_counted(kind: str, tmp_path: Path) -> None:
    for i in range(1, 9):
        Image.new("RGB", (4, 4), (i, i, i)).save(tmp_path / f"{i}.png")
        (tmp_path / f"{i}.txt").write_text(" ".join(WORDS[:i]) if kind != "clip" else "x " * i)
    plans = Plans(open_catalog(tmp_path), Policy(rho=1), 0)
    tokenizer = Tokenizer(tokenizer_of(kind, tmp_path / "tokenizer"), LENGTH)
    plan = plans.rows(0, 200)
    said = texts(plans, plan, tokenizer)
    joint = plan.left + plan.right + 3  # Row i has i + 1 words, and one joins them.
    assert set(joint.tolist()) >= {KINDS[kind], KINDS[kind] + 1}
    assert said.shortened == int((joint > KINDS[kind]).sum())
    for caption, tokens in zip(said.captions, tokenizer(said.captions), strict=True):
        assert words_in(kind, tokens) == tokenizer.count(caption)

"""Captions without needless padding: the same features, fewer tokens."""

import itertools
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from open_clip.hf_model import HFTextEncoder
from torch import nn
from torch.nn import functional as F
from transformers import BertConfig

from clipc.errors import UserError
from clipc.models.text_tower import (
    computed_tokens,
    group_ends,
    padding_id,
    project_text,
    text_features,
    text_pooled,
    token_lengths,
)

from .starts import fresh

CONTEXT, WORDS, END = 77, 60, 63
CPU = torch.device("cpu")


def tower(**text: object) -> nn.Module:
    vision = {"image_size": 16, "layers": 1, "width": 32, "head_width": 16, "patch_size": 8}
    own = {"context_length": CONTEXT, "vocab_size": END + 1, "width": 32, "heads": 2, "layers": 2, **text}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return open_clip.CLIP(embed_dim=16, vision_cfg=vision, text_cfg=own)


@pytest.fixture(scope="module")
def clip() -> nn.Module:
    return tower()


def captions(lengths: list[int], seed: int = 0) -> torch.Tensor:
    """Random captions with so many tokens, start and end included; word 0 is a word like any other."""
    drawn = torch.randint(0, WORDS, (len(lengths), CONTEXT), generator=torch.Generator().manual_seed(seed))
    for row, length in zip(drawn, lengths, strict=True):
        row[0], row[length - 1], row[length:] = END - 1, END, 0
    return drawn


@settings(max_examples=15, deadline=None)
@given(st.lists(st.integers(2, CONTEXT), min_size=1, max_size=70), st.integers(0, 99))
def test_features_equal_those_of_full_padding(lengths: list[int], seed: int) -> None:
    clip, tokens = tower(), captions(lengths, seed)
    with torch.no_grad():
        assert torch.allclose(text_features(clip, tokens, CPU), clip.encode_text(tokens), atol=1e-5, rtol=0)


def test_gradients_equal_those_of_full_padding() -> None:
    clip, tokens = tower().double(), captions([3, 9, 77, 30] * 10)
    weight = torch.randn(40, 16, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    found = []
    for features in (text_features(clip, tokens, CPU), clip.encode_text(tokens)):
        learnt = [p for name, p in clip.named_parameters() if not name.startswith("visual") and name != "logit_scale"]
        found.append(torch.autograd.grad((F.normalize(features, dim=-1) * weight).sum(), learnt))
    assert all(torch.allclose(a, b, atol=1e-9) for a, b in zip(*found, strict=True))


def test_a_word_with_the_id_of_padding_is_kept(clip: nn.Module) -> None:
    tokens = captions([6])
    tokens[0, 2:5] = 0
    assert token_lengths(tokens).tolist() == [6]
    with torch.no_grad():
        assert torch.allclose(text_features(clip, tokens, CPU), clip.encode_text(tokens), atol=1e-5)


def test_one_long_caption_does_not_lengthen_the_batch() -> None:
    tokens = captions([10] * 127 + [70])
    assert computed_tokens(tower(), tokens) == pytest.approx((127 * 16 + 72) / 128)
    assert computed_tokens(tower(), captions([10] * 3)) == 16


@pytest.mark.parametrize("chunks", [1, 2, 3])
@pytest.mark.parametrize("kind", ["clip", "coca"])
def test_computed_tokens_are_those_that_the_tower_embeds(kind: str, chunks: int, tmp_path: Path) -> None:
    clip = fresh(tmp_path, kind)
    tokens = captions([*range(3, 31), 4, 5, 30])[:, :32].contiguous()
    embedded: list[int] = []
    embedding = next(module for name, module in clip.named_modules() if name.endswith("token_embedding"))
    embedding.register_forward_hook(lambda _, given, __: embedded.append(given[0].numel()))
    with torch.no_grad():
        for part in tokens.chunk(chunks):
            text_features(clip, part, CPU)
    found = computed_tokens(clip, tokens, chunks)
    assert found == sum(embedded) / len(tokens)
    assert (found == 32) == (kind == "coca")
    assert kind == "coca" or chunks == 1 or found != computed_tokens(clip, tokens)


@given(st.lists(st.tuples(st.integers(1, 40), st.integers(1, 9)), min_size=1, max_size=7), st.integers(1, 5))
def test_groups_are_cut_where_least_is_padded(found: list[tuple[int, int]], groups: int) -> None:
    widths = np.cumsum([step for step, _ in found])
    counts = np.array([count for _, count in found])

    def cost(ends: Sequence[int]) -> int:
        starts = [0, *(end + 1 for end in ends[:-1])]
        return sum(int(counts[a : b + 1].sum() * widths[b]) for a, b in zip(starts, ends, strict=True))

    last = len(widths) - 1
    ways = [
        [*cut, last] for many in range(min(groups, len(widths))) for cut in itertools.combinations(range(last), many)
    ]
    ends = group_ends(widths, counts, groups)
    assert ends in ways
    assert cost(ends) == min(map(cost, ways))


def test_other_towers_keep_their_padding(tmp_path: Path) -> None:
    assert padding_id(tower()) == 0
    assert padding_id(tower(no_causal_mask=True)) is None
    assert padding_id(tower(pool_type="last")) is None
    config = {
        "embed_dim": 16,
        "text_cfg": {"context_length": 16, "vocab_size": 64, "width": 32, "heads": 2, "layers": 1},
    }
    config["vision_cfg"] = {"image_size": 16, "layers": 1, "width": 32, "head_width": 16, "patch_size": 8}
    (tmp_path / "own.json").write_text(json.dumps({**config, "custom_text": True}))
    open_clip.add_model_config(tmp_path)
    custom = open_clip.create_model("own", load_weights=False)
    assert padding_id(custom) is None
    tokens = captions([5])[:, :16]
    with torch.no_grad():
        assert torch.equal(text_features(custom, tokens, CPU), custom.encode_text(tokens))


class HuggingFaceModel(nn.Module):
    """A model whose text tower is a small BERT, with id 1 as padding."""

    def __init__(self, pooler: str = "mean_pooler") -> None:
        super().__init__()
        size: Any = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
        config: Any = BertConfig(**size, vocab_size=END + 1, max_position_embeddings=CONTEXT, pad_token_id=1)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            self.text: Any = HFTextEncoder("", 16, config, pooler_type=pooler, proj_type="mlp").eval()

    def encode_text(self, tokens: torch.Tensor) -> torch.Tensor:
        return self.text(tokens)


@pytest.mark.parametrize("pooler", ["mean_pooler", "cls_pooler"])
def test_masked_padding_of_hugging_face_towers_is_not_computed(pooler: str) -> None:
    clip: Any = HuggingFaceModel(pooler)
    tokens = captions([3, 9, 40, 30, 12] * 8)
    tokens[tokens == 1] = 2
    tokens[torch.arange(CONTEXT) >= torch.tensor([3, 9, 40, 30, 12] * 8)[:, None]] = 1
    with torch.no_grad():
        assert torch.allclose(text_features(clip, tokens, CPU), clip.encode_text(tokens), atol=1e-5)
        assert torch.allclose(project_text(clip, text_pooled(clip, tokens, CPU)), clip.encode_text(tokens), atol=1e-5)
    assert computed_tokens(clip, tokens) < 30


def test_pooled_captions_and_projection_give_the_features(clip: Any) -> None:
    tokens = captions([3, 9, 40, 30])
    with torch.no_grad():
        pooled = text_pooled(clip, tokens, CPU)
        assert pooled.shape == (4, 32)
        assert torch.allclose(project_text(clip, pooled), clip.encode_text(tokens), atol=1e-5)


def test_a_tower_with_padding_has_no_pooled_captions(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot be split"):
        text_pooled(fresh(tmp_path, "coca"), captions([5])[:, :32], CPU)

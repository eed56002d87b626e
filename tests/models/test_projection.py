"""Projections in training: dropout, standardised inputs, and the ordinary model that is saved of them."""

from pathlib import Path
from typing import Any

import open_clip
import pytest
import torch
from open_clip.hf_model import HFTextEncoder
from torch import nn
from transformers import BertConfig

from clipc.errors import UserError
from clipc.models.image_tower import image_pooled, project_image
from clipc.models.projection import (
    add_head_dropout,
    final_norm,
    plain_state_dict,
    standardise_inputs,
    trunk_is_locked,
    trunk_state,
)
from clipc.models.text_tower import project_text, text_pooled
from clipc.models.tuning import Tuning, apply_tuning

from .starts import CONFIGS, fresh

CPU = torch.device("cpu")
TEXT = {"context_length": 16, "vocab_size": 64, "width": 32, "heads": 2, "layers": 2}
VIT = {"image_size": 32, "layers": 2, "width": 32, "head_width": 16, "patch_size": 8}
RESNET = {"timm_model_name": "test_resnet", "timm_pool": "avg", "image_size": 64}


def model(proj: str | None, text_proj: str = "mlp") -> Any:
    """A small model with a projection of timm's (None: of CLIP's transformer) and the text tower of a small BERT."""
    vision = VIT if proj is None else {**RESNET, "timm_proj": proj}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        clip: Any = open_clip.CLIP(embed_dim=16, vision_cfg=vision, text_cfg=TEXT)
        if proj is not None:
            size: Any = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
            config: Any = BertConfig(**size, vocab_size=64, max_position_embeddings=16, pad_token_id=0)
            for part in ("transformer", "token_embedding", "ln_final", "text_projection", "positional_embedding"):
                delattr(clip, part)
            clip.text = HFTextEncoder("", 16, config, pooler_type="mean_pooler", proj_type=text_proj)
            for parameter in clip.parameters():  # biases and norms that are not trivial
                parameter.data += 0.1 * torch.randn(parameter.shape)
    apply_tuning(clip, Tuning(image=1, text=1))
    return clip


def images(side: int) -> torch.Tensor:
    return torch.randn(6, 3, side, side, generator=torch.Generator().manual_seed(1))


def tokens() -> torch.Tensor:
    ids = torch.randint(1, 60, (6, 16), generator=torch.Generator().manual_seed(2))
    ids[torch.arange(16) >= torch.tensor([3, 5, 9, 16, 2, 7])[:, None]] = 0
    return ids


@pytest.mark.parametrize("proj", ["linear", "mlp", None])
def test_dropout_acts_in_training_alone_and_draws_from_the_global_generator(proj: str | None) -> None:
    clip = model(proj)
    pooled = image_pooled(clip.eval(), images(clip.visual.image_size[0])).detach()
    before = project_image(clip, pooled)
    add_head_dropout(clip, 0.5)
    assert torch.equal(project_image(clip.eval(), pooled), before)
    clip.train()
    torch.manual_seed(3)
    dropped = project_image(clip, pooled)
    torch.manual_seed(3)
    assert torch.equal(project_image(clip, pooled), dropped)
    assert not torch.allclose(dropped, before)
    mean = torch.stack([project_image(clip, pooled) for _ in range(3000)]).mean(0)
    assert torch.allclose(mean, before, atol=0.1 * float(before.detach().abs().max()))  # dropout keeps the mean


def test_dropout_between_the_two_layers_of_an_mlp() -> None:
    clip = model("mlp").train()
    add_head_dropout(clip, 0.5)
    seen: list[torch.Tensor] = []
    clip.visual.head.mlp.fc2.register_forward_hook(lambda layer, inputs, output: seen.append(inputs[0]))
    clip.visual.head.mlp.fc1.register_forward_hook(lambda layer, inputs, output: seen.append(inputs[0]))
    project_image(clip, torch.ones(2, clip.visual.trunk.num_features))
    assert 0.3 < float((seen[1] == 0).float().mean()) < 0.7
    assert not (seen[0] == 0).any()


def test_text_projections_drop_too_and_locked_ones_never() -> None:
    clip = model(None)
    pooled = torch.randn(4, 32)
    add_head_dropout(clip, 0.5)
    clip.train()
    assert not torch.equal(project_text(clip, pooled), project_text(clip, pooled))
    locked = model(None)
    apply_tuning(locked, Tuning(image=1, text="locked"))
    add_head_dropout(locked, 0.5)
    locked.train()
    assert torch.equal(project_text(locked, pooled), project_text(locked, pooled))


def test_a_tower_without_a_projection_cannot_drop(tmp_path: Path) -> None:
    clip = fresh(tmp_path, "modified-resnet")
    add_head_dropout(clip, 0.0)
    with pytest.raises(UserError, match="set head_dropout=0"):
        add_head_dropout(clip, 0.5)


@pytest.mark.parametrize(("proj", "centred"), [("mlp", True), ("linear", False)])
def test_standardised_images_and_the_ordinary_weights_of_them(proj: str, centred: bool) -> None:
    clip = model(proj).eval()
    pooled = image_pooled(clip, images(64)).detach()
    mean, std = pooled.mean(0), pooled.std(0) + 0.1
    inputs = (pooled - (mean if centred else 0)) / std
    expected = project_image(clip, inputs)
    names = set(clip.state_dict())
    assert standardise_inputs(clip, "image", mean, std) is None
    assert torch.allclose(project_image(clip, pooled), expected, atol=1e-5)
    assert set(clip.state_dict()) == names  # checkpoints hold what the optimizer trains
    plain = model(proj).eval()
    plain.load_state_dict(plain_state_dict(clip))
    assert torch.allclose(plain.encode_image(images(64)), expected, atol=1e-5)


def test_standardised_captions_come_from_the_trunk_itself() -> None:
    clip = model("mlp").eval()
    pooled = text_pooled(clip, tokens(), CPU).detach()
    mean, std, before = pooled.mean(0), pooled.std(0) + 0.1, dict(trunk_state(clip, "text"))
    before = {name: tensor.clone() for name, tensor in before.items()}
    expected = project_text(clip, (pooled - mean) / std)
    norm = standardise_inputs(clip, "text", mean, std)
    assert norm is not None
    assert torch.allclose(norm.standardised(pooled), (pooled - mean) / std, atol=1e-5)
    assert torch.allclose(text_pooled(clip, tokens(), CPU), norm.standardised(pooled), atol=1e-4)
    with norm.undone(clip):
        assert all(torch.equal(tensor, before[name]) for name, tensor in trunk_state(clip, "text").items())
        assert torch.equal(text_pooled(clip, tokens(), CPU), pooled)
    plain = model("mlp").eval()
    plain.load_state_dict(plain_state_dict(clip))
    assert torch.allclose(plain.text(tokens()), expected, atol=1e-4)


def test_constant_inputs_are_not_blown_up() -> None:
    clip = model("mlp").eval()
    width = clip.visual.trunk.num_features
    std = torch.ones(width)
    std[0] = 0
    standardise_inputs(clip, "image", torch.zeros(width), std)
    assert float(project_image(clip, torch.full((1, width), 1e-3)).abs().max()) < 10


def test_the_norm_that_is_pooled() -> None:
    clip = model("mlp")
    assert final_norm(clip) is clip.text.transformer.encoder.layer[-1].output.LayerNorm
    assert final_norm(model(None)) is None


def test_a_trunk_is_locked_where_nothing_but_the_projection_learns() -> None:
    clip: nn.Module = model(None)
    assert trunk_is_locked(clip, "image")
    assert trunk_is_locked(clip, "text")
    clip.get_parameter("visual.ln_post.bias").requires_grad_(True)
    clip.get_parameter("ln_final.bias").requires_grad_(True)
    assert not trunk_is_locked(clip, "image")
    assert not trunk_is_locked(clip, "text")


@pytest.mark.parametrize("kind", CONFIGS)
def test_trunk_and_projection_are_the_whole_tower(kind: str, tmp_path: Path) -> None:
    clip = fresh(tmp_path, kind)
    trunks = {**trunk_state(clip, "image"), **trunk_state(clip, "text")}
    rest = set(clip.state_dict()) - set(trunks)
    assert all(
        any(part in name for part in ("proj", "head.", "logit_", "text_decoder", "attn_mask")) for name in rest
    ), rest

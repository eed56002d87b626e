from typing import Any

import pytest
import torch
from open_clip.model import CLIP, CLIPTextCfg, CLIPVisionCfg, CustomTextCLIP
from torch import nn

from clipc.errors import UserError
from clipc.models.layers import TOWERS, tower_layers, tower_parameters

TEXT = {"context_length": 16, "vocab_size": 64, "width": 32, "heads": 2, "layers": 3}
VIT = {"image_size": 16, "patch_size": 8, "width": 32, "head_width": 16, "layers": 4}
RESNET = {"image_size": 32, "width": 8, "layers": [1, 2, 1, 1]}


def timm(name: str, **options: Any) -> dict[str, Any]:
    return {"timm_model_name": name, "timm_pool": "avg", "timm_proj": "linear", "image_size": 32, **options}


@pytest.mark.parametrize("build", [CLIP, CustomTextCLIP])
@pytest.mark.parametrize("vision", [VIT, RESNET, timm("test_resnet"), timm("test_vit", timm_pool="token")])
def test_every_parameter_of_a_tower_is_in_one_layer(build: type[nn.Module], vision: dict[str, Any]) -> None:
    clip = build(16, CLIPVisionCfg(**vision), CLIPTextCfg(**TEXT))
    assigned: list[str] = []
    for tower in TOWERS:
        layers = tower_layers(clip, tower)
        assert all(layers)
        assert sorted(name for layer in layers for name in layer) == sorted(tower_parameters(clip, tower))
        assigned += [name for layer in layers for name in layer]
    assert sorted([*assigned, "logit_scale"]) == sorted(name for name, _ in clip.named_parameters())


def test_layers_stand_in_the_order_of_the_forward_pass() -> None:
    clip = CLIP(16, CLIPVisionCfg(**VIT), CLIPTextCfg(**TEXT))
    image, text = tower_layers(clip, "image"), tower_layers(clip, "text")
    assert len(image) == 1 + 4 + 1
    assert len(text) == 1 + 3 + 1
    assert "visual.conv1.weight" in image[0]
    assert "visual.ln_pre.weight" in image[0]
    assert all(name.startswith("visual.transformer.resblocks.1.") for name in image[2])
    assert "visual.ln_post.weight" in image[4]
    assert image[5] == ["visual.proj"]
    assert set(text[0]) == {"positional_embedding", "token_embedding.weight"}
    assert "ln_final.bias" in text[3]
    assert text[4] == ["text_projection"]


def test_a_residual_network_is_counted_block_by_block() -> None:
    clip = CLIP(16, CLIPVisionCfg(**RESNET), CLIPTextCfg(**TEXT))
    layers = tower_layers(clip, "image")
    assert len(layers) == 1 + 5 + 1
    assert all(name.startswith("visual.layer2.1.") for name in layers[3])
    assert all(name.startswith("visual.attnpool.") for name in layers[-1])


def test_a_text_tower_of_transformers() -> None:
    from transformers import BertConfig, BertModel

    tower = BertModel(
        BertConfig(vocab_size=32, hidden_size=16, num_hidden_layers=3, num_attention_heads=2, intermediate_size=16)
    )
    clip = nn.Module()
    clip.visual = nn.Identity()
    clip.text = nn.Module()
    clip.text.transformer = tower
    clip.text.proj = nn.Linear(16, 8)
    layers = tower_layers(clip, "text")
    assert len(layers) == 1 + 3 + 1
    assert all(name.startswith("text.transformer.embeddings.") for name in layers[0])
    assert "text.transformer.pooler.dense.weight" in layers[3]
    assert layers[4] == ["text.proj.weight", "text.proj.bias"]


def test_a_tower_without_blocks_says_so() -> None:
    clip = nn.Module()
    clip.visual = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 4))
    clip.logit_scale = nn.Parameter(torch.zeros(()))
    with pytest.raises(UserError, match="image tower's blocks cannot be told apart"):
        tower_layers(clip, "image")

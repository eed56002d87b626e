from itertools import pairwise

import pytest
import torch
from open_clip.model import CLIP, CLIPTextCfg, CLIPVisionCfg
from torch import nn

from clipc.train.optimizer import adamw, learning_rate_at, rate_scales


def test_schedule_rises_then_falls_to_nothing() -> None:
    rates = [learning_rate_at(step, 100, 2.0, 10) for step in range(101)]
    assert rates[:10] == pytest.approx([0.2 * (i + 1) for i in range(10)])
    assert max(rates) == rates[9] == rates[10] == 2.0
    assert rates[55] == pytest.approx(1.0)
    assert rates[100] == pytest.approx(0)
    assert all(a >= b for a, b in pairwise(rates[10:]))
    assert learning_rate_at(0, 1, 1.0, 0) == 1.0


def test_vectors_are_not_decayed() -> None:
    model = nn.Sequential(nn.Linear(3, 4), nn.LayerNorm(4))
    model.scale = nn.Parameter(torch.tensor(1.0))
    decayed, spared = adamw(model, 0.1, 0.5, (0.9, 0.98)).param_groups
    assert [p.shape for p in decayed["params"]] == [(4, 3)]
    assert decayed["weight_decay"] == 0.5
    assert spared["weight_decay"] == 0
    assert sum(p.numel() for p in spared["params"]) == 4 + 4 + 4 + 1


def transformer() -> CLIP:
    text = CLIPTextCfg(context_length=8, vocab_size=16, width=8, heads=2, layers=2)
    return CLIP(8, CLIPVisionCfg(image_size=16, patch_size=8, width=8, head_width=4, layers=3), text)


def test_rates_fall_with_depth_as_worked_out_by_hand() -> None:
    scales = rate_scales(transformer(), 0.5)
    assert scales["visual.proj"] == scales["text_projection"] == 1
    assert scales["visual.transformer.resblocks.2.mlp.c_fc.bias"] == scales["visual.ln_post.weight"] == 0.5
    assert scales["visual.transformer.resblocks.0.attn.in_proj_weight"] == 0.125
    assert scales["visual.conv1.weight"] == scales["visual.positional_embedding"] == 0.0625
    assert scales["transformer.resblocks.1.ln_1.bias"] == scales["ln_final.weight"] == 0.5
    assert scales["transformer.resblocks.0.ln_1.bias"] == 0.25
    assert scales["token_embedding.weight"] == scales["positional_embedding"] == 0.125


@pytest.mark.peer
@pytest.mark.parametrize("name", ["test_vit", "test_resnet", "test_efficientnet"])
def test_rates_in_trunks_of_timm_are_those_of_timm(name: str) -> None:
    from timm.optim import param_groups_layer_decay

    vision = CLIPVisionCfg(timm_model_name=name, timm_proj="linear", timm_pool="avg", image_size=32)
    clip = CLIP(8, vision, CLIPTextCfg(context_length=8, vocab_size=16, width=8, heads=2, layers=2))
    trunk = clip.visual.trunk
    theirs = {
        id(parameter): group["lr_scale"]
        for group in param_groups_layer_decay(trunk, layer_decay=0.7)
        for parameter in group["params"]
    }
    # The projection behind the trunk is one layer more.
    scales = rate_scales(clip, 0.7)
    for own, parameter in trunk.named_parameters():
        assert scales[f"visual.trunk.{own}"] == pytest.approx(0.7 * theirs[id(parameter)])
    assert scales["visual.head.proj.weight"] == 1


def test_groups_carry_their_scales_and_hold_every_parameter_once() -> None:
    model = nn.Module()
    model.clip = transformer()
    model.clip.visual.conv1.weight.requires_grad_(False)
    groups = adamw(model, 0.1, 0.5, (0.9, 0.98), layer_decay=0.5).param_groups
    names = {id(parameter): name for name, parameter in model.clip.named_parameters()}
    scales = rate_scales(model.clip, 0.5) | {"logit_scale": 1.0}
    held = [names[id(parameter)] for group in groups for parameter in group["params"]]
    assert sorted([*held, "visual.conv1.weight"]) == sorted(names.values())
    for group in groups:
        assert group["lr"] == pytest.approx(0.1 * group["lr_scale"])
        assert {scales[names[id(parameter)]] for parameter in group["params"]} <= {group["lr_scale"]}
        assert all((parameter.ndim >= 2) == (group["weight_decay"] == 0.5) for parameter in group["params"])
    assert groups[0]["lr_scale"] == 1


def test_without_a_decay_groups_are_what_they_were() -> None:
    groups = adamw(transformer(), 0.1, 0.5, (0.9, 0.98)).param_groups
    assert len(groups) == 2
    assert all("lr_scale" not in group for group in groups)

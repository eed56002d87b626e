"""Adapters, against sums worked out by hand and against the plain model that their weights are merged into."""

import copy
import sys
from typing import Any

import pytest
import torch
from open_clip.model import CLIP, CLIPTextCfg, CLIPVisionCfg, CustomTextCLIP
from torch import nn

from clipc.errors import UserError
from clipc.models.lora import add_lora, merged_state_dict
from clipc.models.model import ClipModel
from clipc.models.text_tower import text_features
from clipc.models.tuning import Tuning, apply_tuning

pytest.importorskip("peft")

TEXT = {"context_length": 16, "vocab_size": 64, "width": 32, "heads": 2, "layers": 2}
VIT = {"image_size": 16, "patch_size": 8, "width": 32, "head_width": 16, "layers": 2}
TIMM_VIT = {"timm_model_name": "test_vit", "timm_pool": "token", "timm_proj": "linear", "image_size": 32}
TIMM_RESNET = {"timm_model_name": "test_resnet", "timm_pool": "avg", "timm_proj": "linear", "image_size": 32}
RESNET = {"image_size": 32, "width": 8, "layers": [1, 1, 1, 1]}
IMAGES = torch.randn(6, 3, 16, 16, generator=torch.Generator().manual_seed(0))
TOKENS = torch.randint(1, 60, (6, 16), generator=torch.Generator().manual_seed(1))
TOKENS[:, 7] = 63
TOKENS[:, 8:] = 0


def model(vision: dict[str, Any] = VIT, build: Any = CLIP) -> Any:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(7)
        return build(16, CLIPVisionCfg(**vision), CLIPTextCfg(**TEXT))


def learn(clip: Any, images: torch.Tensor = IMAGES, steps: int = 3) -> None:
    optimizer = torch.optim.AdamW([p for p in clip.parameters() if p.requires_grad], lr=0.05)
    clip.train()
    for _ in range(steps):
        optimizer.zero_grad()
        logits = clip.get_logits(images, TOKENS)[0]
        torch.nn.functional.cross_entropy(logits, torch.arange(len(logits))).backward()
        optimizer.step()


def features(clip: Any, images: torch.Tensor = IMAGES) -> torch.Tensor:
    clip.eval()
    with torch.inference_mode():
        return torch.cat([clip.encode_image(images), clip.encode_text(TOKENS)])


@pytest.mark.parametrize("build", [CLIP, CustomTextCLIP])
@pytest.mark.parametrize("vision", [VIT, TIMM_VIT])
def test_merged_weights_give_the_features_of_the_adapted_model(build: Any, vision: dict[str, Any]) -> None:
    images = nn.functional.interpolate(IMAGES, vision["image_size"])
    clip, plain = model(vision, build), model(vision, build)
    start = features(clip, images)
    add_lora(clip, 4, 8.0)
    torch.testing.assert_close(features(clip, images), start, atol=0, rtol=0)
    learn(clip, images)
    tuned = features(clip, images)
    assert not torch.allclose(tuned[:6], start[:6], atol=1e-2)
    assert not torch.allclose(tuned[6:], start[6:], atol=1e-2)
    plain.load_state_dict(merged_state_dict(clip))
    torch.testing.assert_close(features(plain, images), tuned, atol=1e-5, rtol=1e-5)


def test_only_adapters_and_the_temperature_learn_to_the_last_bit() -> None:
    clip = model()
    before = {name: tensor.clone() for name, tensor in clip.state_dict().items()}
    add_lora(clip, 2, 2.0)
    parameters = dict(clip.named_parameters())
    learn(clip, steps=20)
    features(clip)
    after = {name: tensor for name, tensor in clip.state_dict().items() if ".lora_" not in name}
    changed = {
        name for name, tensor in after.items() if not torch.equal(tensor, before[name.replace(".base_layer", "")])
    }
    assert changed == {"logit_scale"}
    assert all(clip.get_parameter(name) is parameter for name, parameter in parameters.items())


def test_merging_is_the_sum_of_the_paper_and_leaves_the_model_alone() -> None:
    clip = model()
    add_lora(clip, 3, 6.0)
    learn(clip)
    before = {name: tensor.clone() for name, tensor in clip.state_dict().items()}
    merged = merged_state_dict(clip)
    assert all(torch.equal(tensor, before[name]) for name, tensor in clip.state_dict().items())
    place = "transformer.resblocks.1.attn"
    a, b = (before[f"{place}.lora_{which}.default.weight"].double() for which in "AB")
    expected = before[f"{place}.base_layer.in_proj_weight"].double() + 6 / 3 * b @ a
    torch.testing.assert_close(merged[f"{place}.in_proj_weight"].double(), expected, atol=1e-6, rtol=0)
    inner = f"{place}.base_layer.out_proj"
    a, b = (before[f"{inner}.lora_{which}.default.weight"].double() for which in "AB")
    expected = before[f"{inner}.base_layer.weight"].double() + 6 / 3 * b @ a
    torch.testing.assert_close(merged[f"{place}.out_proj.weight"].double(), expected, atol=1e-6, rtol=0)


def test_a_model_without_adapters_has_nothing_to_merge() -> None:
    clip = model()
    merged, state = merged_state_dict(clip), clip.state_dict()
    assert list(merged) == list(state)
    assert all(torch.equal(tensor, state[name]) for name, tensor in merged.items())


def test_adapters_hang_on_the_seed_alone() -> None:
    torch.manual_seed(5)
    before = torch.random.get_rng_state()
    states: list[dict[str, torch.Tensor]] = []
    for seed in (1, 1, 2):
        clip = model()
        add_lora(clip, 2, 2.0, seed)
        states.append(clip.state_dict())
    assert torch.equal(before, torch.random.get_rng_state())
    name = "visual.transformer.resblocks.0.attn.lora_A.default.weight"
    assert all(torch.equal(tensor, states[1][name]) for name, tensor in states[0].items())
    assert not torch.equal(states[0][name], states[2][name])


def test_a_state_goes_round() -> None:
    clip, other = model(), model()
    add_lora(clip, 2, 4.0, seed=1)
    add_lora(other, 2, 4.0, seed=2)
    learn(clip)
    other.load_state_dict(copy.deepcopy(clip.state_dict()))
    torch.testing.assert_close(features(other), features(clip), atol=0, rtol=0)


def test_captions_without_padding_give_the_same_features() -> None:
    clip = model()
    add_lora(clip, 4, 8.0)
    learn(clip)
    clip.eval()
    with torch.inference_mode():
        expected = clip.encode_text(TOKENS)
        torch.testing.assert_close(text_features(clip, TOKENS, torch.device("cpu")), expected, atol=1e-5, rtol=1e-5)


def test_half_precision_rounds_the_adapted_model_as_it_does_the_merged_one() -> None:
    clip, plain = model(), model()
    add_lora(clip, 4, 8.0)
    learn(clip)
    plain.load_state_dict(merged_state_dict(clip))
    with torch.autocast("cpu", torch.bfloat16):
        torch.testing.assert_close(features(clip), features(plain), atol=0, rtol=0)


def test_the_small_vision_transformer_that_ships_takes_adapters() -> None:
    ours = ClipModel.create("vit")
    texts = ["a gear", "two plates and a bolt " * 4]
    expected = ours.eval().encode_text(texts)
    apply_tuning(ours.clip, Tuning(lora=4))
    assert torch.equal(ours.encode_text(texts), expected)
    reference = ours.clip.encode_text(ours.tokenizer(texts), normalize=True)  # pyright: ignore
    torch.testing.assert_close(expected, reference, atol=1e-5, rtol=1e-5)


def test_adapters_work_when_activations_are_computed_again() -> None:
    gradients: list[dict[str, torch.Tensor]] = []
    for again in (False, True):
        clip = model()
        add_lora(clip, 4, 8.0)
        learn(clip)
        clip.zero_grad()
        clip.set_grad_checkpointing(again)
        (clip.encode_image(IMAGES) * clip.encode_text(TOKENS)).sum().backward()
        gradients.append({name: p.grad for name, p in clip.named_parameters() if p.grad is not None})
    assert gradients[0]
    torch.testing.assert_close(gradients[0], gradients[1])


@pytest.mark.parametrize(
    ("vision", "locked", "adapted"),
    [(VIT, "image", "text"), (VIT, "text", "image"), (TIMM_VIT, "text", "image"), (TIMM_RESNET, "image", "text")],
)
def test_one_tower_alone(vision: dict[str, Any], locked: str, adapted: str) -> None:
    clip = model(vision)
    apply_tuning(clip, Tuning.model_validate({"lora": 2, locked: "locked"}))
    learning = {name for name, parameter in clip.named_parameters() if parameter.requires_grad} - {"logit_scale"}
    assert learning
    assert all(".lora_" in name and name.startswith("visual.") == (adapted == "image") for name in learning)


@pytest.mark.parametrize("vision", [TIMM_RESNET, RESNET])
def test_a_tower_without_attention_is_refused_and_says_what_has_it(vision: dict[str, Any]) -> None:
    with pytest.raises(UserError, match=r"image tower \(\w*ResNet\) has no attention .* ViT-B-32.* tune.image=locked"):
        apply_tuning(model(vision), Tuning(lora=4))


def test_a_tower_that_never_calls_its_projections_is_refused() -> None:
    from timm.models.beit import Beit

    clip = model(TIMM_VIT)
    clip.visual.trunk = Beit(img_size=32, embed_dim=64, depth=1, num_heads=2, num_classes=0)
    with pytest.raises(UserError, match=r"adapters in visual.trunk.blocks.0.attn.qkv would never learn"):
        apply_tuning(clip, Tuning(lora=4))


def test_a_text_tower_of_transformers() -> None:
    from transformers import BertConfig, BertModel

    config = BertConfig(vocab_size=64, hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=16)

    class Text(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.transformer = BertModel(config, add_pooling_layer=False)

        def forward(self, tokens: torch.Tensor) -> torch.Tensor:
            return self.transformer(input_ids=tokens).last_hidden_state[:, 0]

    clip = model(VIT, CustomTextCLIP)
    clip.text = Text()
    plain = copy.deepcopy(clip)
    add_lora(clip, 2, 2.0)
    learning = [name for name, p in clip.named_parameters() if p.requires_grad and name.startswith("text.")]
    assert len(learning) == 2 * 4 * 2  # layers, projections, A and B
    learn(clip)
    plain.load_state_dict(merged_state_dict(clip))
    torch.testing.assert_close(features(plain), features(clip), atol=1e-5, rtol=1e-5)


def test_without_peft_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "peft", None)
    with pytest.raises(UserError, match=r"pip install '.*\[lora\]'"):
        add_lora(model(), 2, 2.0)

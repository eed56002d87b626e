"""What is locked, against open_clip's own locks, and what stays still while it is."""

from typing import Any

import pytest
import torch
from open_clip.model import CLIP, CLIPTextCfg, CLIPVisionCfg, CustomTextCLIP
from pydantic import ValidationError
from torch import nn

from clipc.errors import UserError
from clipc.models.layers import tower_layers
from clipc.models.tuning import Tuning, apply_tuning

TEXT = {"context_length": 16, "vocab_size": 64, "width": 32, "heads": 2, "layers": 3}
VIT = {"image_size": 16, "patch_size": 8, "width": 32, "head_width": 16, "layers": 3}
TIMM = {"timm_model_name": "test_resnet", "timm_pool": "avg", "timm_proj": "linear", "image_size": 32}
MODIFIED_RESNET = {"image_size": 32, "width": 8, "layers": [1, 1, 1, 1]}


def model(vision: dict[str, Any], build: Any = CLIP) -> Any:
    return build(16, CLIPVisionCfg(**vision), CLIPTextCfg(**TEXT))


def learning(clip: nn.Module) -> set[str]:
    return {name for name, parameter in clip.named_parameters() if parameter.requires_grad}


@pytest.mark.parametrize("build", [CLIP, CustomTextCLIP])
@pytest.mark.parametrize("unlocked", range(6))
def test_transformers_are_locked_as_open_clip_locks_them(build: Any, unlocked: int) -> None:
    ours, image, text = (model(VIT, build) for _ in range(3))
    image.lock_image_tower(unlocked_groups=unlocked)
    text.lock_text_tower(unlocked_layers=unlocked)
    apply_tuning(ours, Tuning(image=unlocked or "locked"))
    assert learning(ours) == learning(image)
    ours = model(VIT, build)
    apply_tuning(ours, Tuning(text=unlocked or "locked"))
    assert learning(ours) == learning(text)


@pytest.mark.filterwarnings("ignore:Importing from timm.models.helpers")
@pytest.mark.parametrize("unlocked", range(3))
def test_timm_trunks_are_locked_as_open_clip_locks_them_below_the_projection(unlocked: int) -> None:
    ours, theirs = model(TIMM, CustomTextCLIP), model(TIMM, CustomTextCLIP)
    apply_tuning(ours, Tuning(image=unlocked + 1))
    theirs.lock_image_tower(unlocked_groups=unlocked)
    assert learning(ours) == learning(theirs)


def test_a_locked_tower_of_timm_does_not_learn_its_projection_either() -> None:
    clip = model(TIMM, CustomTextCLIP)
    apply_tuning(clip, Tuning(image="locked"))
    assert not any(name.startswith("visual.") for name in learning(clip))


def test_the_default_changes_nothing() -> None:
    clip, plain = model(TIMM), model(TIMM)
    apply_tuning(clip, Tuning())
    assert learning(clip) == learning(plain)
    assert all(module.training for module in clip.modules())


@pytest.mark.parametrize("tuning", [Tuning(image="locked"), Tuning(image=2), Tuning(text="locked"), Tuning(text=1)])
def test_the_temperature_always_learns(tuning: Tuning) -> None:
    clip = model(VIT)
    apply_tuning(clip, tuning)
    assert "logit_scale" in learning(clip)


@pytest.mark.parametrize("vision", [TIMM, MODIFIED_RESNET])
def test_statistics_of_a_locked_tower_never_change(vision: dict[str, Any]) -> None:
    clip = model(vision)
    names = set(clip.state_dict())
    apply_tuning(clip, Tuning(image="locked"))
    assert set(clip.state_dict()) == names
    before = {name: tensor.clone() for name, tensor in clip.visual.state_dict().items()}
    images = torch.randn(4, 3, 32, 32)
    clip.eval()
    expected = clip.visual(images)
    clip.train()
    assert torch.equal(clip.visual(images), expected)
    assert all(torch.equal(tensor, before[name]) for name, tensor in clip.visual.state_dict().items())
    assert clip.transformer.training


def test_batch_norm_that_learns_goes_on_counting() -> None:
    clip = model(TIMM)
    apply_tuning(clip, Tuning(image=2))
    clip.train()
    before = {name: tensor.clone() for name, tensor in clip.visual.named_buffers()}
    clip.visual(torch.randn(4, 3, 32, 32))
    changed = {name for name, tensor in clip.visual.named_buffers() if not torch.equal(tensor, before[name])}
    last_two = {name.rpartition(".")[0] for layer in tower_layers(clip, "image")[-2:] for name in layer}
    assert changed
    assert {f"visual.{name.rpartition('.')[0]}" for name in changed} <= last_two


def test_activations_inside_of_batch_norms_survive_a_lock() -> None:
    """timm fuses some activations into its batch norms; replacing those would lose them."""
    vision = TIMM | {"timm_model_name": "test_efficientnet"}
    clip, plain = model(vision), model(vision)
    plain.load_state_dict(clip.state_dict())
    apply_tuning(clip, Tuning(image="locked"))
    images = torch.randn(2, 3, 32, 32)
    assert torch.equal(clip.train().visual(images), plain.eval().visual(images))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"image": "locked", "text": "locked"}, "nothing is left to learn"),
        ({"image": 0}, "write all, locked, or how many"),
        ({"image": True}, "write all, locked, or how many"),
        ({"text": "frozen"}, "not 'frozen'"),
        ({"text": 1.5}, "write all, locked, or how many"),
        ({"lora_alpha": 8.0}, "has no effect without lora"),
        ({"lora": 4, "image": 2}, "adapters take the place"),
        ({"lora": 4, "layer_decay": 0.7}, "one rate"),
        ({"lora": 0}, "greater than or equal to 1"),
        ({"layer_decay": 0.0}, "greater than 0"),
        ({"layer_decay": 1.1}, "less than or equal to 1"),
        ({"unlocked": 3}, "not permitted"),
    ],
)
def test_nonsense_is_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        Tuning.model_validate(fields)


def test_more_layers_than_there_are_is_refused() -> None:
    with pytest.raises(UserError, match=r"tune.image is 6, but the image tower has 5 layers; set it to 5 at most"):
        apply_tuning(model(VIT), Tuning(image=6))

"""An image tower's trunk and projection: together they give open_clip's features; halves are encoded alone."""

from typing import Any

import open_clip
import pytest
import torch
from torch import nn

from clipc.errors import UserError
from clipc.models.image_tower import (
    check_halves,
    image_pooled,
    project_image,
)

TEXT = {"context_length": 16, "vocab_size": 64, "width": 32, "heads": 2, "layers": 1}
VIT = {"image_size": 32, "layers": 1, "width": 32, "head_width": 16, "patch_size": 8}
TIMM = {"timm_model_name": "test_resnet", "timm_pool": "avg", "timm_proj": "mlp", "image_size": 64}


def model(**vision: Any) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return open_clip.CLIP(embed_dim=16, vision_cfg=vision, text_cfg=TEXT).eval()


def pixels(clip: Any, n: int = 3) -> torch.Tensor:
    side = clip.visual.image_size[0]
    return torch.randn(n, 3, side, side, generator=torch.Generator().manual_seed(1))


AVERAGE = {**VIT, "pool_type": "avg"}
TOWERS = [TIMM, {**TIMM, "timm_proj": "linear"}, VIT, AVERAGE, {**AVERAGE, "final_ln_after_pool": True}]


@pytest.mark.parametrize("vision", TOWERS)
def test_the_projection_of_pooled_features_gives_open_clips_features(vision: dict[str, Any]) -> None:
    clip: Any = model(**vision)
    images = pixels(clip)
    with torch.no_grad():
        features = clip.encode_image(images)
        assert torch.allclose(project_image(clip, image_pooled(clip, images)), features, atol=1e-5)


def test_a_tower_that_pools_by_attention_is_refused() -> None:
    clip = model(**VIT, attentional_pool=True)
    with pytest.raises(UserError, match="attention"):
        image_pooled(clip, pixels(clip))


def test_a_pooling_head_of_timm_is_refused() -> None:
    clip = model(**{**TIMM, "timm_model_name": "resnet10t", "timm_pool": "rot_attn", "timm_proj": ""})
    with pytest.raises(UserError, match="cannot encode half an image alone"):
        check_halves(clip, 64)


def test_half_an_image_is_its_patches_at_their_own_places() -> None:
    clip: Any = model(**VIT)
    check_halves(clip, 32)
    images, visual = pixels(clip), clip.visual
    with torch.no_grad():
        tokens = visual._embeds(images)
        grid = torch.arange(16).view(4, 4)
        for half, places in ((images[..., :16], grid[:, :2]), (images[:, :, :16], grid[:2])):
            shown = torch.cat([tokens[:, :1], tokens[:, 1 + places.flatten()]], dim=1)
            expected = visual.ln_post(visual.transformer(shown))[:, 0]
            assert torch.allclose(image_pooled(clip, half), expected, atol=1e-5)


def test_half_an_image_is_an_image_of_its_own_for_a_convolutional_tower() -> None:
    clip: Any = model(**{**TIMM, "image_size": 128})
    check_halves(clip, 128)
    images = pixels(clip)[..., :64]
    with torch.no_grad():
        assert torch.equal(image_pooled(clip, images), clip.visual.trunk(images))


@pytest.mark.parametrize(
    ("vision", "size", "words"),
    [
        ({**VIT, "image_size": 24}, 24, r"3 x 3 patches, .* set image_size=32, or renderer=auto"),
        ({**TIMM, "image_size": 96}, 96, r"3 x 3 cells, .* set image_size=128 or more"),
    ],
)
def test_images_without_halves_are_refused_in_one_sentence(vision: dict[str, Any], size: int, words: str) -> None:
    with pytest.raises(UserError, match=words):
        check_halves(model(**vision), size)

"""An image tower's trunk and projection: together they give open_clip's features; parts of a map are pooled alone."""

from typing import Any

import open_clip
import pytest
import torch
from torch import nn

from clipc.errors import UserError
from clipc.models.image_tower import image_pooled, image_pooled_and_map, pool_map, project_image

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
        pooled, feature_map = image_pooled_and_map(clip, images)
        assert torch.allclose(project_image(clip, image_pooled(clip, images)), features, atol=1e-5)
        assert torch.allclose(project_image(clip, pooled), features, atol=1e-5)
    assert len(feature_map) == len(images)
    assert feature_map.ndim == 4


@pytest.mark.parametrize("vision", [TIMM, AVERAGE])
def test_pooling_a_whole_map_is_the_towers_pooling(vision: dict[str, Any]) -> None:
    clip: Any = model(**vision)
    with torch.no_grad():
        if vision is not TIMM:  # its pooling includes the class token otherwise
            clip.visual.ln_post = nn.Identity()
        pooled, feature_map = image_pooled_and_map(clip, pixels(clip))
        expected = pooled if vision is TIMM else feature_map.mean(dim=(2, 3))
        assert torch.allclose(pool_map(clip, feature_map), expected, atol=1e-5)


def test_a_map_keeps_the_places_of_the_image() -> None:
    clip: Any = model(**VIT)
    images = pixels(clip, 1)
    with torch.no_grad():
        clip.visual.transformer = nn.Identity()  # without attention a cell sees its own patch alone
        before = image_pooled_and_map(clip, images)[1]
        images[:, :, :8, 24:] = 0
        after = image_pooled_and_map(clip, images)[1]
    changed = (before != after).any(dim=1)[0]
    assert changed.nonzero().tolist() == [[0, 3]]


def test_a_tower_that_pools_by_attention_is_refused() -> None:
    clip = model(**VIT, attentional_pool=True)
    with pytest.raises(UserError, match="attention"):
        image_pooled_and_map(clip, pixels(clip))


def test_a_pooling_head_of_timm_is_refused() -> None:
    clip = model(**{**TIMM, "timm_model_name": "resnet10t", "timm_pool": "rot_attn", "timm_proj": ""})
    with pytest.raises(UserError, match="pooled alone"):
        image_pooled_and_map(clip, pixels(clip))

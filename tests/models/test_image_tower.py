"""An image tower's trunk and projection: together they give open_clip's features; parts of a map are pooled alone."""

from typing import Any

import open_clip
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from clipc.errors import UserError
from clipc.models.image_tower import (
    cells,
    check_halves,
    half_pooled,
    image_pooled,
    image_pooled_and_map,
    pool_map,
    pool_places,
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


PLACES = torch.tensor([(0, 0, 0.5, 1), (0.5, 0, 1, 1), (0, 0, 1, 0.5), (0, 0.5, 1, 1), (0, 0, 1, 1)])


@pytest.mark.parametrize(
    ("side", "expected"),
    [
        (2, [[0, 0, 1, 2], [1, 0, 2, 2], [0, 0, 2, 1], [0, 1, 2, 2], [0, 0, 2, 2]]),
        (7, [[0, 0, 3, 7], [4, 0, 7, 7], [0, 0, 7, 3], [0, 4, 7, 7], [0, 0, 7, 7]]),  # the middle lies on the seam
        (1, [[0, 0, 1, 1]] * 5),
    ],
)
def test_the_cells_of_halves(side: int, expected: list[list[int]]) -> None:
    assert cells(PLACES, side, side).tolist() == expected


@given(st.integers(1, 30), st.floats(0, 1), st.floats(0.001, 1))
def test_cells_are_those_whose_centre_lies_inside(count: int, low: float, extent: float) -> None:
    high = min(1.0, low + extent)
    found = cells(torch.tensor([[low, 0, high, 1]], dtype=torch.float64), 3, count)[0].tolist()
    inside = [i for i in range(count) if low * count < i + 0.5 - 1e-4 and i + 0.5 + 1e-4 < high * count]
    assert found[1::2] == [0, 3]
    if inside:
        assert [found[0], found[2]] == [inside[0], inside[-1] + 1]
    else:
        assert found[2] == found[0] + 1
        assert 0 <= found[0] < count


@pytest.mark.parametrize("vision", [TIMM, VIT])
def test_pooled_places_are_the_pooled_parts_of_each_image(vision: dict[str, Any]) -> None:
    clip: Any = model(**vision)
    rows = torch.tensor([0, 0, 1, 1, 2])
    with torch.no_grad():
        feature_map = image_pooled_and_map(clip, pixels(clip))[1]
        found = pool_places(clip, feature_map, rows, PLACES)
        side = feature_map.shape[-1]
        for row, (x0, y0, x1, y1), pooled in zip(rows, cells(PLACES, side, side).tolist(), found, strict=True):
            alone = pool_map(clip, feature_map[row : row + 1, :, y0:y1, x0:x1])[0]
            assert torch.allclose(pooled, alone, atol=1e-6)


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
            assert torch.allclose(half_pooled(clip, half), expected, atol=1e-5)


def test_half_an_image_is_an_image_of_its_own_for_a_convolutional_tower() -> None:
    clip: Any = model(**{**TIMM, "image_size": 128})
    check_halves(clip, 128)
    images = pixels(clip)[..., :64]
    with torch.no_grad():
        assert torch.equal(half_pooled(clip, images), clip.visual.trunk(images))


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

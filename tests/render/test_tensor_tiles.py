"""Layouts on tensors, against one row at a time and against the worker renderer."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torch.nn import functional as F

from clipc.catalog.open import open_catalog
from clipc.compose.layouts import LAYOUTS
from clipc.compose.layouts.tiles import LEFT_RIGHT, PLAIN, TOP_BOTTOM, Tiles, Views
from clipc.compose.plan import Plans
from clipc.compose.policy import Policy
from clipc.errors import UserError
from clipc.render.crop import Augmentation
from clipc.render.geometry import geometry
from clipc.render.tensor_tiles import paste_tiles
from clipc.render.worker import WorkerRenderer


def tiles_of(layout: str, codes: list[int], seed: int = 0) -> Tiles:
    draws = np.random.default_rng(seed).random((len(codes), 4)).astype(np.float32)
    return LAYOUTS[layout].tiles(np.array(codes, dtype=np.uint8), draws, Views.plain(len(codes)))


def pictures(n: int, size: int, dtype: torch.dtype = torch.float32, seed: int = 0) -> torch.Tensor:
    x = torch.rand(n, 3, size, size, generator=torch.Generator().manual_seed(seed))
    return (x * 255).round().to(dtype) if dtype == torch.uint8 else x.to(dtype)


def slow(first: torch.Tensor, second: torch.Tensor, tiles: Tiles) -> torch.Tensor:
    """One row, one source, one colour plane at a time."""
    size = first.shape[-1]
    rows = []
    for i in range(len(first)):
        picture = first[i].double()
        for side, source in enumerate((first[i].double(), second[i].double())):
            x0, y0, x1, y1 = (round(float(v * np.float32(size))) for v in tiles.place[i, side])
            if x0 >= x1 or y0 >= y1:
                continue
            box, wanted = tiles.window[i, side] * np.float32(size), (x1 - x0, y1 - y0)
            if all(abs(box[2 + d] - box[d] - wanted[d]) < 1 for d in (0, 1)):
                middles = [(box[d] + box[2 + d] - wanted[d]) / 2 for d in (0, 1)]
                left, top = (min(max(round(float(m)), 0), size - w) for m, w in zip(middles, wanted, strict=True))
                right, bottom = left + wanted[0], top + wanted[1]
            else:
                left, top, right, bottom = (round(float(edge)) for edge in box)
            tile = source[:, top:bottom, left:right]
            if tile.shape[1:] != (y1 - y0, x1 - x0):
                planes = [
                    F.interpolate(plane[None, None], (y1 - y0, x1 - x0), mode="bilinear", antialias=True)[0, 0]
                    for plane in tile
                ]
                tile = torch.stack(planes)
            opacity = float(tiles.opacity[i, side])
            picture = picture.clone()
            picture[:, y0:y1, x0:x1] = picture[:, y0:y1, x0:x1] * (1 - opacity) + tile * opacity
        rows.append(picture)
    made = torch.stack(rows)
    return made.round().to(torch.uint8) if first.dtype == torch.uint8 else made.to(first.dtype)


@settings(max_examples=60, deadline=None)
@given(
    layout=st.sampled_from(sorted(LAYOUTS)),
    size=st.integers(4, 33),
    dtype=st.sampled_from([torch.float32, torch.uint8, torch.float64]),
    seed=st.integers(0, 99),
    data=st.data(),
)
def test_equals_one_row_at_a_time(layout: str, size: int, dtype: torch.dtype, seed: int, data: st.DataObject) -> None:
    codes = data.draw(st.lists(st.sampled_from((PLAIN, *LAYOUTS[layout].codes)), min_size=1, max_size=7))
    first, second = pictures(len(codes), size, dtype, 1), pictures(len(codes), size, dtype, 2)
    kept = first.clone(), second.clone()
    tiles = tiles_of(layout, codes, seed)
    made = paste_tiles(first, second, tiles)
    slack = {torch.uint8: 1, torch.float32: 1e-6, torch.float64: 1e-12}[dtype]
    assert (made.double() - slow(first, second, tiles).double()).abs().max() <= slack
    assert torch.equal(first, kept[0])
    assert torch.equal(second, kept[1])
    assert made.data_ptr() != first.data_ptr()
    alone = [i for i, code in enumerate(codes) if code == PLAIN]
    assert torch.equal(made[alone], first[alone])


@pytest.mark.parametrize("size", [4, 6, 224, 226])
def test_centre_halves_of_even_pictures_are_copied(size: int) -> None:
    first, second = pictures(2, size, seed=1), pictures(2, size, seed=2)
    made = paste_tiles(first, second, tiles_of("centre-halves", [LEFT_RIGHT, TOP_BOTTOM]))
    half = size // 2
    start = round(size / 4)
    assert torch.equal(made[0, :, :, :half], first[0, :, :, start : start + half])
    assert torch.equal(made[0, :, :, half:], second[0, :, :, start : start + half])
    assert torch.equal(made[1, :, :half], first[1, :, start : start + half])
    assert torch.equal(made[1, :, half:], second[1, :, start : start + half])


def test_a_box_shows_what_lies_under_it() -> None:
    codes = list(LAYOUTS["cutmix"].codes) * 20
    first, second = torch.zeros(20, 3, 31, 31), pictures(20, 31) + 1
    made = paste_tiles(first, second, tiles_of("cutmix", codes))
    inside = made > 0
    assert torch.equal(made[inside], second[inside])
    assert 0.25 < inside.float().mean() < 0.75


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("layout", sorted(LAYOUTS))
def test_half_precision(layout: str, dtype: torch.dtype) -> None:
    codes = list(LAYOUTS[layout].codes)
    first, second = pictures(len(codes), 15, dtype, 1), pictures(len(codes), 15, dtype, 2)
    made = paste_tiles(first, second, tiles_of(layout, codes))
    assert made.dtype == dtype
    exact = paste_tiles(first.float(), second.float(), tiles_of(layout, codes))
    assert torch.allclose(made.float(), exact, atol=0.01)


def test_no_rows_are_no_rows() -> None:
    nothing = torch.zeros(0, 3, 8, 8)
    assert paste_tiles(nothing, nothing, tiles_of("centre-halves", [])).shape == (0, 3, 8, 8)


def test_what_does_not_fit_is_told() -> None:
    tiles = tiles_of("centre-halves", [LEFT_RIGHT])
    with pytest.raises(UserError, match=r"square.*\(1, 3, 8, 9\)"):
        paste_tiles(torch.zeros(1, 3, 8, 9), torch.zeros(1, 3, 8, 9), tiles)
    with pytest.raises(UserError, match="one shape and type"):
        paste_tiles(torch.zeros(1, 3, 8, 8), torch.zeros(1, 3, 9, 9), tiles)


class NoWords:
    """A tokenizer for tests that look at pictures."""

    context_length, max_text_tokens = 99, 97

    def count(self, text: str) -> int:
        return 1

    def __call__(self, texts: list[str]) -> torch.Tensor:
        return torch.zeros(len(texts), 2, dtype=torch.int64)


@pytest.mark.parametrize("size", [32, 33])
@pytest.mark.parametrize("layout", [name for name in sorted(LAYOUTS) if name != "region"])
def test_the_worker_renderer_shows_the_same(layout: str, size: int, tmp_path: Path) -> None:
    """On smooth pictures of the target size, seen whole, both differ by little more than rounding."""
    x = np.linspace(0, 200, size)
    for i in range(6):
        planes = np.stack([np.add.outer(x * (i % 3), x) / 3, np.tile(x, (size, 1)), np.full((size, size), 40 * i)])
        Image.fromarray(planes.transpose(1, 2, 0).astype(np.uint8)).save(tmp_path / f"{i}.png")
        (tmp_path / f"{i}.txt").write_text(f"picture {i}")
    catalog = open_catalog(tmp_path)
    plans = Plans(catalog, Policy(rho=0.8, layout=layout), 0)
    whole = Augmentation(crop_scale=(1, 1), crop_ratio=(1, 1), flip=0)
    theirs = WorkerRenderer(plans, whole, size, NoWords()).render(0, 12).images.permute(0, 3, 1, 2)
    plan = plans.rows(0, 12)
    sources = torch.stack([torch.from_numpy(catalog.image(row).copy()).permute(2, 0, 1) for row in range(6)])
    ours = paste_tiles(sources[plan.left], sources[plan.right], geometry(plans, plan, 0, whole).tiles)
    far = (ours.int() - theirs.int()).abs()
    # From pixel to pixel there are up to 6 grey levels; a copied window lies less than a pixel beside a resampled one.
    assert far.max() <= (6 if size % 2 or layout == "cutmix" else 2)
    assert far.float().mean() < 2

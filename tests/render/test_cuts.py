from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image

from clipc.render.colour import adjust_colour
from clipc.render.cuts import Cuts, paste_cuts
from clipc.render.pixels import Pixels
from clipc.render.resample import _MAX_OFFSET, Image8, ResampleSpec, resample_specs  # pyright: ignore[reportPrivateUsage]
from clipc.render.resample_matrix import paste_cuts_batched

Array = npt.NDArray[np.uint8]
SIDE = 20


def one_by_one(images: torch.Tensor, pixels: Pixels, asked: Cuts) -> None:
    found = resample_specs(asked.box, asked.size, pixels.size[asked.image])

    def read(i: int) -> tuple[Image8, ResampleSpec]:
        first, (width, height) = 3 * int(pixels.start[asked.image[i]]), pixels.size[asked.image[i]].tolist()
        image = pixels.values.numpy()[first : first + 3 * width * height].reshape(height, width, 3)
        return image, found[i]

    paste_cuts(images, asked, read)


BOTH = pytest.mark.parametrize("lay", [one_by_one, paste_cuts_batched])


def kept(*pictures: Array) -> Pixels:
    sizes = np.array([picture.shape[1::-1] for picture in pictures], dtype=np.int64)
    area = sizes.prod(axis=1)
    values = torch.from_numpy(np.concatenate([picture.reshape(-1) for picture in pictures]))
    unread = np.zeros(len(pictures), dtype=np.bool_)
    return Pixels(values, np.cumsum(area) - area, sizes, np.arange(len(pictures))[:, None], unread)


def cuts(boxes: list[tuple[float, ...]], places: list[tuple[int, ...]]) -> Cuts:
    n = len(boxes)
    return Cuts(
        image=np.arange(n),
        box=np.array(boxes, dtype=np.float64),
        row=np.zeros(n, dtype=np.int64),
        place=np.array(places, dtype=np.int64),
        strong=np.zeros(n, dtype=np.bool_),
        mirrored=np.zeros(n, dtype=np.bool_),
        turns=np.zeros(n, dtype=np.int64),
        opacity=np.ones(n, dtype=np.float32),
        colour=np.ones((n, 3), dtype=np.float32),
    )


def laid(lay: object, pixels: Pixels, asked: Cuts, side: int = SIDE) -> Array:
    images = torch.zeros((int(asked.row.max()) + 1, side, side, 3), dtype=torch.uint8)
    assert callable(lay)
    lay(images, pixels, asked)
    return images.numpy()


def reference(picture: Array, box: tuple[float, ...], width: int, height: int) -> npt.NDArray[np.float64]:
    """Bicubic, antialiased, one pixel after the other."""
    across = [spread(box[0], box[2], width, i, picture.shape[1]) for i in range(width)]
    down = [spread(box[1], box[3], height, i, picture.shape[0]) for i in range(height)]
    return np.array([[np.einsum("y,x,yxc", v, h, picture.astype(float)) for h in across] for v in down]).clip(0, 255)


def spread(low: float, high: float, count: int, made: int, size: int) -> npt.NDArray[np.float64]:
    step = (high - low) / count
    weights = np.zeros(size)
    for read in range(size):
        x = abs(read + 0.5 - low - (made + 0.5) * step) / max(step, 1)
        if x < 1:
            weights[read] = 1.5 * x**3 - 2.5 * x**2 + 1
        elif x < 2:
            weights[read] = -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2
    return weights / weights.sum()


def noise(height: int, width: int, seed: int = 0) -> Array:
    return np.random.Generator(np.random.Philox(seed)).integers(0, 256, (height, width, 3), dtype=np.uint8)


def stretch(most: int) -> st.SearchStrategy[tuple[int, float, float]]:
    """A size, and a stretch of at least a quarter of a pixel in it."""

    def within(size: int, low: float, extent: float) -> tuple[int, float, float]:
        begin = low * (size - 0.25)
        return size, begin, min(size, begin + 0.25 + extent * (size - 0.25 - begin))

    share = st.floats(0, 1)
    return st.builds(within, st.integers(1, most), share, share)


@settings(max_examples=60, deadline=None)
@given(x=stretch(40), y=stretch(40), width=st.integers(1, SIDE), height=st.integers(1, SIDE), mirrored=st.booleans())
def test_matrices_give_what_a_slow_reference_gives(
    x: tuple[int, float, float], y: tuple[int, float, float], width: int, height: int, mirrored: bool
) -> None:
    picture, box = noise(y[0], x[0]), (x[1], y[1], x[2], y[2])
    asked = cuts([box], [(SIDE - width, SIDE - height, SIDE, SIDE)])
    found = laid(paste_cuts_batched, kept(picture), replace(asked, mirrored=np.array([mirrored])))[0]
    tile = found[SIDE - height :, SIDE - width :].astype(float)
    wanted = reference(picture, box, width, height)
    np.testing.assert_allclose(tile, wanted[:, ::-1] if mirrored else wanted, atol=0.51)
    assert found[: SIDE - height].sum() + found[:, : SIDE - width].sum() == 0


@settings(max_examples=60, deadline=None)
@given(x=stretch(40), y=stretch(40), width=st.integers(1, SIDE), height=st.integers(1, SIDE), mirrored=st.booleans())
@example(x=(20, 0, 19.4), y=(20, 0, 19.4), width=20, height=20, mirrored=False)  # as many pixels made as read
@example(x=(15, 0, 8.9503), y=(26, 0, 11), width=9, height=17, mirrored=False)  # copied, though a little shorter
def test_one_by_one_is_pillow_where_boxes_begin_at_the_edge(
    x: tuple[int, float, float], y: tuple[int, float, float], width: int, height: int, mirrored: bool
) -> None:
    picture, box = noise(y[0], x[0]), (0.0, 0.0, x[2] - x[1], y[2] - y[1])
    asked = cuts([box], [(SIDE - width, SIDE - height, SIDE, SIDE)])
    found = laid(one_by_one, kept(picture), replace(asked, mirrored=np.array([mirrored])))[0]
    tile = found[SIDE - height :, SIDE - width :].astype(int)
    wanted = np.asarray(Image.fromarray(picture).resize((width, height), Image.Resampling.BICUBIC, box))
    # Where as many pixels are made as read, PyTorch copies, also a box that is up to a twentieth of a pixel longer or
    # shorter, which moves pixels by as much. The bicubic filter's steepest slope is 1.5 times the values' range.
    moved = sum(off for off in (abs(box[2] - width), abs(box[3] - height)) if off <= _MAX_OFFSET)
    np.testing.assert_allclose(tile, wanted[:, ::-1] if mirrored else wanted, atol=2 + 1.5 * 255 * moved)
    assert found[: SIDE - height].sum() + found[:, : SIDE - width].sum() == 0


@settings(max_examples=60, deadline=None)
@given(x=stretch(60), y=stretch(60), width=st.integers(1, SIDE), height=st.integers(1, SIDE))
def test_one_by_one_is_hardly_off_its_place(
    x: tuple[int, float, float], y: tuple[int, float, float], width: int, height: int
) -> None:
    slope = 4
    ramp = np.zeros((y[0], x[0], 3), dtype=np.uint8)
    ramp[..., 0], ramp[..., 1] = slope * np.arange(x[0]), slope * np.arange(y[0])[:, None]
    box = (x[1], y[1], x[2], y[2])
    found = laid(one_by_one, kept(ramp), cuts([box], [(0, 0, width, height)]))[0, :height, :width]
    wanted = reference(ramp, box, width, height)
    # Half a pixel at the edges (a box of less than two begins where its pixel does), and what lies before the box,
    # which the filter may not see, where the picture shrinks.
    small = min(x[2] - x[1], y[2] - y[1]) < 2
    unseen = 0.15 * max(1, (x[2] - x[1]) / width, (y[2] - y[1]) / height)
    assert np.abs(found - wanted).max() <= slope * ((1.0 if small else 0.5) + unseen) + 2
    assert np.abs(found.mean(axis=(0, 1)) - wanted.mean(axis=(0, 1))).max() <= slope * (0.3 + unseen) + 1


def test_one_by_one_is_what_pillow_does() -> None:
    smooth = np.asarray(Image.fromarray(noise(9, 12)).resize((97, 64), Image.Resampling.BICUBIC))
    for box in ((0.0, 0.0, 97.0, 64.0), (3.3, 5.7, 71.2, 60.1), (20.2, 1.9, 33.0, 40.0)):
        pillow = Image.fromarray(smooth).resize((SIDE, SIDE), Image.Resampling.BICUBIC, box)
        found = laid(one_by_one, kept(smooth), cuts([box], [(0, 0, SIDE, SIDE)]))[0]
        assert np.abs(found.astype(float) - np.asarray(pillow)).mean() < 1.5


@BOTH
def test_many_tiles_are_laid_as_each_alone(lay: object) -> None:
    pictures = [noise(7 + 5 * i, 31 - 3 * i, i) for i in range(8)]
    pixels = kept(*pictures)
    places = [(0, 0, 20, 20), (0, 0, 10, 20), (10, 0, 20, 20), (0, 0, 20, 10), (3, 4, 15, 16), (0, 0, 1, 20)]
    rows = np.random.Generator(np.random.Philox(1)).integers(0, 8, 40)
    asked = replace(
        cuts([(0.7, 1.2, 6.5, 6.9)] * 40, [places[i % 6] for i in range(40)]),
        image=rows,
        row=np.arange(40),
        mirrored=rows % 2 == 0,
        colour=np.where(rows[:, None] % 3 == 0, [1.2, 0.9, 1.4], 1).astype(np.float32),
    )
    together = laid(lay, pixels, asked)
    for i in range(40):
        one = asked[np.array([i])]
        alone = laid(lay, pixels, replace(one, row=np.zeros(1, dtype=np.int64)))[0]
        np.testing.assert_array_equal(together[i], alone)


@BOTH
def test_opacity_lets_shine_through(lay: object) -> None:
    flat = [np.full((8, 8, 3), grey, dtype=np.uint8) for grey in (40, 200)]
    below = laid(lay, kept(*flat), cuts([(0, 0, 8, 8)], [(0, 0, SIDE, SIDE)]))
    images = torch.from_numpy(below)
    half = replace(
        cuts([(0, 0, 8, 8)], [(5, 0, SIDE, SIDE)]), image=np.array([1]), opacity=np.array([0.25], dtype=np.float32)
    )
    assert callable(lay)
    lay(images, kept(*flat), half)
    assert (images[0, :, :5] == 40).all()
    assert (images[0, :, 5:] == 80).all()


@BOTH
@given(draws=st.tuples(*[st.floats(0, 0.999)] * 3), strength=st.floats(0.05, 1))
@settings(max_examples=25, deadline=None)
def test_colours_change_as_those_of_an_image_alone(lay: object, draws: tuple[float, ...], strength: float) -> None:
    picture = noise(SIDE, SIDE)
    factors = 1 + strength * (2 * np.array(draws) - 1)
    asked = replace(cuts([(0, 0, SIDE, SIDE)], [(0, 0, SIDE, SIDE)]), colour=factors[None].astype(np.float32))
    found = laid(lay, kept(picture), asked)[0]
    np.testing.assert_allclose(found.astype(int), adjust_colour(picture, factors.astype(np.float32)), atol=1)


@BOTH
def test_nothing_to_lay_changes_nothing(lay: object) -> None:
    pixels = kept(noise(4, 4))
    images = torch.full((2, 4, 4, 3), 9, dtype=torch.uint8)
    assert callable(lay)
    lay(images, pixels, cuts([(0, 0, 4, 4)], [(0, 0, 4, 4)])[np.arange(0)])
    assert (images == 9).all()


def test_memory_bounds_how_many_tiles_go_together(monkeypatch: pytest.MonkeyPatch) -> None:
    pixels = kept(*(noise(30, 30, i) for i in range(6)))
    asked = replace(cuts([(1.5, 2, 28, 29.3)] * 6, [(0, 0, SIDE, SIDE)] * 6), row=np.arange(6))
    at_once = laid(paste_cuts_batched, pixels, asked)
    monkeypatch.setattr("clipc.render.resample_matrix._MAX_GATHERED", 2000)
    np.testing.assert_array_equal(laid(paste_cuts_batched, pixels, asked), at_once)

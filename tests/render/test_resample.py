import tarfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image

from clipc.catalog.images.decode import decode
from clipc.render.resample import resample as resample_box
from clipc.render.resample import resample_specs


def resample(pixels: np.ndarray, box: tuple[float, float, float, float], size: tuple[int, int]) -> np.ndarray:
    (spec,) = resample_specs(np.array([box], np.float64), np.array([size]), np.array([pixels.shape[1::-1]]))
    return resample_box(pixels, spec)


def pillow(pixels: np.ndarray, box: tuple[float, float, float, float], size: tuple[int, int]) -> np.ndarray:
    """The slow reference: a bicubic, antialiased resize of exactly this box."""
    return np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.BICUBIC, box=box))


def waves(width: int, height: int) -> np.ndarray:
    """A picture whose every pixel tells its place: slopes and slow waves."""
    y, x = np.mgrid[:height, :width] + 0.5
    channels = [x / width, y / height, (2 + np.sin(9 * x / width) + np.cos(7 * y / height)) / 4]
    return np.clip(255 * np.dstack(channels), 0, 255).astype(np.uint8)


sides = st.integers(20, 200)
starts = st.floats(0, 1)
shares = st.floats(0.2, 1)
results = st.integers(4, 120)


@settings(max_examples=200, deadline=None)
@example(width=20, height=20, x=0.076171875, y=0.0, wide=0.34375, high=0.25, columns=51, rows=24)
@given(sides, sides, starts, starts, shares, shares, results, results)
def test_any_cut_is_where_pillow_has_it(
    width: int, height: int, x: float, y: float, wide: float, high: float, columns: int, rows: int
) -> None:
    picture = waves(width, height)
    x0, y0 = x * (1 - wide) * width, y * (1 - high) * height
    box = (x0, y0, min(x0 + wide * width, width), min(y0 + high * height, height))
    found, expected = resample(picture, box, (columns, rows)), pillow(picture, box, (columns, rows))
    assert found.shape == (rows, columns, 3)
    assert found.dtype == np.uint8
    # An eighth of a pixel of the result on average, on the steepest of the slopes; edges see what lies beyond them
    # differently.
    slope = 255 * max(wide / columns, high / rows) * 3
    away = np.abs(found.astype(int) - expected)
    assert away.mean() <= 1 + slope / 8
    # Bicubic weights reach two pixels of the picture, which are several of the result where it is enlarged.
    beside, above = (1 + int(2 * max(1, n / side)) for n, side in ((columns, box[2] - x0), (rows, box[3] - y0)))
    assert away[above : rows - above, beside : columns - beside].max(initial=0) <= 3 + slope / 2


@pytest.mark.parametrize("size", [(32, 24), (16, 12), (8, 24), (64, 48)])
def test_whole_pictures_are_as_pillow_makes_them(size: tuple[int, int]) -> None:
    picture = np.random.Generator(np.random.Philox(0)).integers(0, 256, (24, 32, 3), dtype=np.uint8)
    away = resample(picture, (0, 0, 32, 24), size).astype(int) - pillow(picture, (0, 0, 32, 24), size)
    assert np.abs(away).max() <= 1


def test_a_cut_at_its_own_size_is_a_copy() -> None:
    picture = np.random.Generator(np.random.Philox(0)).integers(0, 256, (24, 32, 3), dtype=np.uint8)
    np.testing.assert_array_equal(resample(picture, (3, 5, 23, 21), (20, 16)), picture[5:21, 3:23])


def test_what_was_decoded_stays_as_it_was_and_may_be_read_only() -> None:
    picture = waves(40, 30)
    picture.flags.writeable = False
    before = picture.copy()
    made = resample(picture, (0.4, 0.4, 39, 29), (16, 16))
    made[:] = 0
    np.testing.assert_array_equal(picture, before)


def test_a_picture_of_one_pixel_fills_its_place() -> None:
    assert (resample(np.full((1, 1, 3), 90, dtype=np.uint8), (0.2, 0.1, 0.9, 0.8), (6, 5)) == 90).all()


def photographs(tar: Path, count: int) -> list[np.ndarray]:
    with tarfile.open(tar) as opened:
        names = [name for name in opened.getnames() if name.endswith(".jpg")][:count]
        return [decode(opened.extractfile(name).read()) for name in names]


@pytest.mark.parametrize(("data", "size"), [("flickr8k", 112), ("flickr8k", 48), ("rsicd", 112)])
def test_photographs_are_nearly_the_same_as_pillow_s(shared_data: Path, data: str, size: int) -> None:
    generator = np.random.Generator(np.random.Philox(0))
    away: list[float] = []
    for picture in photographs(shared_data / data / "val-00000.tar", 60):
        height, width = picture.shape[:2]
        wide, high = generator.uniform(0.6, 1, 2) * (width, height)
        x0, y0 = generator.uniform(0, 1, 2) * (width - wide, height - high)
        box = (x0, y0, x0 + wide, y0 + high)
        found, expected = resample(picture, box, (size, size)), pillow(picture, box, (size, size))
        away.append(float(np.abs(found.astype(int) - expected).mean()))
    assert np.mean(away) < 1.35

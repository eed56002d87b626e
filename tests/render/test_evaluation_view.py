"""Evaluation shows a model what open_clip's own preprocessing shows it."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from open_clip import image_transform
from PIL import Image

from clipc.errors import UserError
from clipc.render.evaluation_view import INTERPOLATIONS, Resizing, evaluation_view

Pixels = npt.NDArray[np.uint8]

SIZES = [(500, 375), (375, 500), (301, 301), (64, 64), (640, 97), (33, 64), (5, 3), (1, 1)]
SIDES = [16, 31, 64, 224]


def noise(width: int, height: int) -> Pixels:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


def smooth(width: int, height: int) -> Pixels:
    y, x = np.mgrid[:height, :width]
    waves = [np.sin(2 * np.pi * (a * x / width + b * y / height) + a) for a, b in ((1, 0.5), (0.5, 1), (1, -1))]
    return np.rint(127.5 + 120 * np.stack(waves, axis=2)).astype(np.uint8)


def theirs(image: Pixels, size: int, preprocess: dict[str, Any]) -> Pixels:
    transform: Any = image_transform(size, is_train=False, mean=(0, 0, 0), std=(1, 1, 1), **preprocess)
    return np.rint(transform(Image.fromarray(image)).permute(1, 2, 0).numpy() * 255).astype(np.uint8)


@pytest.mark.parametrize("interpolation", INTERPOLATIONS)
@pytest.mark.parametrize("mode", ["longest", "squash"])
@pytest.mark.parametrize("size", SIZES)
def test_padded_and_stretched_as_open_clip_does_it(size: tuple[int, int], mode: str, interpolation: str) -> None:
    image = noise(*size)
    preprocess = {"resize_mode": mode, "interpolation": interpolation, "fill_color": 90}
    for side in SIDES:
        view = evaluation_view(image, side, Resizing.of(preprocess))
        assert view.dtype == np.uint8
        np.testing.assert_array_equal(view, theirs(image, side, preprocess))


@pytest.mark.parametrize("interpolation", INTERPOLATIONS)
@pytest.mark.parametrize("size", SIZES[:5])
def test_the_centre_is_open_clips_within_part_of_a_pixel(size: tuple[int, int], interpolation: str) -> None:
    preprocess = {"resize_mode": "shortest", "interpolation": interpolation}
    image = smooth(*size)
    for side in (64, 224):
        view = evaluation_view(image, side, Resizing.of(preprocess)).astype(int)
        other = theirs(image, side, preprocess).astype(int)
        # How far a picture's colours go within half a pixel of its view, plus rounding.
        slope = max(np.abs(np.diff(other, axis=axis)).max() for axis in (0, 1))
        assert np.abs(view - other).max() <= slope / 2 + 2


@given(st.integers(1, 90), st.integers(1, 90), st.integers(1, 40), st.integers(0, 50))
def test_the_default_is_the_centre_square_resized(width: int, height: int, size: int, seed: int) -> None:
    image = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    side = min(height, width)
    x0, y0 = (width - side) / 2, (height - side) / 2
    reference = Image.fromarray(image).resize((size, size), Image.Resampling.BICUBIC, (x0, y0, x0 + side, y0 + side))
    np.testing.assert_array_equal(evaluation_view(image, size, Resizing()), np.asarray(reference))


@given(st.integers(20, 90), st.integers(20, 90), st.integers(0, 50))
def test_the_default_is_resizing_and_then_cutting(width: int, height: int, seed: int) -> None:
    side = min(width, height)
    even = [length - (length - side) % 2 for length in (width, height)]  # so that the cut falls on whole pixels
    image = np.random.Generator(np.random.Philox(seed)).integers(0, 256, (even[1], even[0], 3), dtype=np.uint8)
    left, top = (even[0] - side) // 2, (even[1] - side) // 2
    cut = Image.fromarray(image).resize((even[0], even[1])).crop((left, top, left + side, top + side))
    np.testing.assert_array_equal(evaluation_view(image, side, Resizing()), np.asarray(cut))
    smaller = evaluation_view(image, side // 2, Resizing()).astype(int)
    reference = np.asarray(Image.fromarray(image).resize((side // 2,) * 2, box=(left, top, left + side, top + side)))
    assert np.abs(smaller - reference).mean() < 3


def test_a_picture_too_narrow_for_a_pixel_keeps_one() -> None:
    view = evaluation_view(np.full((200, 1, 3), 200, np.uint8), 16, Resizing("longest", "bilinear", (1, 2, 3)))
    assert (view == 200).all(axis=(0, 2)).sum() == 1
    assert {tuple(pixel) for pixel in view.reshape(-1, 3).tolist()} == {(200, 200, 200), (1, 2, 3)}


def test_what_does_not_change_a_view_does_not_tell_two_apart() -> None:
    assert Resizing.of({}) == Resizing.of({"resize_mode": None, "interpolation": "random", "mean": 0.5}) == Resizing()
    assert Resizing.of({"fill_color": 9}) == Resizing()
    assert Resizing.of({"resize_mode": "longest", "fill_color": 9}) == Resizing("longest", fill_color=9)


@pytest.mark.parametrize(("key", "value"), [("resize_mode", "squish"), ("interpolation", "bicubik")])
def test_a_wrong_name_is_answered_by_the_nearest(key: str, value: str) -> None:
    with pytest.raises(UserError, match=f"unknown {key} '{value}'; did you mean '(squash|bicubic)'"):
        Resizing.of({key: value})

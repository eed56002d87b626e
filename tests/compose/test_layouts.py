import numpy as np

from clipc.compose.layout import LAYOUT_NAMES, LEFT_RIGHT, PLAIN, TOP_BOTTOM, centre_halves


def area(box: np.ndarray) -> np.ndarray:
    return (box[..., 2] - box[..., 0]) * (box[..., 3] - box[..., 1])


def test_centre_halves_fill_the_picture_with_half_of_each() -> None:
    tiles = centre_halves(np.array([PLAIN, LEFT_RIGHT, TOP_BOTTOM], dtype=np.uint8))
    np.testing.assert_allclose(area(tiles.place), [[1, 0], [0.5, 0.5], [0.5, 0.5]])
    np.testing.assert_allclose(area(tiles.window[1:]), 0.5)
    np.testing.assert_allclose(tiles.window[1, 0], [0.25, 0, 0.75, 1])
    np.testing.assert_allclose(tiles.place[2, 1], [0, 0.5, 1, 1])


def test_halves_are_never_stretched() -> None:
    codes = np.arange(len(LAYOUT_NAMES), dtype=np.uint8)
    tiles = centre_halves(codes)
    shown = area(tiles.place) > 0
    for axis in (0, 1):
        window = tiles.window[..., 2 + axis] - tiles.window[..., axis]
        place = tiles.place[..., 2 + axis] - tiles.place[..., axis]
        np.testing.assert_allclose(window[shown], place[shown])

import numpy as np
import pytest

from clipc.audit.detail import FEW_PIXELS, detail


def surface(side: int, noise: float = 6.0) -> np.ndarray:
    generator = np.random.Generator(np.random.Philox(0))
    return np.clip(generator.normal(120, noise, size=(side, side * 4 // 3, 3)), 0, 255).astype(np.uint8)


def test_a_small_defect_on_a_large_plate_is_small_for_the_model() -> None:
    image = surface(1500)
    image[400:440, 900:940] = 60
    found = detail(image, 64)
    assert found.structure is not None
    assert found.structure == pytest.approx(40 * 64 / 1500, rel=0.5)
    assert found.structure < FEW_PIXELS
    x, y = found.place
    assert (x * 2000, y * 1500) == pytest.approx((920, 420), abs=25)


def test_at_a_higher_resolution_the_same_defect_is_large_enough() -> None:
    image = surface(600)
    image[200:240, 400:440] = 60
    found = detail(image, 224)
    assert found.structure is None or found.structure >= FEW_PIXELS


def test_noise_and_grass_are_no_structures() -> None:
    assert detail(surface(600), 64).structure is None
    stripes = np.zeros((600, 600, 3), np.uint8)
    stripes[::6] = 200
    assert detail(stripes, 64).structure is None


def test_the_energy_of_fine_stripes_is_lost_and_that_of_coarse_ones_stays() -> None:
    y = np.arange(512)
    for period, low, high in ((4, 0.9, 1.0), (128, 0.0, 0.1)):
        wave = (127 + 100 * np.sin(2 * np.pi * y / period)).astype(np.uint8)
        image = np.repeat(np.repeat(wave[:, None, None], 512, axis=1), 3, axis=2)
        assert low <= detail(image, 64).loss <= high


def test_an_image_that_is_enlarged_loses_nothing() -> None:
    found = detail(surface(48), 64)
    assert found.loss == 0
    assert found.scale < 1
    assert found.structure is None


def test_a_flat_image_is_no_error() -> None:
    assert detail(np.full((200, 300, 3), 7, np.uint8), 64).loss == 0

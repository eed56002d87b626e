import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from clipc.catalog.images import inspect_images as inspection
from clipc.catalog.images.decode import decode
from clipc.catalog.images.intensity import brightness, dark_warnings, measure_intensity, sample_of, usable_values
from clipc.catalog.images.samples import Samples
from clipc.catalog.open import open_catalog

RAMP = np.repeat(np.linspace(0, 1, 64)[None], 48, axis=0)


def write(folder: Path, values: list[np.ndarray], ending: str = "png") -> Path:
    folder.mkdir()
    for n, array in enumerate(values):
        Image.fromarray(array).save(folder / f"{n:03d}.{ending}", **({"quality": 98} if ending == "jpg" else {}))
        (folder / f"{n:03d}.txt").write_text(f"the image of number {n}")
    return folder


@pytest.mark.parametrize("ending", ["png", "tif", "jpg"])
@pytest.mark.parametrize("type", [np.uint8, np.uint16])
def test_a_dark_set_is_warned_of_and_scaled_as_one(tmp_path: Path, type: type, ending: str) -> None:
    if (type, ending) == (np.uint16, "jpg"):
        return
    top = 4095 if type == np.uint16 else 50
    scale = [1.0, 0.5, 0.25]
    folder = write(tmp_path / "set", [np.rint(RAMP * top * s).astype(type) for s in scale], ending)
    plain, scaled = open_catalog(folder), open_catalog(folder, intensity="auto")
    (warning,) = plain.about.warnings
    assert "brightest of 3 images" in warning
    assert "--intensity auto" in warning
    assert plain.image(0).max() <= 51
    assert scaled.about.warnings == ()
    assert any(note.startswith("intensity:") for note in scaled.about.notes)
    for row, s in enumerate(scale):
        assert np.abs(scaled.image(row)[..., 1] - RAMP * 255 * s).max() < (12 if ending == "jpg" else 4)
    assert plain.fingerprint != scaled.fingerprint
    again = open_catalog(folder, intensity="auto")  # from the cache
    assert again.fingerprint == scaled.fingerprint
    assert (again.image(1) == scaled.image(1)).all()
    assert open_catalog(folder).image(0).max() <= 51
    assert (scaled.take([2, 0]).image(1) == scaled.image(0)).all()


def test_a_bright_set_is_not_warned_of(tmp_path: Path) -> None:
    folder = write(tmp_path / "set", [np.rint(RAMP * 255 * s).astype(np.uint8) for s in (0.1, 0.9)])
    assert open_catalog(folder).about.warnings == ()


def test_values_without_a_range_are_scaled_as_one(tmp_path: Path) -> None:
    values = [(RAMP * 300 + 100).astype(np.float32), (RAMP * 150 + 100).astype(np.float32)]
    values[0][:5, :5] = -9999
    folder = write(tmp_path / "set", values, "tif")
    catalog = open_catalog(folder, intensity="auto")
    assert np.abs(catalog.image(1)[..., 0] - RAMP * 127.5).max() < 3
    assert np.abs(catalog.image(0)[5:, :, 0] - RAMP[5:] * 255).max() < 3
    assert catalog.image(0)[:5, :5].max() == 0


def test_a_deep_png_in_colour_keeps_its_steps() -> None:
    codecs = pytest.importorskip("imagecodecs")
    values = np.rint(np.stack([RAMP, 1 - RAMP, RAMP * 0.5], -1) * 3000).astype(np.uint16)
    opacity = np.where(RAMP < 0.5, 0, 65535).astype(np.uint16)
    pixels = decode(codecs.png_encode(values), intensity={"uint16": (0, 3000)})
    assert np.abs(pixels - values / 3000 * 255).max() < 0.51
    clear = decode(codecs.png_encode(np.dstack([values, opacity])), intensity={"uint16": (0, 3000)})
    assert (clear[:, 40:] == pixels[:, 40:]).all()
    assert clear[:, :20].min() == 255


def test_each_type_has_a_range_of_its_own() -> None:
    dark = Samples(np.rint(RAMP * 4095).astype(np.uint16), white=65535.0)
    light = Samples(np.rint(RAMP * 250).astype(np.uint8), white=255.0)
    signed = Samples(np.rint(RAMP * 2000 - 1000).astype(np.int16), missing=RAMP < 0.5)
    ranges = measure_intensity(map(usable_values, [dark, light, signed]))
    assert ranges["uint16"] == pytest.approx([0, 4095], abs=5)
    assert ranges["uint8"] == pytest.approx([0, 250], abs=2)
    assert ranges["int16"] == pytest.approx([0, 1000], abs=20)
    assert measure_intensity([("uint8", np.zeros(5))]) == {"uint8": [0.0, 1.0]}
    assert measure_intensity([]) == {}


def test_one_hot_pixel_does_not_brighten_a_set() -> None:
    pixels = np.full((400, 500, 3), 12, np.uint8)
    pixels[10, 10] = 255
    kind, bright = brightness(Samples(pixels), pixels)
    assert (kind, bright) == ("uint8", 12)
    assert len(dark_warnings([(kind, bright)] * 7 + [("uint16", 200)])) == 1


def test_the_sample_is_spread_over_the_set() -> None:
    assert sample_of(3).tolist() == [0, 1, 2]
    assert sample_of(0).tolist() == []
    assert len(sample_of(100_000)) == 500
    assert sample_of(100_000)[[0, -1]].tolist() == [0, 99_999]


def test_large_sets_are_judged_by_a_sample(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inspection, "DECODED_UP_TO", 1)
    folder = write(tmp_path / "set", [np.rint(RAMP * 40).astype(np.uint8)] * 3, "jpg")
    Image.fromarray((RAMP * 400).astype(np.float32)).save(file := io.BytesIO(), "TIFF")
    (folder / "z.tif").write_bytes(file.getvalue())
    (folder / "z.txt").write_text("elevation")
    catalog = open_catalog(folder)
    assert len(catalog.about.warnings) == 1
    assert "--intensity auto" in catalog.rejects["reason"][0].as_py()
    assert len(open_catalog(folder, intensity="auto")) == 4

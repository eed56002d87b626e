import io
import struct
import sys
import zlib
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clipc.catalog.images.decode import DecodeError, decode, image_size, read_samples

tifffile = pytest.importorskip("tifffile")
pytest.importorskip("imagecodecs")

Y, X = np.mgrid[0:24, 0:40]
RAMP = X / 39
RGB = np.stack([RAMP, Y / 23, 1 - RAMP], -1)
DEEP = np.rint(RGB * 65535).astype(np.uint16)
EIGHT = np.rint(RGB * 255).astype(np.uint8)


def tiff(values: np.ndarray, **options: object) -> bytes:
    file = io.BytesIO()
    options.setdefault("photometric", "rgb" if values.ndim == 3 else "minisblack")
    tifffile.imwrite(file, values, **options)
    return file.getvalue()


@pytest.mark.parametrize(
    ("compression", "planes", "tile"),
    [*product([None, "zlib", "lzw", "zstd", "packbits"], ["contig", "separate"], [None, (16, 16)])],
)
def test_sixteen_bit_colours(compression: str | None, planes: str, tile: tuple[int, int] | None) -> None:
    values = DEEP if planes == "contig" else DEEP.transpose(2, 0, 1)
    data = tiff(values, planarconfig=planes, compression=compression, tile=tile)
    assert np.abs(decode(data) - DEEP / 257).max() < 1
    assert (read_samples(data, deep=True).values == DEEP).all()
    assert image_size(data) == (40, 24)


@pytest.mark.parametrize(
    ("values", "options", "expected"),
    [
        (DEEP, {"byteorder": ">"}, RGB),
        (DEEP, {"bigtiff": True}, RGB),
        (DEEP, {"photometric": "minisblack", "planarconfig": "contig"}, RGB),
        (RGB.astype(np.float32), {}, RGB),
        (RGB.astype(np.float64), {"compression": "zlib", "predictor": True}, RGB),
        (RGB.astype(np.float16), {}, RGB),
        ((RGB * 255).astype(np.float32), {}, RGB),
        (DEEP[..., 0], {"photometric": "miniswhite"}, 1 - RAMP),
        (EIGHT[..., 0], {"photometric": "miniswhite"}, 1 - RAMP),
        (np.rint(RAMP * 4095).astype(np.uint16), {"bitspersample": 12}, RAMP),
        (np.dstack([DEEP, DEEP[..., 1]]), {"extrasamples": ["unspecified"]}, RGB),
        (np.dstack([EIGHT, EIGHT]), {"extrasamples": ["unspecified"] * 3}, RGB),
        (np.dstack([EIGHT, np.where(X < 20, 20, 200)]).astype(np.uint8), {"extrasamples": ["unassalpha"]}, RGB),
        (np.dstack([DEEP, np.where(X < 20, 900, 60000)]).astype(np.uint16), {"extrasamples": ["unassalpha"]}, RGB),
    ],
)
def test_kinds_of_numbers_bands_and_orders(values: np.ndarray, options: dict, expected: np.ndarray) -> None:
    data = tiff(values, **options)
    expected = expected if expected.ndim == 3 else np.repeat(expected[..., None], 3, 2)
    assert np.abs(decode(data) / 255 - expected).max() < 1.01 / 255
    assert image_size(data) == (40, 24)


@pytest.mark.parametrize("type", [np.uint8, np.uint16])
@pytest.mark.parametrize("multiplied", [False, True])
@pytest.mark.parametrize("grey", [False, True])
def test_a_mask_shows_white(type: type, multiplied: bool, grey: bool) -> None:
    top = np.iinfo(type).max
    share = np.select([X < 10, X < 14], [0, 0.5], 1.0)[..., None]
    colours = RGB[..., :1] if grey else RGB
    bands = np.dstack([colours * share if multiplied else colours, share]) * top
    if grey and multiplied:
        pytest.skip("not written by anyone")
    options = {"photometric": "minisblack", "planarconfig": "contig"} if grey else {}
    data = tiff(np.rint(bands).astype(type), extrasamples=["assocalpha" if multiplied else "unassalpha"], **options)
    expected = np.broadcast_to(colours * share + 1 - share, (24, 40, 3))
    assert np.abs(decode(data) / 255 - expected).max() < 2.01 / 255


@pytest.mark.parametrize(
    ("values", "options", "words"),
    [
        (np.repeat(DEEP[..., :1], 13, 2), {"photometric": "minisblack"}, "a TIFF of 13 bands of 16-bit unsigned"),
        (np.repeat(RGB[..., :1], 5, 2).astype("f4"), {"photometric": "minisblack"}, "5 bands of 32-bit floating-point"),
        (EIGHT[..., :2], {"photometric": "minisblack"}, "a TIFF of 2 bands of 8-bit"),
        (np.rint(RAMP * 2000 - 1000).astype(np.int16), {}, "16-bit signed integers.*--intensity auto"),
        (np.rint(RAMP * 100000).astype(np.uint32), {}, "32-bit unsigned integers.*--intensity auto"),
        (np.rint(RGB * 100).astype(np.int8), {}, "8-bit signed integers.*--intensity auto"),
        (RAMP.astype(np.complex64), {}, "sample formats 6"),
        (RAMP.astype(np.float32), {"photometric": "miniswhite"}, "0 is white"),
        (DEEP[..., 0], {"photometric": 32803}, "raw file"),
        (EIGHT, {"photometric": "cielab"}, "Lab"),
    ],
)
def test_what_is_not_shown_is_named(values: np.ndarray, options: dict, words: str) -> None:
    options = {"planarconfig": "contig", **options} if values.ndim == 3 else options
    with pytest.raises(DecodeError, match=words):
        decode(tiff(values, **options))


def no_data(value: str) -> dict[str, object]:
    return {"extratags": [(42113, "s", 0, value, True)]}


@pytest.mark.parametrize(
    ("hole", "options"),
    [(-9999, {}), (-3.4028235e38, {}), (np.nan, {}), (np.inf, {}), (-5, no_data("-5")), (7e5, no_data("700000"))],
)
@pytest.mark.parametrize("type", [np.float32, np.int16])
def test_no_data_is_black_and_does_not_count(hole: float, options: dict, type: type) -> None:
    if type == np.int16 and not -32768 <= hole <= 32767:
        return
    values = np.rint(RAMP * 300 + 100).astype(type)
    values[:4, :4] = hole
    data = tiff(values, **options)
    pixels = decode(data, intensity={np.dtype(type).name: (100, 400)})
    expected = np.rint(RAMP * 300) / 300 * 255
    expected[:4, :4] = 0
    assert np.abs(pixels[..., 1] - expected).max() < 1
    missing = read_samples(data).missing
    assert missing is not None
    assert missing.sum() == 16


def test_float_nodata_leaves_a_range_of_one() -> None:
    values = RAMP.astype(np.float32)
    values[:4, :4] = -9999
    assert np.abs(decode(tiff(values))[4:, :, 0] - RAMP[4:] * 255).max() < 1


@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_is_applied_to_what_tifffile_reads(orientation: int) -> None:
    plain = [decode(tiff(values, extratags=[(274, "H", 1, orientation, True)])) for values in (EIGHT, RGB.astype("f4"))]
    assert np.abs(plain[0].astype(int) - plain[1]).max() <= 1
    assert image_size(tiff(DEEP, extratags=[(274, "H", 1, orientation, True)])) == plain[0].shape[1::-1]


def test_notes_say_what_is_left_out() -> None:
    data = tiff(np.dstack([EIGHT, EIGHT[..., 0]]), extrasamples=["unspecified"])
    assert "near infrared" in read_samples(data).notes[0]
    assert read_samples(tiff(np.stack([DEEP[..., 0]] * 3), photometric="minisblack")).notes == (
        "several pages: the first is taken",
    )
    assert read_samples(tiff(EIGHT)).notes == ()


def test_without_tifffile_a_file_that_needs_it_is_refused_with_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tifffile", None)
    planes = tiff(DEEP.transpose(2, 0, 1), planarconfig="separate")
    for call in (decode, image_size):
        with pytest.raises(DecodeError, match=r"16-bit unsigned integers.*pip install '.*\[images\]'"):
            call(planes)
    assert np.abs(decode(tiff(DEEP)) - DEEP / 257).max() < 1


def test_absurd_sizes_and_bombs_are_refused() -> None:
    data = tiff(RGB.astype(np.float32), compression="zlib")
    tags = tifffile.TiffFile(io.BytesIO(data)).pages.first.tags

    def changed(tag: int, value: int) -> bytes:
        at, kind = tags[tag].offset + 8, "<I" if tags[tag].dtype == 4 else "<H"
        return data[:at] + struct.pack(kind, value) + data[at + struct.calcsize(kind) :]

    for call in (decode, image_size):
        with pytest.raises(DecodeError, match="too large"):
            call(changed(256, 4_200_000))
    bomb = zlib.compress(bytes(1 << 25), 9)
    data = changed(273, len(data))
    data = changed(279, len(bomb)) + bomb
    with pytest.raises(DecodeError):
        decode(data)


@settings(max_examples=200, deadline=None)
@given(
    st.sampled_from([(compression, planes) for compression in (None, "zlib", "lzw") for planes in (True, False)]),
    st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 7)), min_size=1, max_size=4),
    st.booleans(),
    st.floats(0.05, 1),
)
def test_damage_gives_pixels_or_a_decode_error(
    form: tuple[str | None, bool], flips: list[tuple[float, int]], in_header: bool, keep: float
) -> None:
    values = DEEP.transpose(2, 0, 1) if form[1] else RGB.astype(np.float32)
    data = bytearray(tiff(values, compression=form[0], planarconfig="separate" if form[1] else "contig"))
    data = data[: int(len(data) * keep)] if keep < 0.9 else data
    for at, bit in flips:
        data[int(at * min(len(data), 500 if in_header else len(data)))] ^= 1 << bit
    try:
        pixels = decode(bytes(data))
    except DecodeError:
        return
    assert image_size(bytes(data)) == (pixels.shape[1], pixels.shape[0])

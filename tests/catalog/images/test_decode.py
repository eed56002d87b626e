import io
import struct
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms, ImageOps, PngImagePlugin

from clipc.catalog.images import decode as decode_module
from clipc.catalog.images import jpeg
from clipc.catalog.images.decode import DecodeError, decode, image_size

RAMP = np.stack(np.meshgrid(np.linspace(0, 255, 40), np.linspace(0, 255, 24)), axis=-1)
COLOURS = np.dstack([RAMP[..., 0], RAMP[..., 1], 255 - RAMP[..., 0]]).astype(np.uint8)
GREY = RAMP[..., 0].astype(np.uint8)


def saved(image: Image.Image, format: str, **options: object) -> bytes:
    out = io.BytesIO()
    image.save(out, format, **options)
    return out.getvalue()


def palette() -> Image.Image:
    return Image.fromarray(COLOURS).quantize(64)


@pytest.mark.parametrize(
    ("image", "format", "options"),
    [
        (Image.fromarray(COLOURS), "JPEG", {"quality": 95}),
        (Image.fromarray(COLOURS), "JPEG", {"quality": 95, "progressive": True, "subsampling": 0}),
        (Image.fromarray(GREY), "JPEG", {}),
        (Image.fromarray(COLOURS), "PNG", {}),
        (Image.fromarray(GREY), "PNG", {}),
        (Image.fromarray(GREY).convert("1"), "PNG", {}),
        (palette(), "PNG", {}),
        (Image.fromarray(COLOURS), "WEBP", {"lossless": True}),
        (Image.fromarray(COLOURS), "TIFF", {}),
        (Image.fromarray(COLOURS), "TIFF", {"compression": "tiff_lzw"}),
        (palette(), "TIFF", {}),
        (Image.fromarray(COLOURS), "BMP", {}),
        (Image.fromarray(GREY), "BMP", {}),
        (palette(), "BMP", {}),
    ],
)
def test_every_kind_agrees_with_pillow(image: Image.Image, format: str, options: dict[str, object]) -> None:
    data = saved(image, format, **options)
    expected = np.asarray(Image.open(io.BytesIO(data)).convert("RGB")).astype(int)
    pixels = decode(data)
    assert pixels.dtype == np.uint8
    assert pixels.flags.c_contiguous
    assert image_size(data) == (pixels.shape[1], pixels.shape[0]) == image.size
    assert np.abs(pixels - expected).max() <= 2  # two JPEG decoders may round differently


@pytest.mark.parametrize("adobe", [True, False])
def test_cmyk_jpeg_looks_as_pillow_and_browsers_show_it(adobe: bool) -> None:
    cmyk = Image.fromarray(np.full((16, 16, 4), (200, 20, 0, 30), np.uint8), "CMYK")
    data = saved(cmyk, "JPEG", quality=95)
    if not adobe:
        at = data.index(b"Adobe")
        length = int.from_bytes(data[at - 2 : at], "big")
        data = data[: at - 4] + data[at - 2 + length :]
    assert decode(data).tolist() == np.asarray(Image.open(io.BytesIO(data)).convert("RGB")).tolist()
    assert np.abs(decode(data)[8, 8].astype(int) - cmyk.convert("RGB").getpixel((8, 8))).max() <= 3


def test_cmyk_tiff() -> None:
    data = saved(Image.new("CMYK", (8, 8), (0, 255, 255, 0)), "TIFF")
    assert decode(data)[4, 4].tolist() == [255, 0, 0]


@pytest.mark.parametrize("format", ["PNG", "TIFF"])
def test_sixteen_bits_are_scaled_not_clipped(format: str) -> None:
    wide = np.linspace(0, 65535, 256).reshape(16, 16).astype(np.uint16)
    pixels = decode(saved(Image.fromarray(wide), format))
    assert pixels.shape == (16, 16, 3)
    assert np.abs(pixels[..., 0] - wide / 257.0).max() <= 0.5
    assert (pixels[..., 0] == pixels[..., 2]).all()


def test_sixteen_bit_colour_png() -> None:
    wide = (COLOURS.astype(np.uint16) * 257).astype(">u2")
    rows = b"".join(b"\0" + row.tobytes() for row in wide)
    data = png(wide.shape[1], wide.shape[0], 16, 2, rows)
    assert np.abs(decode(data).astype(int) - COLOURS).max() <= 1


def png(width: int, height: int, bits: int, colour: int, rows: bytes) -> bytes:
    import zlib

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0)
    signature = b"\x89PNG\r\n\x1a\n"
    return signature + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_transparency_is_laid_on_white(mode: str) -> None:
    if mode == "RGBA":
        image = Image.new("RGBA", (4, 4), (255, 0, 0, 128))
        expected = [255, 127, 127]
    elif mode == "LA":
        image = Image.new("LA", (4, 4), (0, 0))
        expected = [255, 255, 255]
    else:
        image = Image.new("P", (4, 4), 0)
        image.putpalette([0, 0, 0])
        image.info["transparency"] = 0
        expected = [255, 255, 255]
    data = saved(image, "PNG", **({"transparency": 0} if mode == "P" else {}))
    assert np.abs(decode(data)[1, 1].astype(int) - expected).max() <= 1


@pytest.mark.parametrize(("top", "scale"), [(1.0, 255), (255.0, 1)])
def test_float_tiff_is_scaled_from_the_range_it_uses(top: float, scale: float) -> None:
    values = np.linspace(0, top, 64, dtype=np.float32).reshape(8, 8)
    values[0, 0] = np.nan
    pixels = decode(saved(Image.fromarray(values), "TIFF"))
    assert np.abs(pixels[..., 1] - np.nan_to_num(values) * scale).max() <= 0.51


@pytest.mark.parametrize(("low", "high"), [(-1000, 3000), (0, 1.05), (0, 400), (-1, 1)])
def test_floats_without_a_fixed_range_are_refused_by_name(low: float, high: float) -> None:
    values = np.linspace(low, high, 64, dtype=np.float32).reshape(8, 8)
    with pytest.raises(DecodeError, match=r"a TIFF of 1 band of 32-bit floating-point numbers.*--intensity auto"):
        decode(saved(Image.fromarray(values), "TIFF"))


@pytest.mark.parametrize("format", ["GIF", "AVIF"])
def test_more_formats_and_their_first_frame(format: str) -> None:
    frames = [Image.fromarray(COLOURS), Image.fromarray(255 - COLOURS)]
    data = saved(frames[0], format, save_all=True, append_images=frames[1:])
    samples = decode_module.read_samples(data)
    assert np.abs(decode(data).astype(int) - np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))).max() == 0
    assert np.abs(decode(data).astype(int) - COLOURS).mean() < 12
    assert samples.notes == ("several frames: the first is taken",)
    assert image_size(data) == (40, 24)


def test_heic_is_read_or_refused_by_name() -> None:
    data = b"\0\0\0\x1cftypheic\0\0\0\0mif1heicmiaf" + bytes(40)
    with pytest.raises(DecodeError, match=r"HEIC.*pip install 'pillow-heif'|damaged"):
        decode(data)
    heif = pytest.importorskip("pillow_heif")
    heif.register_heif_opener()
    data = saved(Image.fromarray(COLOURS), "HEIF", quality=95)
    assert np.abs(decode(data).astype(int) - COLOURS).mean() < 8


@pytest.mark.parametrize("kind", ["text", "texts", "profile"])
def test_long_texts_and_profiles_in_a_png_do_no_harm(kind: str) -> None:
    info = PngImagePlugin.PngInfo()
    options: dict[str, object] = {"pnginfo": info}
    if kind == "text":
        info.add_itxt("workflow", "x" * 3_000_000, zip=True)
    elif kind == "texts":
        for n in range(80):
            info.add_text(f"key {n}", "y" * 900_000, zip=True)
    else:
        options = {"icc_profile": ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes() + bytes(2_000_000)}
    exif = Image.Exif()
    exif[0x0112] = 6
    data = saved(Image.fromarray(COLOURS), "PNG", exif=exif, **options)
    assert image_size(data) == (24, 40)
    assert decode(data).tolist() == np.rot90(COLOURS, -1).tolist()
    with pytest.raises(DecodeError):
        decode(data[:-200])


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (b"<!DOCTYPE html><html><head><title>404", "a web page"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0", "git lfs pull"),
        (b"8BPS\0\1", "Photoshop"),
        (b"%PDF-1.7", "PDF"),
        (b"PK\x03\x04rest", "zip"),
        (b"\0\0\0\x20ftypmp42", "video"),
        (b"words", "not a JPEG"),
    ],
)
def test_what_is_no_image_is_named(data: bytes, what: str) -> None:
    with pytest.raises(DecodeError, match=what):
        decode(data)


def test_a_jpeg_of_twelve_bits_is_named() -> None:
    data = bytearray(saved(Image.fromarray(COLOURS), "JPEG"))
    data[data.index(b"\xff\xc0") + 4] = 12
    with pytest.raises(DecodeError, match="a JPEG of 12 bits"):
        decode(bytes(data))


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_exif_orientation(orientation: int, format: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    options: dict[str, object] = {"JPEG": {"quality": 98}, "WEBP": {"lossless": True}}.get(format, {})
    data = saved(Image.fromarray(COLOURS), format, exif=exif, **options)
    expected = np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(data))).convert("RGB")).astype(int)
    pixels = decode(data)
    assert pixels.shape == expected.shape
    assert np.abs(pixels - expected).max() <= 2
    assert image_size(data) == (pixels.shape[1], pixels.shape[0])


def test_the_two_jpeg_decoders_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("simplejpeg")
    exif = Image.Exif()
    exif[0x0112] = 6
    for options in ({}, {"progressive": True}, {"subsampling": 2}, {"exif": exif}):
        data = saved(Image.fromarray(COLOURS), "JPEG", **options)
        fast = decode(data)
        with monkeypatch.context() as patch:
            patch.setattr(decode_module, "with_simplejpeg", lambda *asked: None)
            slow = decode(data)
        assert fast.shape == slow.shape
        assert np.abs(fast.astype(int) - slow).max() <= 2


def photograph(width: int, height: int) -> Image.Image:
    """Smooth shapes with some grain."""
    generator = np.random.Generator(np.random.Philox(1))
    shapes = Image.fromarray(generator.integers(0, 256, (7, 9, 3), dtype=np.uint8))
    smooth = np.asarray(shapes.resize((width, height), Image.Resampling.BICUBIC))
    noise = generator.normal(0, 6, (height, width, 1))
    return Image.fromarray(np.clip(smooth + noise, 0, 255).astype(np.uint8))


@settings(max_examples=60, deadline=None)
@given(
    st.integers(8, 300),
    st.integers(8, 300),
    st.integers(1, 400),
    st.integers(1, 400),
    st.integers(1, 8),
    st.sampled_from([0, 2]),
)
def test_a_smaller_decode_is_never_smaller_than_asked(
    width: int, height: int, wide: int, high: int, orientation: int, subsampling: int
) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = saved(photograph(width, height), "JPEG", quality=90, exif=exif, subsampling=subsampling)
    whole = image_size(data)
    pixels = decode(data, at_least=(wide, high))
    size = pixels.shape[1::-1]
    assert size in [tuple(-(-side // factor) for side in whole) for factor in (1, 2, 4, 8)]
    assert all(found >= min(asked, side) for found, asked, side in zip(size, (wide, high), whole, strict=True))
    half = tuple(-(-side // 2) for side in size)
    eighth = tuple(-(-side // 8) for side in whole)
    if orientation == 1:
        assert size == eighth or any(found < asked for found, asked in zip(half, (wide, high), strict=True))


@pytest.mark.parametrize("orientation", [1, 3, 6, 7])
@pytest.mark.parametrize("factor", [1, 2, 4, 8])
def test_a_smaller_decode_shows_what_the_whole_one_shows(orientation: int, factor: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = saved(photograph(320, 240), "JPEG", quality=92, exif=exif)
    whole = Image.fromarray(decode(data))
    least = (whole.width // factor, whole.height // factor)
    pixels = decode(data, at_least=least)
    assert pixels.shape[1::-1] == least
    shown = (whole.width // (2 * factor), whole.height // (2 * factor))
    small = np.asarray(Image.fromarray(pixels).resize(shown, Image.Resampling.BICUBIC)).astype(int)
    expected = np.asarray(whole.resize(shown, Image.Resampling.BICUBIC)).astype(int)
    assert np.abs(small - expected).mean() < 2


def test_a_turned_picture_is_decoded_smaller_only_where_no_pixel_is_cut() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    for width, size in ((320, (60, 80)), (322, (120, 161)), (321, (240, 321))):
        data = saved(photograph(width, 240), "JPEG", exif=exif)
        assert decode(data, at_least=(50, 70)).shape[1::-1] == size


@pytest.mark.parametrize("mode", ["L", "CMYK", "P"])
def test_kinds_that_are_not_decoded_smaller_come_whole(mode: str) -> None:
    image = photograph(128, 96)
    data = saved(image.quantize(64), "PNG") if mode == "P" else saved(image.convert(mode), "JPEG", quality=92)
    whole, least = decode(data), decode(data, at_least=(30, 20))
    assert least.shape[1::-1] == ((32, 24) if mode == "L" else (128, 96))
    shown = (16, 12)
    both = [np.asarray(Image.fromarray(p).resize(shown, Image.Resampling.BOX)).astype(int) for p in (whole, least)]
    assert np.abs(both[0] - both[1]).mean() < 2


def test_a_cut_jpeg_is_an_error_at_any_size() -> None:
    data = saved(photograph(256, 256), "JPEG", quality=92)
    for least in (None, (200, 200), (100, 100), (8, 8)):
        with pytest.raises(DecodeError):
            decode(data[: len(data) * 9 // 10], at_least=least)


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "TIFF", "BMP"])
@pytest.mark.parametrize("keep", [0.2, 0.6, 0.9])
def test_a_cut_image_is_an_error_not_half_a_picture(format: str, keep: float) -> None:
    data = saved(Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)), format)
    with pytest.raises(DecodeError):
        decode(data[: int(len(data) * keep)])


@pytest.mark.parametrize("format", ["PNG", "WEBP", "TIFF", "BMP", "GIF", "AVIF"])
def test_an_image_of_which_zeros_are_left_is_an_error(format: str) -> None:
    data = saved(Image.fromarray(np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8)), format)
    if format == "PNG":
        with pytest.raises(DecodeError):
            decode(data[:60].ljust(len(data), b"\0"))
    with pytest.raises(DecodeError):
        decode(data[: len(data) * 2 // 3])


def test_a_cut_jpeg_with_an_end_mark_is_still_an_error() -> None:
    data = saved(Image.fromarray(COLOURS), "JPEG", quality=95)
    with pytest.raises(DecodeError):
        decode(data[: len(data) * 2 // 3] + b"\xff\xd9")


def test_stray_bytes_between_jpeg_segments_do_no_harm() -> None:
    data = saved(Image.fromarray(COLOURS), "JPEG", quality=95)
    assert decode(data[:-2] + b"\0\0\0" + data[-2:]).shape == (24, 40, 3)
    assert decode(data + b"trailing bytes").shape == (24, 40, 3)


@pytest.mark.parametrize("kind", ["png", "jpeg", "bmp"])
def test_absurd_sizes_are_refused_before_decoding(kind: str) -> None:
    if kind == "png":
        data = png(60_000, 60_000, 8, 2, b"\0" * 100)
    elif kind == "jpeg":
        good = bytearray(saved(Image.fromarray(COLOURS), "JPEG"))
        at = good.index(b"\xff\xc0") + 5
        good[at : at + 4] = struct.pack(">HH", 65_000, 65_000)
        data = bytes(good)
    else:
        good = bytearray(saved(Image.fromarray(COLOURS), "BMP"))
        good[18:26] = struct.pack("<ii", 50_000, 50_000)
        data = bytes(good)
    for call in (decode, image_size):
        with pytest.raises(DecodeError, match="too large"):
            call(data)


@pytest.mark.parametrize("data", [b"", b"\xff\xd8\xff", b"hello", b"GIF89a" + b"\0" * 20, b"%!PS-Adobe-3.0 EPSF-3.0\n"])
def test_what_is_no_image_is_a_decode_error(data: bytes) -> None:
    for call in (decode, image_size):
        with pytest.raises(DecodeError):
            call(data)


def test_lab_is_refused_with_its_name() -> None:
    lab = ImageCms.profileToProfile(
        Image.fromarray(COLOURS), ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), outputMode="LAB"
    )
    with pytest.raises(DecodeError, match="Lab"):
        decode(saved(lab, "TIFF"))


@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from(["JPEG", "PNG", "WEBP", "TIFF", "BMP"]),
    st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 7)), min_size=1, max_size=6),
)
def test_flipped_bits_give_pixels_or_a_decode_error(format: str, flips: list[tuple[float, int]]) -> None:
    data = bytearray(saved(Image.fromarray(COLOURS), format))
    for at, bit in flips:
        data[int(at * len(data))] ^= 1 << bit
    try:
        pixels = decode(bytes(data))
    except DecodeError:
        return
    assert pixels.dtype == np.uint8
    assert pixels.ndim == 3
    assert pixels.shape[2] == 3
    assert image_size(bytes(data)) == (pixels.shape[1], pixels.shape[0])


def test_a_jpeg_beyond_the_limit_is_decoded_at_reduced_size(monkeypatch: pytest.MonkeyPatch) -> None:
    data = saved(Image.fromarray(COLOURS).resize((400, 240)), "JPEG", quality=95)
    whole = decode(data).astype(int)
    monkeypatch.setattr(jpeg, "PIXELS", 400 * 240 // 3)
    reduced = decode(data)
    assert reduced.shape == (120, 200, 3)
    assert image_size(data) == (400, 240)
    means = whole.reshape(120, 2, 200, 2, 3).mean(axis=(1, 3))
    assert np.abs(reduced - means).mean() < 2
    assert decode(data, (50, 30)).shape == (30, 50, 3)  # smaller still, where that suffices
    with pytest.raises(DecodeError, match="too large"):
        decode(saved(Image.fromarray(COLOURS).resize((400, 240)), "JPEG", progressive=True))


def test_too_many_scans_are_refused_before_decoding() -> None:
    data = saved(Image.fromarray(COLOURS), "JPEG", progressive=True)
    assert decode(data).shape == (24, 40, 3)
    at, end = data.rfind(b"\xff\xda"), data.rfind(b"\xff\xd9")
    with pytest.raises(DecodeError, match="more than 100 scans"):
        decode(data[:end] + data[at:end] * 3000 + data[end:])


def test_a_side_that_is_too_long_is_refused() -> None:
    with pytest.raises(DecodeError, match="a side longer than 65,535"):
        decode(saved(Image.new("L", (70_000, 1)), "PNG"))


@pytest.mark.parametrize("stray", [b"\xff" * 4_000_000, b"\xff\xe0\0\2" * 1_000_000])
def test_megabytes_before_the_frame_take_no_time(stray: bytes) -> None:
    data = saved(Image.fromarray(COLOURS), "JPEG")
    with suppress(DecodeError):  # no complete header
        assert image_size(data[:2] + stray + data[2:]) == (40, 24)

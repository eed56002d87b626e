"""Encoded image bytes to RGB pixels."""

import io
import struct
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

MAX_PIXELS = 100_000_000
"""The largest image that is decoded, in pixels; larger ones are rejected by their header."""

_FORMATS = ("JPEG", "PNG", "WEBP", "TIFF", "BMP")
_ORIENTATION = 0x0112
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_APPLICATIONS = frozenset((0xE0, 0xE1, 0xEE))
_ON_THE_SIDE = (5, 6, 7, 8)


class DecodeError(ValueError):
    """The bytes cannot be decoded as an image."""


def decode(data: bytes, at_least: tuple[int, int] | None = None) -> npt.NDArray[np.uint8]:
    """Decodes JPEG, PNG, WebP, TIFF or BMP to RGB.

    EXIF rotation is applied, transparent images are composited on white, CMYK is converted, 16-bit values are divided
    by 257, and floating-point values are scaled from the range they use (see :func:`_eight_bits`). Of several frames
    or pages the first is taken.

    Args:
        data: The encoded image.
        at_least: A sufficient width and height in pixels, after EXIF rotation: a larger JPEG may be decoded at a half,
            a quarter or an eighth of its size (sides rounded up), never below these, and without interpolation of
            the subsampled colours. By default the whole image is decoded.

    Returns:
        ``uint8`` of shape (height, width, 3), in 0..255.

    Raises:
        DecodeError: The bytes are no such image, are truncated or damaged, or the image has more than
            :data:`MAX_PIXELS` pixels.
    """
    if data[:3] != b"\xff\xd8\xff":
        return _with_pillow(data, None)
    header = jpeg_header(data)
    _check_size(header.width, header.height)
    # Three components and an Adobe segment without a transform: red, green, blue; but JFIF always means YCbCr.
    plain_rgb = header.components == 3 and header.adobe == 0 and not header.jfif
    if header.bits == 8 and header.components in (1, 3) and not plain_rgb:
        pixels = _with_simplejpeg(data, _scale_options(header, at_least))
        if pixels is not None:
            return _rotate(pixels, header.orientation)
    return _with_pillow(data, header)


def image_size(data: bytes) -> tuple[int, int]:
    """Width and height in pixels as shown (after EXIF rotation), from the header alone.

    Args:
        data: The encoded image, or enough of its beginning to hold the header.

    Raises:
        DecodeError: There is no such header, or the image has more than :data:`MAX_PIXELS` pixels.
    """
    if data[:3] == b"\xff\xd8\xff":
        header = jpeg_header(data)
        size, orientation = (header.width, header.height), header.orientation
    else:
        image = _open(data)
        size, orientation = image.size, _orientation(image)
    _check_size(*size)
    width, height = size
    return (height, width) if orientation in _ON_THE_SIDE else (width, height)


class JpegHeader(NamedTuple):
    """The header of a JPEG, with EXIF's orientation, 1 (upright) to 8, and the transform of an Adobe segment."""

    width: int
    height: int
    components: int
    bits: int
    orientation: int
    adobe: int | None
    jfif: bool


def jpeg_header(data: bytes) -> JpegHeader:
    """Reads a JPEG's markers up to its first scan.

    Raises:
        DecodeError: There is no complete frame header.
    """
    at, orientation, frame, adobe, jfif = 2, 1, None, None, False
    while at + 4 <= len(data):
        before, marker, length = struct.unpack_from(">BBH", data, at)
        if before != 0xFF or marker == 0xFF:
            at += 1  # stray bytes between segments are skipped, as libjpeg does
            continue
        if marker <= 1 or 0xD0 <= marker <= 0xD8:
            at += 2
            continue
        if marker in (0xD9, 0xDA) or length < 2:
            break
        if marker in _FRAMES and length >= 8 and at + 10 <= len(data):
            bits, height, width, components = struct.unpack_from(">BHHB", data, at + 4)
            frame = (width, height, components, bits)
        elif marker in _APPLICATIONS:
            body = data[at + 4 : at + 2 + length]
            if marker == 0xE1 and body[:6] == b"Exif\0\0":
                orientation = _orientation(body)
            elif marker == 0xE0 and body[:5] == b"JFIF\0":
                jfif = True
            elif marker == 0xEE and body[:5] == b"Adobe" and len(body) >= 12:
                adobe = body[11]
        at += 2 + length
    if frame is None:
        raise DecodeError("the JPEG has no complete header")
    return JpegHeader(*frame, orientation, adobe, jfif)


def _scale_options(header: JpegHeader, at_least: tuple[int, int] | None) -> dict[str, Any]:
    """The options of simplejpeg for the smallest decoded size that is sufficient.

    Scales other than 1/2, 1/4 and 1/8 are slower to decode than the whole. With ``fastupsample`` the subsampled
    colours are not interpolated, which is faster and not visible once the image is made smaller.
    """
    if at_least is None:
        return {}
    least = at_least[::-1] if header.orientation in _ON_THE_SIDE else at_least
    for factor in (8, 4, 2, 1):
        width, height = -(-header.width // factor), -(-header.height // factor)
        # A side that is no multiple ends in part of a pixel; after rotation it would begin with it, shifting the image.
        shifted = header.orientation != 1 and (header.width % factor or header.height % factor)
        if width >= least[0] and height >= least[1] and not shifted:
            return {"min_width": width, "min_height": height, "fastupsample": True}
    return {}


def _with_simplejpeg(data: bytes, scale: dict[str, Any]) -> npt.NDArray[np.uint8] | None:
    """The pixels; None if simplejpeg reports a harmless error, so that Pillow should decode."""
    from simplejpeg import decode_jpeg

    try:
        return decode_jpeg(data, colorspace="RGB", strict=True, **scale)
    except ValueError as error:
        reason = str(error)
        # Extraneous bytes between segments are common in cameras' files and harmless; other errors that are called
        # corrupt or premature mean lost pixels.
        if "extraneous" in reason or not any(word in reason for word in ("orrupt", "remature")):
            return None
        raise DecodeError(f"the JPEG is damaged ({reason})") from None


def _open(data: bytes) -> Any:
    from PIL import Image

    try:
        return Image.open(io.BytesIO(data), formats=_FORMATS)
    except Image.UnidentifiedImageError:
        raise DecodeError("not a JPEG, PNG, WebP, TIFF or BMP image") from None
    except Image.DecompressionBombError:
        raise DecodeError(f"the image is too large: more than {MAX_PIXELS // 1_000_000} megapixels") from None
    except Exception as error:  # damaged bytes make decoders raise all kinds of things
        raise DecodeError(f"the image's header is damaged ({error})") from None


def _with_pillow(data: bytes, header: JpegHeader | None) -> npt.NDArray[np.uint8]:
    image = _open(data)
    _check_size(*image.size)
    try:
        image.load()
        if header is not None and header.components == 4 and header.adobe is None:
            # Pillow assumes that every CMYK JPEG is inverted, which only an Adobe segment means.
            image = image.point([255 - ink for ink in range(256)] * 4)
        pixels = _rgb(image)
    except DecodeError:
        raise
    except Exception as error:  # as above
        raise DecodeError(f"the image is damaged ({error})") from None
    return _rotate(pixels, _orientation(image) if header is None else header.orientation)


def _rgb(image: Any) -> npt.NDArray[np.uint8]:
    from PIL import Image

    mode: str = image.mode
    if mode.startswith("I") or mode == "F":
        return np.repeat(_eight_bits(np.asarray(image))[:, :, None], 3, axis=2)
    if mode in ("RGBA", "RGBa", "LA", "La", "PA") or "transparency" in image.info:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    if mode == "LAB":
        raise DecodeError("the image is in Lab colours, which are not supported")
    return np.asarray(image.convert("RGB"))


def _eight_bits(values: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    """Grey values of more than 8 bits to 0..255.

    Integers are read as 16-bit (divided by 257) if they fit. Floating-point values are scaled from the smallest of
    0..1, 0..255 and 0..65535 that holds them. Values outside (negative, larger) are stretched from their minimum to
    their maximum. NaN becomes black; infinities become the nearest finite value.
    """
    if values.dtype == np.uint16:
        return ((values.astype(np.uint32) + 128) // 257).astype(np.uint8)
    exact = values.astype(np.float64)
    finite = exact[np.isfinite(exact)]
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 0.0)
    ranges = (65535.0,) if np.issubdtype(values.dtype, np.integer) else (1.0, 255.0, 65535.0)
    top = next((top for top in ranges if low >= 0 and high <= top), None)
    if top is None:
        exact = exact - low
        top = max(high - low, np.finfo(np.float64).tiny)
    scaled = np.nan_to_num(exact, nan=0.0, posinf=top, neginf=0.0) / top * 255.0
    return np.clip(np.rint(scaled), 0, 255).astype(np.uint8)


def _rotate(pixels: npt.NDArray[np.uint8], orientation: int) -> npt.NDArray[np.uint8]:
    """The image rotated and flipped according to EXIF's orientation (1 to 8)."""
    if orientation in _ON_THE_SIDE:
        pixels = pixels.transpose(1, 0, 2)
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    return np.ascontiguousarray(pixels)


def _orientation(source: Any) -> int:
    """EXIF's orientation, 1 to 8, from the bytes of an EXIF segment or from an image that Pillow opened."""
    from PIL import Image

    try:
        if isinstance(source, bytes):
            exif = Image.Exif()
            exif.load(source)
        elif source.format == "TIFF":
            return 1  # Pillow rotates TIFFs itself, both size and pixels
        else:
            exif = source.getexif()
        value: Any = exif.get(_ORIENTATION)
        return int(value) if value in range(1, 9) else 1
    except Exception:  # damaged EXIF is no reason to reject the image
        return 1


def _check_size(width: int, height: int) -> None:
    if width < 1 or height < 1:
        raise DecodeError(f"the image's size is {width}x{height}")
    if width * height > MAX_PIXELS:
        raise DecodeError(f"the image is too large: {width}x{height} is more than {MAX_PIXELS // 1_000_000} megapixels")

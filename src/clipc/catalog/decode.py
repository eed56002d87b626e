"""Encoded image bytes to right RGB pixels."""

import io
import struct
from functools import cache
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

MAX_PIXELS = 100_000_000
"""The largest picture that is decoded, in pixels: a header that announces more is refused unread."""

FORMATS = ("JPEG", "PNG", "WEBP", "TIFF", "BMP")
_WHITE = 255
_ORIENTATION = 0x0112
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_APPLICATIONS = frozenset((0xE0, 0xE1, 0xEE))
_ON_THE_SIDE = (5, 6, 7, 8)


class DecodeError(ValueError):
    """The bytes are no image that can be decoded."""


def decode(data: bytes, at_least: tuple[int, int] | None = None) -> npt.NDArray[np.uint8]:
    """Decodes JPEG, PNG, WebP, TIFF or BMP to RGB as it should be seen.

    EXIF rotation is applied, transparency is laid on white, CMYK is converted, 16-bit values are divided by 257,
    and floating-point values are scaled from the range they use (see :func:`_eight_bits`). Of several frames or
    pages the first is taken.

    Args:
        data: The encoded image.
        at_least: A width and height in pixels, as shown, that suffice: a JPEG with more may be decoded at a half, a
            quarter or an eighth of its size (sides rounded up), never below these, and with less care for the
            edges of colours. None asks for the whole.

    Returns:
        ``uint8`` of shape (height, width, 3), in 0..255.

    Raises:
        DecodeError: The bytes are no such image, are cut short or damaged, or announce more than
            :data:`MAX_PIXELS` pixels.
    """
    if data[:3] != b"\xff\xd8\xff":
        return _with_pillow(data, None)
    header = jpeg_header(data)
    _limit(header.width, header.height)
    if header.bits == 8 and header.components in (1, 3) and not header.plain_rgb:
        pixels = _with_simplejpeg(data, _shrinking(header, at_least))
        if pixels is not None:
            return _rotated(pixels, header.orientation)
    return _with_pillow(data, header)


def image_size(data: bytes) -> tuple[int, int]:
    """Width and height in pixels as shown (after EXIF rotation), from the header alone.

    Args:
        data: The encoded image, or enough of its beginning to hold the header.

    Raises:
        DecodeError: There is no such header, or it announces more than :data:`MAX_PIXELS` pixels.
    """
    if data[:3] == b"\xff\xd8\xff":
        header = jpeg_header(data)
        size, orientation = (header.width, header.height), header.orientation
    else:
        image = _open(data)
        size, orientation = image.size, _pillow_orientation(image)
    _limit(*size)
    width, height = size
    return (height, width) if orientation in _ON_THE_SIDE else (width, height)


class JpegHeader(NamedTuple):
    """What a JPEG says before its first scan: EXIF's orientation, 1 (upright) to 8, and Adobe's transform if marked."""

    width: int
    height: int
    components: int
    bits: int
    orientation: int
    adobe: int | None
    jfif: bool

    @property
    def plain_rgb(self) -> bool:
        """Whether the components are red, green and blue. libjpeg's rule: a JFIF mark means YCbCr all the same."""
        return self.components == 3 and self.adobe == 0 and not self.jfif

    @property
    def plain_cmyk(self) -> bool:
        """Whether four components are inks as they are; Adobe's mark means that they are stored inverted."""
        return self.components == 4 and self.adobe is None


def jpeg_header(data: bytes) -> JpegHeader:
    """Reads a JPEG's markers up to its first scan.

    Raises:
        DecodeError: There is no complete frame header.
    """
    at, orientation, frame = 2, 1, None
    adobe: int | None = None
    jfif = False
    while at + 4 <= len(data):
        if data[at] != 0xFF:
            at += 1  # stray bytes between segments are skipped, as libjpeg does
            continue
        marker = data[at + 1]
        if marker == 0xFF:
            at += 1
            continue
        if marker == 0 or marker == 1 or 0xD0 <= marker <= 0xD8:
            at += 2
            continue
        if marker in (0xD9, 0xDA):
            break
        length = data[at + 2] << 8 | data[at + 3]
        if length < 2:
            break
        if marker in _FRAMES and length >= 8 and at + 10 <= len(data):
            bits, height, width, components = struct.unpack_from(">BHHB", data, at + 4)
            frame = (width, height, components, bits)
        elif marker in _APPLICATIONS:
            body = data[at + 4 : at + 2 + length]
            if marker == 0xE1 and body[:6] == b"Exif\0\0":
                orientation = _exif_orientation(body)
            elif marker == 0xE0 and body[:5] == b"JFIF\0":
                jfif = True
            elif marker == 0xEE and body[:5] == b"Adobe" and len(body) >= 12:
                adobe = body[11]
        at += 2 + length
    if frame is None:
        raise DecodeError("the JPEG has no complete header")
    return JpegHeader(*frame, orientation, adobe, jfif)


def _shrinking(header: JpegHeader, at_least: tuple[int, int] | None) -> dict[str, Any]:
    """How simplejpeg is to decode a JPEG of which so much suffices.

    Fractions other than these are slower to decode than the whole. Where there is more than suffices, colours
    are not interpolated between their samples: it is quicker, and what is made smaller does not show it.
    """
    if at_least is None:
        return {}
    least = at_least[::-1] if header.orientation in _ON_THE_SIDE else at_least
    for factor in (8, 4, 2, 1):
        width, height = -(-header.width // factor), -(-header.height // factor)
        # A side that does not divide ends in a part of a pixel; turned, it would begin with it and lie askew.
        askew = header.orientation != 1 and (header.width % factor or header.height % factor)
        if width >= least[0] and height >= least[1] and not askew:
            return {"min_width": width, "min_height": height, "fastupsample": True}
    return {}


@cache
def _simplejpeg() -> Any:
    """The quick decoder; None where it is not installed."""
    try:
        from simplejpeg import decode_jpeg
    except ImportError:
        return None
    return decode_jpeg


def _with_simplejpeg(data: bytes, shrinking: dict[str, Any]) -> npt.NDArray[np.uint8] | None:
    """The pixels; None where simplejpeg is absent or cannot judge and Pillow should."""
    decode_jpeg = _simplejpeg()
    if decode_jpeg is None:
        return None
    try:
        return decode_jpeg(data, colorspace="RGB", strict=True, **shrinking)
    except ValueError as error:
        reason = str(error)
        # Bytes too many between segments are common in cameras' files and harm nothing; everything else that is
        # called corrupt or premature loses picture.
        harmless = "extraneous" in reason or not any(word in reason for word in ("orrupt", "remature"))
        if harmless:
            return None
        raise DecodeError(f"the JPEG is damaged ({reason})") from None


def _open(data: bytes) -> Any:
    from PIL import Image

    try:
        return Image.open(io.BytesIO(data), formats=FORMATS)
    except Image.UnidentifiedImageError:
        raise DecodeError("not a JPEG, PNG, WebP, TIFF or BMP image") from None
    except Image.DecompressionBombError:
        raise DecodeError(f"the image is too large: more than {MAX_PIXELS // 1_000_000} megapixels") from None
    except Exception as error:  # damaged bytes make decoders raise all kinds of things
        raise DecodeError(f"the image's header is damaged ({error})") from None


def _with_pillow(data: bytes, header: JpegHeader | None) -> npt.NDArray[np.uint8]:
    image = _open(data)
    _limit(*image.size)
    try:
        image.load()
        if header is not None and header.plain_cmyk:
            image = image.point(
                [255 - ink for ink in range(256)] * 4
            )  # Pillow takes every CMYK JPEG for an inverted one
        pixels = _rgb(image)
    except DecodeError:
        raise
    except Exception as error:  # as above
        raise DecodeError(f"the image is damaged ({error})") from None
    return _rotated(pixels, _pillow_orientation(image) if header is None else header.orientation)


def _rgb(image: Any) -> npt.NDArray[np.uint8]:
    from PIL import Image

    mode: str = image.mode
    if mode.startswith("I") or mode == "F":
        grey = _eight_bits(np.asarray(image))
        return np.repeat(grey[:, :, None], 3, axis=2)
    if mode in ("RGBA", "RGBa", "LA", "La", "PA") or "transparency" in image.info:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, (_WHITE, _WHITE, _WHITE, 255))
        image = Image.alpha_composite(white, image)
    if mode == "LAB":
        raise DecodeError("the image is in Lab colours, which are not supported")
    return np.asarray(image.convert("RGB"))


def _eight_bits(values: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    """Grey values of more than 8 bits to 0..255.

    Whole numbers are read as 16-bit (divided by 257) where they fit. Floating-point values are taken to lie in the
    smallest of 0..1, 0..255 and 0..65535 that holds them. Whatever fits nowhere (negative, larger) is stretched from
    its own least to its largest value. NaN is black; infinities count as the nearest finite value.
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


def _rotated(pixels: npt.NDArray[np.uint8], orientation: int) -> npt.NDArray[np.uint8]:
    """The picture turned as EXIF's orientation (1 to 8) asks."""
    if orientation in _ON_THE_SIDE:
        pixels = pixels.transpose(1, 0, 2)
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    return np.ascontiguousarray(pixels)


def _exif_orientation(body: bytes) -> int:
    from PIL import Image

    try:
        exif = Image.Exif()
        exif.load(body)
        return _upright_unless_valid(exif.get(_ORIENTATION))
    except Exception:  # damaged EXIF is no reason to lose the picture
        return 1


def _pillow_orientation(image: Any) -> int:
    if image.format == "TIFF":
        return 1  # Pillow turns TIFFs itself, in their size as in their pixels
    try:
        return _upright_unless_valid(image.getexif().get(_ORIENTATION))
    except Exception:  # as above
        return 1


def _upright_unless_valid(value: Any) -> int:
    return int(value) if value in range(1, 9) else 1


def _limit(width: int, height: int) -> None:
    if width < 1 or height < 1:
        raise DecodeError(f"the image's size is {width}x{height}")
    if width * height > MAX_PIXELS:
        raise DecodeError(f"the image is too large: {width}x{height} is more than {MAX_PIXELS // 1_000_000} megapixels")

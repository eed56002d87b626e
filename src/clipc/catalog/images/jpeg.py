"""JPEG: its header, and pixels through simplejpeg, decoded at the smallest sufficient scale."""

import struct
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from clipc.catalog.images.samples import ON_THE_SIDE, DecodeError

_ORIENTATION = 0x0112
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_APPLICATIONS = frozenset((0xE0, 0xE1, 0xEE))


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
                orientation = exif_orientation(body)
            elif marker == 0xE0 and body[:5] == b"JFIF\0":
                jfif = True
            elif marker == 0xEE and body[:5] == b"Adobe" and len(body) >= 12:
                adobe = body[11]
        at += 2 + length
    if frame is None:
        raise DecodeError("the JPEG has no complete header")
    return JpegHeader(*frame, orientation, adobe, jfif)


def scale_options(header: JpegHeader, at_least: tuple[int, int] | None) -> dict[str, Any]:
    """The options of simplejpeg for the smallest sufficient scale.

    Scales other than 1/2, 1/4 and 1/8 are slower to decode than the whole. With ``fastupsample`` the subsampled
    colours are not interpolated, which is faster and not visible once the image is made smaller.

    Args:
        header: The image's header.
        at_least: A sufficient width and height in pixels, after EXIF rotation; None for the whole image.
    """
    if at_least is None:
        return {}
    least = at_least[::-1] if header.orientation in ON_THE_SIDE else at_least
    for factor in (8, 4, 2, 1):
        width, height = -(-header.width // factor), -(-header.height // factor)
        # If a side is not divisible by the factor, the last scaled pixel is partial. Rotation could move it to the
        # front and shift the image.
        shifted = header.orientation != 1 and (header.width % factor or header.height % factor)
        if width >= least[0] and height >= least[1] and not shifted:
            return {"min_width": width, "min_height": height, "fastupsample": True}
    return {}


def with_simplejpeg(data: bytes, scale: dict[str, Any]) -> npt.NDArray[np.uint8] | None:
    """The pixels of a JPEG, ``uint8`` (height, width, 3), not yet rotated.

    Args:
        data: The encoded image.
        scale: From :func:`scale_options`.

    Returns:
        The pixels; None if simplejpeg fails for a reason other than lost data, so that Pillow should try.

    Raises:
        DecodeError: Pixels are lost, because the data is damaged or truncated.
    """
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


def exif_orientation(source: Any) -> int:
    """EXIF's orientation, 1 to 8, from the bytes of an EXIF segment or from an image that Pillow opened."""
    from PIL import Image

    try:
        if isinstance(source, bytes):
            exif = Image.Exif()
            exif.load(source)
        else:
            exif = source.getexif()
        value: Any = exif.get(_ORIENTATION)
        return int(value) if value in range(1, 9) else 1
    except Exception:  # damaged EXIF is no reason to reject the image
        return 1

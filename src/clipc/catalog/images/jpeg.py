"""JPEG: its header, and pixels through simplejpeg, decoded at the smallest sufficient scale."""

import re
import struct
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from clipc.catalog.images.samples import ON_THE_SIDE, DecodeError, size_shown
from clipc.limits import IMAGE_HEADER, PIXELS, REDUCED_PIXELS, SCANNED_PIXELS, SCANS

_ORIENTATION = 0x0112
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_SEQUENTIAL = (0xC0, 0xC1)
_APPLICATIONS = frozenset((0xE0, 0xE1, 0xEE))
_MARKER = re.compile(rb"\xff[\x01-\xfe]")
_SEGMENT = re.compile(rb"\xff[\xc0-\xcf\xd9-\xfe]")
_SEGMENTS = 10_000


class JpegHeader(NamedTuple):
    """The header of a JPEG, with EXIF's orientation, 1 (upright) to 8, and the transform of an Adobe segment.

    ``progressive``: whether each scan refines the whole image; ``scan``: where the first scan's segment begins.
    """

    width: int
    height: int
    components: int
    bits: int
    progressive: bool
    orientation: int
    adobe: int | None
    jfif: bool
    scan: int


def jpeg_header(data: bytes) -> JpegHeader:
    """Reads a JPEG's markers up to its first scan.

    Raises:
        DecodeError: There is no complete frame header.
    """
    at, orientation, frame, adobe, jfif, end = 2, 1, None, None, False, min(len(data), IMAGE_HEADER)
    for _ in range(_SEGMENTS):
        # Stray bytes between segments are skipped, as libjpeg does.
        if (found := _MARKER.search(data, at, end)) is None or (at := found.start()) + 4 > len(data):
            break
        marker, length = struct.unpack_from(">BH", data, at + 1)
        if marker == 1 or 0xD0 <= marker <= 0xD8:
            at += 2
            continue
        if marker in (0xD9, 0xDA) or length < 2:
            break
        if marker in _FRAMES and length >= 8 and at + 10 <= len(data):
            bits, height, width, components = struct.unpack_from(">BHHB", data, at + 4)
            frame = (width, height, components, bits, marker not in _SEQUENTIAL)
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
    return JpegHeader(*frame, orientation, adobe, jfif, at)


def jpeg_size(header: JpegHeader) -> tuple[int, int]:
    """Width and height as shown.

    Raises:
        DecodeError: The image is too large: a progressive one is held whole in memory, so only others are decoded at
            reduced size.
    """
    return size_shown(header.width, header.height, header.orientation, PIXELS if header.progressive else REDUCED_PIXELS)


def check_scans(data: bytes, header: JpegHeader) -> None:
    """Counts the scans of a JPEG that may have several, without decoding them.

    Raises:
        DecodeError: There are more than decoders can be expected to go through.
    """
    at = header.scan
    if not header.progressive and data[at + 4 : at + 5] == bytes([header.components]):
        return  # The first scan holds all components, so decoders read no other.
    most = min(SCANS, max(10, SCANNED_PIXELS // (header.width * header.height)))
    scans = 0
    while found := _SEGMENT.search(data, at):
        at = found.start()
        if data[at + 1] == 0xD9:
            break
        scans += data[at + 1] == 0xDA
        if scans > most:
            raise DecodeError(f"a JPEG of more than {most} scans; save it anew")
        at += 2 + max(2, int.from_bytes(data[at + 2 : at + 4], "big"))


def reduction(width: int, height: int) -> int:
    """The smallest factor (1, 2, 4 or 8) by which a JPEG's sides are reduced to at most so many pixels as allowed."""
    return next((f for f in (1, 2, 4) if -(-width // f) * -(-height // f) <= PIXELS), 8)


def scale_options(header: JpegHeader, at_least: tuple[int, int] | None) -> dict[str, Any]:
    """The options of simplejpeg for the smallest sufficient scale.

    Scales other than 1/2, 1/4 and 1/8 are slower to decode than the whole. With ``fastupsample`` the subsampled
    colours are not interpolated, which is faster and not visible once the image is made smaller.

    Args:
        header: The image's header.
        at_least: A sufficient width and height in pixels, after EXIF rotation; None for the whole image.
    """
    least_factor = reduction(header.width, header.height)
    if at_least is None and least_factor == 1:
        return {}
    at_least = at_least or (header.width, header.height)
    least = at_least[::-1] if header.orientation in ON_THE_SIDE else at_least
    for factor in (8, 4, 2, 1):
        width, height = -(-header.width // factor), -(-header.height // factor)
        if factor == least_factor > 1:
            return {"min_width": width, "min_height": height, "fastupsample": True}
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

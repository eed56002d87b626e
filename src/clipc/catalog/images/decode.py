"""Encoded image bytes to RGB pixels."""

from math import prod

import numpy as np
import numpy.typing as npt

from clipc.catalog.images.dicom import dicom_size, is_dicom, read_dicom
from clipc.catalog.images.jpeg import check_scans, jpeg_header, jpeg_size, scale_options, with_simplejpeg
from clipc.catalog.images.pillow import open_image, pillow_size, read_with_pillow
from clipc.catalog.images.samples import DecodeError, Intensity, Samples, show
from clipc.catalog.images.tiff import has_fixed_range, is_tiff, read_tiff, tiff_size

__all__ = ["DecodeError", "decode", "header_suffices", "image_size", "pixel_count", "read_samples"]


def decode(
    data: bytes, at_least: tuple[int, int] | None = None, intensity: Intensity | None = None
) -> npt.NDArray[np.uint8]:
    """Decodes JPEG, PNG, WebP, TIFF, BMP, GIF, AVIF, HEIC or DICOM to RGB.

    EXIF rotation is applied, transparent images are composited on white, CMYK is converted, unsigned integers are
    scaled from their type's range, and floating-point values from 0..1 or 0..255, whichever holds them. Of several
    frames or pages the first is taken.

    Args:
        data: The encoded image.
        at_least: A sufficient width and height in pixels, after EXIF rotation: a larger JPEG may be decoded at a half,
            a quarter or an eighth of its size (sides rounded up), never below these, and without interpolation of
            the subsampled colours. By default the whole image is decoded; beyond :data:`~clipc.limits.PIXELS` pixels a
            JPEG never is.
        intensity: The ranges of values that are shown from black to white, of a set that is scaled as one
            (:mod:`clipc.catalog.images.intensity`).

    Returns:
        ``uint8`` of shape (height, width, 3), in 0..255.

    Raises:
        DecodeError: The bytes are no such image, are truncated or damaged, the image has more pixels than
            :mod:`clipc.limits` allows, or it is of a kind that clipc does not show: the message says which, and what to
            export.
    """
    return show(read_samples(data, at_least, deep=bool(intensity)), intensity)


def read_samples(data: bytes, at_least: tuple[int, int] | None = None, *, deep: bool = False) -> Samples:
    """Decodes an image without making its values 8-bit.

    Args:
        data: The encoded image.
        at_least: As for :func:`decode`.
        deep: Whether 16 bits are needed where a faster decoder gives 8.

    Raises:
        DecodeError: As for :func:`decode`.
    """
    if data[:3] != b"\xff\xd8\xff":
        if is_tiff(data):
            return read_tiff(data, deep=deep)
        return read_dicom(data) if is_dicom(data) else read_with_pillow(data, deep=deep)
    header = jpeg_header(data)
    jpeg_size(header)
    check_scans(data, header)
    if header.bits != 8:
        raise DecodeError(f"a JPEG of {header.bits} bits; export it as PNG, or as JPEG of 8 bits")
    # Three components and an Adobe segment without a transform: red, green, blue; but JFIF always means YCbCr.
    plain_rgb = header.components == 3 and header.adobe == 0 and not header.jfif
    if header.components in (1, 3) and not plain_rgb:
        pixels = with_simplejpeg(data, scale_options(header, at_least))
        if pixels is not None:
            return Samples(pixels, white=255.0, orientation=header.orientation)
    return read_with_pillow(data, header.orientation)


def image_size(data: bytes) -> tuple[int, int]:
    """Width and height in pixels as shown (after EXIF rotation), from the header alone.

    Args:
        data: The encoded image, or enough of its beginning to hold the header.

    Raises:
        DecodeError: There is no such header, the image has too many pixels, or it is of a kind that is not shown.
    """
    if data[:3] == b"\xff\xd8\xff":
        return jpeg_size(jpeg_header(data))
    if is_tiff(data):
        return tiff_size(data)
    return dicom_size(data) if is_dicom(data) else pillow_size(data)


def pixel_count(data: bytes) -> int:
    """The number of pixels by the header; unlike :func:`image_size` it never loads pixels, as a PNG's orientation does.

    Raises:
        DecodeError: There is no such header.
    """
    if data[:3] == b"\xff\xd8\xff":
        header = jpeg_header(data)
        return header.width * header.height
    if is_tiff(data) or is_dicom(data):
        return prod(image_size(data))
    image = open_image(data)
    return image.width * image.height


def header_suffices(data: bytes) -> bool:
    """Whether :func:`image_size` tells that the image is of a kind that is shown; else it must be decoded to know.

    Raises:
        DecodeError: As for :func:`image_size`.
    """
    return has_fixed_range(data) if is_tiff(data) else not is_dicom(data)

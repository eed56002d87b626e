"""Images that Pillow reads: PNG, WebP, BMP, GIF, AVIF, HEIC and what other decoders leave to it."""

import io
from contextlib import suppress
from typing import Any

import numpy as np
import numpy.typing as npt

from clipc.catalog.images.formats import what_it_is
from clipc.catalog.images.jpeg import exif_orientation, reduction
from clipc.catalog.images.samples import DecodeError, Samples, damage_refused, extra_package, size_shown
from clipc.errors import first_line
from clipc.installation import install_command, pip_install
from clipc.limits import PIXELS, REDUCED_PIXELS

_FORMATS = ("JPEG", "PNG", "WEBP", "TIFF", "BMP", "GIF", "AVIF")
_HEIC_BRANDS = (b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"mif1", b"msf1")
_PNG = b"\x89PNG\r\n\x1a\n"
_PNG_TEXTS = (b"tEXt", b"zTXt", b"iTXt", b"iCCP")
_PNG_DEEP_COLOURS = {2: "RGB", 4: "grey with transparency", 6: "RGB with transparency"}


def open_image(data: bytes) -> Any:
    """The image as Pillow opens it: its header is read, its pixels are not.

    Raises:
        DecodeError: The bytes are no image of a known format, or its header is damaged.
    """
    from PIL import Image

    formats = _FORMATS
    if data[4:8] == b"ftyp" and data[8:12] in _HEIC_BRANDS and b"avif" not in data[8:64]:
        package = extra_package("pillow_heif", "a HEIC image", lambda: pip_install("pillow-heif"))
        package.register_heif_opener()
        formats = ("HEIF",)
    try:
        return Image.open(io.BytesIO(data), formats=formats)
    except Image.UnidentifiedImageError:
        raise DecodeError(what_it_is(data)) from None
    except Image.DecompressionBombError:
        raise DecodeError(f"the image is too large: more than {PIXELS // 1_000_000} megapixels") from None
    except Exception as error:  # damaged bytes make decoders raise all kinds of things
        if (short := _without_texts(data)) is not None:
            return open_image(short)
        raise DecodeError(f"the image's header is damaged ({first_line(error)})") from None


def pillow_size(data: bytes) -> tuple[int, int]:
    """Width and height as shown, from the header.

    Raises:
        DecodeError: There is no such header, or the image is too large.
    """
    image = open_image(data)
    return size_shown(image.width, image.height, exif_orientation(image))


def read_with_pillow(data: bytes, orientation: int | None = None, *, deep: bool = False) -> Samples:
    """Reads an image with Pillow, the first of its frames.

    Args:
        data: The encoded image.
        orientation: EXIF's, if it is known; read by Pillow otherwise.
        deep: Whether 16 bits are needed where Pillow gives 8.

    Raises:
        DecodeError: The bytes are damaged, are no such image, or it is too large.
    """
    image = open_image(data)
    is_jpeg = image.format in ("JPEG", "MPO")
    size_shown(image.width, image.height, 1, REDUCED_PIXELS if is_jpeg else PIXELS)
    if is_jpeg and (factor := reduction(image.width, image.height)) > 1:
        image.draft(None, (image.width // factor, image.height // factor))
    if deep and data[:8] == _PNG and data[24] == 16 and data[25] in _PNG_DEEP_COLOURS:
        return _deep_png(data, exif_orientation(image))
    notes = ("several frames: the first is taken",) if getattr(image, "is_animated", False) else ()
    if image.format == "MPO":
        notes = ()  # a camera's further frames are previews or the other eye's view
    try:
        with damage_refused("the image"):
            image.load()
            samples = from_pillow(image)
    except DecodeError:
        if (short := _without_texts(data)) is None:
            raise
        return read_with_pillow(short, orientation, deep=deep)
    # Only now: to find a PNG's orientation Pillow loads its pixels, and what is damaged is not told a second time.
    orientation = exif_orientation(image) if orientation is None else orientation
    return samples._replace(orientation=orientation, notes=(*notes, *samples.notes))


def from_pillow(image: Any) -> Samples:
    """The samples of an image that Pillow has loaded."""
    from PIL import Image

    mode: str = image.mode
    if mode.startswith("I;16"):
        values = np.asarray(image)
        return Samples(values.astype(np.uint16), white=65535.0)
    if mode == "LAB":
        raise DecodeError("an image in Lab colours; export it as RGB")
    if mode in ("I", "F"):
        return Samples(np.asarray(image))
    if mode in ("RGBA", "RGBa", "LA", "La", "PA") or "transparency" in image.info:
        shown = Image.new("RGBA", image.size, "white")
        shown.alpha_composite(image.convert("RGBA"))
        image = shown
    return Samples(np.asarray(image.convert("RGB")), white=255.0)


def _deep_png(data: bytes, orientation: int) -> Samples:
    """A PNG of 16 bits in colour or with transparency, which Pillow reads as 8 bits."""
    kind = f"a PNG of 16 bits, {_PNG_DEEP_COLOURS[data[25]]}, which is to be scaled"
    codecs = extra_package("imagecodecs", kind, lambda: install_command("images"))
    with damage_refused("the image"):
        values: npt.NDArray[Any] = codecs.png_decode(data)
    alpha = None
    if values.shape[-1] in (2, 4):
        alpha = (values[..., -1] / np.float32(65535)).astype(np.float32)
        values = values[..., 0] if values.shape[-1] == 2 else values[..., :3]
    return Samples(values, kind, 65535.0, alpha=alpha, orientation=orientation)


def _without_texts(data: bytes) -> bytes | None:
    """A PNG without texts and colour profile, of which Pillow takes only so much; None if it has none."""
    if data[:8] != _PNG:
        return None
    kept, at, dropped = [_PNG], 8, False
    with suppress(IndexError):
        while at + 8 <= len(data):
            end = at + 12 + int.from_bytes(data[at : at + 4], "big")
            if data[at + 4 : at + 8] in _PNG_TEXTS:
                dropped = True
            else:
                kept.append(data[at:end])
            at = end
    return b"".join(kept) if dropped else None

"""TIFF: what a file holds by its tags; samples through Pillow, or through tifffile where Pillow reads other values."""

import io
import logging
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from clipc.catalog.images.pillow import from_pillow
from clipc.catalog.images.samples import DecodeError, Samples, damage_refused, extra_package, size_shown
from clipc.installation import install_command

_MARKS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_MAX_BYTES = 400_000_000
_COLOURS = {0: 1, 1: 1, 2: 3, 3: 1, 5: 4, 6: 3}
_OTHER_COLOURS = {
    4: "a TIFF that holds a transparency mask only",
    8: "a TIFF in Lab colours",
    9: "a TIFF in Lab colours",
    10: "a TIFF in Lab colours",
    32803: "a camera's raw file",
    34892: "a camera's raw file",
    32844: "a TIFF in LogLuv colours",
    32845: "a TIFF in LogLuv colours",
}
_NUMBERS: dict[int, Literal["u", "i", "f"]] = {1: "u", 2: "i", 3: "f", 4: "u"}
_NUMBER_NAMES = {"u": "unsigned integers", "i": "signed integers", "f": "floating-point numbers"}
_NO_DATA = (-9999.0, -32768.0)
_HUGE = 1e38
_MASK_SHARE = 0.5
_SILENT = logging.NullHandler()


class TiffForm(NamedTuple):
    """What the first page of a TIFF holds; ``numbers`` is "u", "i" or "f", ``colours`` the bands that are shown.

    ``alpha``: whether transparency follows the colours; ``multiplied``: whether they are multiplied by it.
    """

    width: int
    height: int
    bands: int
    bits: int
    numbers: Literal["u", "i", "f"]
    photometric: int
    separate: bool
    alpha: bool
    multiplied: bool
    colours: int
    orientation: int
    no_data: float | None
    segments: tuple[tuple[int, int], ...]
    notes: tuple[str, ...]

    @property
    def kind(self) -> str:
        """For messages: ``"a TIFF of 5 bands of 32-bit floating-point numbers"``."""
        return f"a TIFF of {self.bands} band{'s' * (self.bands > 1)} of {self.bits}-bit {_NUMBER_NAMES[self.numbers]}"


def is_tiff(data: bytes) -> bool:
    """Whether the bytes are a TIFF or a BigTIFF."""
    return data[:4] in _MARKS


def tiff_size(data: bytes) -> tuple[int, int]:
    """Width and height as shown.

    Raises:
        DecodeError: The header is damaged or incomplete, or the image is of a kind that is not shown.
    """
    form = _open(data)[0]
    if not _is_for_pillow(form, deep=False):
        _tifffile(form)
    return size_shown(form.width, form.height, form.orientation)


def has_fixed_range(data: bytes) -> bool:
    """Whether the header of a TIFF says which values are black and white, so that it is known to be shown."""
    form = _open(data)[0]
    return form.numbers == "u" and form.bits <= 16


def _form(tags: Any) -> TiffForm:
    """What the tags of the first page say.

    Raises:
        DecodeError: The header is damaged, or the image is of a kind that is not shown.
    """
    with damage_refused("the TIFF's header"):
        width, height = int(tags[256]), int(tags[257])
        bands, photometric = int(tags.get(277, 1)), int(tags.get(262, 1))
        bits, formats = _all(tags.get(258, 1)), _all(tags.get(339, 1))
        extra, separate = _all(tags.get(338, ())), int(tags.get(284, 1)) == 2
        orientation = int(tags.get(274, 1))
        # Tiles or strips: where each begins and its length.
        starts, lengths = _all(tags.get(324, tags.get(273, ()))), _all(tags.get(325, tags.get(279, ())))
        segments = tuple(zip(starts, lengths, strict=False))
        no_data = _number(tags.get(42113))
    size_shown(width, height, orientation)
    if photometric not in _COLOURS:
        name = _OTHER_COLOURS.get(photometric, f"a TIFF whose colours are of kind {photometric}")
        raise DecodeError(f"{name}; export it as RGB of 8 bits")
    if len({*bits}) != 1 or len({*formats}) != 1 or formats[0] not in _NUMBERS:
        raise DecodeError(
            f"a TIFF of {bands} bands of {'/'.join(map(str, bits[:8]))} bits and of sample formats "
            f"{'/'.join(map(str, formats[:8]))}; export it as RGB of 8 bits"
        )
    colours, alpha, notes = _bands(bands, photometric, extra)
    if tags.next:
        notes = (*notes, "several pages: the first is taken")
    form = TiffForm(
        width, height, bands, bits[0], _NUMBERS[formats[0]], photometric, separate, alpha, extra == (1,),
        colours, orientation if orientation in range(1, 9) else 1, no_data, segments, notes,
    )  # fmt: skip
    if colours == 0:
        raise DecodeError(f"{form.kind}, which does not say which are red, green and blue; export these three as RGB")
    if width * height * bands * bits[0] > 8 * _MAX_BYTES:
        raise DecodeError(f"{form.kind} is too large: {width}x{height} is more than {_MAX_BYTES >> 20} MiB")
    return form


def _bands(bands: int, photometric: int, extra: Sequence[int]) -> tuple[int, bool, tuple[str, ...]]:
    """How many bands are colours (0: unknown), whether transparency follows them, and what is left out or assumed."""
    colours = _COLOURS[photometric]
    further = bands - colours
    marked = bool(extra) and extra[0] in (1, 2)
    if photometric in (0, 1):
        if bands in (3, 4) and not marked and (bands == 3 or (len(extra) == 3 and extra[2] in (1, 2))):
            return 3, bands == 4, ("3 bands of which the TIFF names no colours are taken as red, green and blue",)
        if further and not (further == 1 and marked):
            return 0, False, ()
    if further < 0:
        raise DecodeError(f"the TIFF's header is damaged (it has {bands} bands, but its colours need {colours})")
    alpha = further == 1 and (marked or not extra)
    left_out = further - alpha
    return colours, alpha, ("bands beyond the colours are left out (near infrared?)",) if left_out else ()


def read_tiff(data: bytes, *, deep: bool = False) -> Samples:
    """The first page of a TIFF.

    Args:
        data: The encoded image.
        deep: Whether 16 bits are needed where Pillow gives 8.

    Raises:
        DecodeError: It is damaged, too large, of a kind that is not shown, or needs tifffile, which is not installed.
    """
    form, image = _open(data)
    with damage_refused("the image"):
        samples = (
            _with_pillow(image, form)
            if image is not None and _is_for_pillow(form, deep)
            else _with_tifffile(_tifffile(form), data, form)
        )
    return samples._replace(kind=form.kind, notes=(*form.notes, *samples.notes))


def _is_for_pillow(form: TiffForm, deep: bool) -> bool:
    """Whether Pillow reads the right values."""
    if form.colours == 1 and form.bands == 1:
        return form.numbers == "u" or form.bits in (16, 32)
    if form.numbers != "u" or form.bits not in (8, 16):
        return False
    if form.photometric in (3, 5, 6):
        return True
    if form.bits == 8:
        return form.colours == {2: 3}.get(form.photometric, 1)
    # Pillow reads 16 bits in colour as 8, planes of them as noise, and grey with transparency not at all.
    return form.photometric == 2 and form.bands in (3, 4) and not (form.separate or deep)


def _with_pillow(image: Any, form: TiffForm) -> Samples:
    image.load()
    if image.size != size_shown(form.width, form.height, form.orientation):
        raise DecodeError("the image is damaged (its header holds two sizes)")
    if image.mode in ("RGBA", "LA"):
        values = np.asarray(image)
        return _with_alpha(Samples(values[..., :3] if image.mode == "RGBA" else values[..., 0]), values[..., -1], form)
    samples = from_pillow(image)
    values = samples.values
    if samples.white == 255:
        return samples
    if form.numbers == "u" and form.bits == 32:
        values = values.view(np.uint32)
    elif form.bits == 16:
        values = values.astype(np.uint16 if form.numbers == "u" else np.int16)
    return _numbers(values, form, orientation=1)


def _with_tifffile(package: Any, data: bytes, form: TiffForm) -> Samples:
    if any(at + size > len(data) for at, size in form.segments):
        raise DecodeError("the image is cut short")
    with package.TiffFile(io.BytesIO(data)) as file:
        values: npt.NDArray[Any] = file.pages.first.asarray(maxworkers=1)
    values = np.moveaxis(values, 0, -1) if form.separate and form.bands > 1 else values
    if values.shape != (form.height, form.width, *([form.bands] * (form.bands > 1))):
        raise DecodeError(f"{form.kind} in an unknown order; export it as RGB of 8 bits")
    alpha = values[..., form.colours] if form.alpha else None
    if form.bands > 1:
        values = values[..., 0] if form.colours == 1 else values[..., :3]
    samples = _numbers(values.astype(values.dtype.newbyteorder("="), copy=False), form, form.orientation)
    if alpha is None:
        return samples
    if samples.white is None:
        raise DecodeError(f"{form.kind}, the last one transparency; export it as RGB of 8 bits")
    if form.multiplied:
        opacity = np.maximum(alpha, 1) / samples.white
        plain = values / (opacity[..., None] if values.ndim == 3 else opacity)
        samples = samples._replace(values=np.minimum(np.rint(plain), samples.white).astype(values.dtype))
    return _with_alpha(samples, alpha, form)


def _with_alpha(samples: Samples, alpha: npt.NDArray[Any], form: TiffForm) -> Samples:
    """With transparency, or without if it is no mask: satellites' near infrared is often marked as transparency."""
    white = int(np.iinfo(alpha.dtype).max)
    if np.count_nonzero((alpha == 0) | (alpha == white)) >= alpha.size * _MASK_SHARE:
        return samples._replace(white=float(white), alpha=(alpha / np.float32(white)).astype(np.float32))
    if form.multiplied:
        raise DecodeError(f"{form.kind}, multiplied by the last one, which is no transparency; export it as RGB")
    note = "a band marked as transparency holds another measurement (near infrared?) and is left out"
    return samples._replace(white=float(white), notes=(*samples.notes, note))


def _numbers(values: npt.NDArray[Any], form: TiffForm, orientation: int) -> Samples:
    """Samples with what stands for no data told apart."""
    white = float(2**form.bits - 1) if form.numbers == "u" and form.bits <= 16 else None
    if form.photometric == 0:
        if white is None:
            raise DecodeError(f"{form.kind} of which 0 is white; export it as 8 bits")
        values = (int(white) - values).astype(values.dtype)
    missing = np.zeros(values.shape, np.bool_)
    if form.numbers == "f":
        with np.errstate(invalid="ignore", over="ignore"):
            missing = ~np.isfinite(values) | (np.abs(values) >= _HUGE)
    if form.numbers != "u":
        missing |= np.isin(values, [n for n in _NO_DATA if n >= np.finfo(np.float32).min])
    if form.no_data is not None:
        with np.errstate(invalid="ignore", over="ignore"):
            missing |= values == np.asarray(form.no_data).astype(values.dtype)
    return Samples(values, white=white, missing=missing if missing.any() else None, orientation=orientation)


def _tifffile(form: TiffForm) -> Any:
    package = extra_package("tifffile", form.kind, lambda: install_command("images"))
    extra_package("imagecodecs", form.kind, lambda: install_command("images"))
    if form.photometric not in (0, 1, 2):
        raise DecodeError(f"{form.kind} of an unusual kind of colours; export it as RGB of 8 bits")
    logging.getLogger("tifffile").addHandler(_SILENT)
    return package


def _open(data: bytes) -> tuple[TiffForm, Any]:
    """The form, and the image as Pillow opens it: None if it is of a kind that Pillow does not know.

    Raises:
        DecodeError: The header is damaged or incomplete, or the image is of a kind that is not shown.
    """
    from PIL import Image, TiffImagePlugin

    logging.getLogger("PIL").addHandler(_SILENT)
    with damage_refused("the TIFF's header"):
        try:
            image: Any = Image.open(io.BytesIO(data), formats=("TIFF",))
            tags: Any = image.tag_v2
        except (Image.UnidentifiedImageError, Image.DecompressionBombError):
            image, tags = None, TiffImagePlugin.ImageFileDirectory_v2(data[: 16 if b"+" in data[2:4] else 8])
            if tags.next + 2 > len(data):
                raise DecodeError("the TIFF is cut short: its header is missing") from None
            file = io.BytesIO(data)
            file.seek(tags.next)
            tags.load(file)
    return _form(tags), image


def _all(value: Any) -> tuple[int, ...]:
    return tuple(int(number) for number in (value if isinstance(value, (tuple, list)) else (value,)))


def _number(value: Any) -> float | None:
    """GDAL's text for no data."""
    try:
        return float(str(value).strip("\0 "))
    except ValueError:
        return None

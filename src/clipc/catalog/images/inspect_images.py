"""Inspection of every image before it is accepted: whether it can be decoded, its size, and hashes for duplicates."""

import os
import stat
import struct
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from hashlib import blake2b
from pathlib import Path
from threading import Lock
from typing import NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

from clipc.catalog.catalog import inside
from clipc.catalog.images.decode import DecodeError, header_suffices, image_size, pixel_count, read_samples
from clipc.catalog.images.intensity import brightness, measure_intensity, sample_of, usable_values
from clipc.catalog.images.samples import Intensity, show
from clipc.catalog.lfs import LFS_POINTER, is_lfs_pointer
from clipc.errors import UserError
from clipc.files import cores
from clipc.limits import IMAGE_BYTES
from clipc.progress import Progress

DECODED_UP_TO = 100_000
"""In sets of at most so many images each is decoded once; in larger sets only headers and end marks are checked."""

_PIECE = 64 << 10
_FLAT = 8
_ALIKE = 1
"""A difference hash with so few bits of one kind, of 64, says nothing: many unlike images have it."""
_SMALL = 64
_LARGE = 16_000_000
_one_large_image = Lock()
"""Held while an image of more than :data:`_LARGE` pixels is decoded, which may take a gigabyte."""

_T = TypeVar("_T")


class Place(NamedTuple):
    """Where an encoded image is stored; ``size`` -1 means up to the end of the file."""

    file: str
    offset: int
    size: int


class ImageFacts(NamedTuple):
    """Length in bytes, size in pixels after EXIF rotation, and hashes; ``dhash`` is None if not decoded or too flat.

    ``notes``: what was left out or assumed when the image was decoded; ``brightness``: its type and 99.9th percentile,
    of a sample of the set only.
    """

    size: int
    width: int
    height: int
    content: int
    dhash: int | None
    notes: tuple[str, ...] = ()
    brightness: tuple[str, int] | None = None


class Reader:
    """Reads encoded images below a root, never outside it, even through links or ``..``."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._folders: dict[str, str] = {}

    def read(self, place: Place, *, ends_only: bool = False, max_bytes: int = IMAGE_BYTES) -> tuple[bytes, bytes, int]:
        """The encoded image.

        Args:
            place: Where it is stored.
            ends_only: Read its first and last 64 KiB only.
            max_bytes: Larger files are rejected.

        Returns:
            The first part (all of it unless ``ends_only``), the last 64 KiB of the whole, and its length in bytes.

        Raises:
            ValueError: It may not or cannot be read; the message is the reason in the rejects.
        """
        try:
            return self._read(place, ends_only, max_bytes)
        except UserError:
            raise ValueError(self._why_outside(place.file)) from None
        except FileNotFoundError:
            raise ValueError("there is no such image file") from None
        except OSError as error:
            raise ValueError(f"cannot be read: {error.strerror or error}") from None

    def _read(self, place: Place, ends_only: bool, max_bytes: int) -> tuple[bytes, bytes, int]:
        handle = self._open(place.file)
        try:
            status = os.fstat(handle)
            if not stat.S_ISREG(status.st_mode):
                raise ValueError("is not a regular file")
            size = status.st_size - place.offset if place.size < 0 else place.size
            if size == 0:
                raise ValueError("is an empty file")
            if size > max_bytes:
                raise ValueError(f"is too large: more than {max_bytes >> 20} MiB")
            if place.offset + size > status.st_size:
                raise ValueError("the image is cut short")
            head = os.pread(handle, min(size, _PIECE) if ends_only else size, place.offset)
            if is_lfs_pointer(head):
                raise ValueError(LFS_POINTER)
            if len(head) == size:
                return head, head[-_PIECE:], size
            return head, os.pread(handle, _PIECE, place.offset + max(0, size - _PIECE)), size
        finally:
            os.close(handle)

    def _why_outside(self, name: str) -> str:
        path = os.path.join(self._root, name)
        if not os.path.exists(path):
            link = f": it is a link to {os.readlink(path)}" if os.path.islink(path) else ""
            return f"there is no such image file{link}"
        is_below = not os.path.isabs(name) and ".." not in name.split("/")
        return f"{'is a link that' if is_below else 'the path'} leads out of the source's folder"

    def _open(self, name: str) -> int:
        folder, _, base = name.rpartition("/")
        flags = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC  # never wait for a named pipe
        if folder not in self._folders:
            self._folders[folder] = str(inside(self._root, folder))
        if base in ("", ".", ".."):
            raise ValueError("names no file")
        try:
            return os.open(os.path.join(self._folders[folder], base), flags | os.O_NOFOLLOW)
        except OSError:
            return os.open(inside(self._root, name), flags)  # a link, which may stay inside; or a missing file


def inspect_images(
    root: Path, places: Sequence[Place], progress: Progress, intensity: Intensity | None = None
) -> list[ImageFacts | str]:
    """Inspects every image, on as many threads as there are cores (decoding releases the interpreter's lock).

    Args:
        root: The folder that the places are relative to.
        places: Where the encoded images are stored.
        progress: Receives the number of images inspected.
        intensity: The ranges of values that the set is scaled from.

    Returns:
        For each place the facts, or the reason why the image is rejected.
    """
    reader = Reader(root)
    decoding = len(places) <= DECODED_UP_TO
    sample = {places[number] for number in sample_of(len(places))}

    def inspect(place: Place) -> ImageFacts | str:
        if decoding:
            return inspect_image(reader, place, intensity, sampled=place in sample)
        found = inspect_header(reader, place, intensity)
        if place in sample:
            samples = read_samples(reader.read(place)[0], (_SMALL, _SMALL), deep=bool(intensity))
            return found._replace(notes=samples.notes, brightness=brightness(samples, show(samples, intensity)))
        return found

    facts: list[ImageFacts | str] = []
    what = "checking images" if decoding else "checking image headers"
    with ThreadPoolExecutor(max_workers=cores()) as pool:
        for start in range(0, len(places), 256):
            facts.extend(pool.map(_or_reason(inspect), places[start : start + 256]))
            progress(what, len(facts), len(places))
    return facts


def set_intensity(root: Path, places: Sequence[Place]) -> dict[str, list[float]]:
    """The ranges of values that a set is scaled from, by a sample of it; the arguments of :func:`inspect_images`."""
    reader = Reader(root)

    def look(place: Place) -> tuple[str, npt.NDArray[np.float64]]:
        return usable_values(read_samples(reader.read(place)[0], deep=True))

    with ThreadPoolExecutor(max_workers=cores()) as pool:
        looks = pool.map(_or_reason(look), [places[number] for number in sample_of(len(places))])
        return measure_intensity(found for found in looks if not isinstance(found, str))


def _or_reason(inspect: Callable[[Place], _T]) -> Callable[[Place], _T | str]:
    """The same, with the reason as a text where an image is rejected."""

    def inspected(place: Place) -> _T | str:
        try:
            return inspect(place)
        except ValueError as error:  # a DecodeError is one
            return str(error)
        except MemoryError:
            return "the image does not fit into memory"

    return inspected


def inspect_image(
    reader: Reader, place: Place, intensity: Intensity | None = None, *, sampled: bool = False
) -> ImageFacts:
    """Decodes the image; its brightness is measured if it is ``sampled``.

    Raises:
        ValueError: It is rejected.
    """
    data, tail, size = reader.read(place)
    with _one_large_image if pixel_count(data) > _LARGE else nullcontext():
        samples = read_samples(data, deep=bool(intensity))
        pixels = show(samples, intensity)
        bright = brightness(samples, pixels) if sampled else None
        content, dhash = content_hash(data, tail, size), difference_hash(pixels)
    height, width, _ = pixels.shape
    if data[:3] == b"\xff\xd8\xff":  # which may be decoded at reduced size
        width, height = image_size(data)
    return ImageFacts(size, width, height, content, dhash, samples.notes, bright)


def inspect_header(reader: Reader, place: Place, intensity: Intensity | None = None) -> ImageFacts:
    """Reads header and end mark only; of the few kinds whose header does not tell whether they are shown, all.

    Raises:
        ValueError: It is rejected.
    """
    head, tail, size = reader.read(place, ends_only=True)
    if not _is_complete(head, tail, size):
        raise ValueError("the image is cut short: its end mark is missing")
    try:
        width, height = image_size(head)
    except DecodeError:
        if size == len(head):
            raise
        head, tail, size = reader.read(place)  # the header may follow a long colour profile, or be at the end
        width, height = image_size(head)
    if not header_suffices(head):
        return inspect_image(reader, place, intensity)._replace(dhash=None)
    return ImageFacts(size, width, height, content_hash(head, tail, size), None)


def _is_complete(head: bytes, tail: bytes, size: int) -> bool:
    """Whether an encoded image has the end mark or length of its format; True for formats that have none."""
    if head[:3] == b"\xff\xd8\xff":
        return b"\xff\xd9" in tail
    if head[:4] == b"\x89PNG":
        return b"IEND" in tail
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return struct.unpack("<I", head[4:8])[0] + 8 <= size
    return True


def content_hash(data: bytes, tail: bytes, size: int) -> int:
    """64 bits of an encoded image: blake2b of its length, its first and its last 64 KiB."""
    return int.from_bytes(blake2b(size.to_bytes(8, "little") + data[:_PIECE] + tail, digest_size=8).digest(), "little")


def difference_hash(pixels: npt.NDArray[np.uint8]) -> int | None:
    """Difference hash (dHash): for each pixel of a grey 9x8 copy whether its right neighbour is lighter; 64 bits.

    Args:
        pixels: RGB ``uint8`` of shape (height, width, 3).

    Returns:
        The hash; None where it would say nothing: of an image so flat that only noise would be hashed, and of one that
        becomes lighter, or does not, from left to right in nearly every place, as all plain gradients do.
    """
    from PIL import Image

    small = Image.fromarray(pixels).resize((9, 8), Image.Resampling.BOX).convert("L")
    grey = np.asarray(small).astype(np.int16)
    if int(grey.max()) - int(grey.min()) < _FLAT:
        return None
    lighter = grey[:, 1:] > grey[:, :-1]
    if not _ALIKE < lighter.sum() < lighter.size - _ALIKE:
        return None
    return int.from_bytes(np.packbits(lighter).tobytes(), "big")


def mirrored_hashes(hashes: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """The difference hashes of the images mirrored left to right.

    A row's comparisons come in reverse order and with the opposite result. Where neighbouring pixels are equal, as on
    a plain background, the hash of the mirrored image itself has other bits.
    """
    rows = hashes.astype(np.uint64).reshape(-1, 1).view(np.uint8)
    bits = np.unpackbits(rows, axis=1).reshape(len(hashes), 8, 8)
    return ~np.packbits(bits[:, :, ::-1].reshape(len(hashes), 64), axis=1).view(np.uint64)[:, 0]

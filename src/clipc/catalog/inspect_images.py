"""A look at every picture of a source before it is accepted: can it be read, how large is it, is it a double."""

import os
import stat
import struct
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from clipc.catalog.catalog import inside
from clipc.catalog.decode import DecodeError, decode, image_size
from clipc.errors import UserError
from clipc.files import cores
from clipc.progress import Progress

DECODED_UP_TO = 100_000
"""Sets of at most so many pictures have each decoded once; of larger sets headers and end marks are looked at."""

LARGEST_FILE = 1 << 29
"""An encoded image of more bytes than this is refused."""

_PIECE = 64 << 10
_FLAT = 8


class Place(NamedTuple):
    """Where an encoded image lies: ``size`` -1 is the whole file."""

    file: str
    offset: int
    size: int


class ImageFacts(NamedTuple):
    """What a look at one picture told: sizes in pixels as shown, ``dhash`` None where it was not decoded or is flat."""

    size: int
    width: int
    height: int
    content: int
    dhash: int | None


@dataclass
class Reader:
    """Reads encoded images below a root, never outside it, whatever links and names say."""

    root: Path

    def __post_init__(self) -> None:
        self._folders: dict[str, str] = {}

    def read(self, place: Place, *, ends_only: bool = False, most: int = LARGEST_FILE) -> tuple[bytes, bytes, int]:
        """The encoded image.

        Args:
            place: Where it lies.
            ends_only: Read its first and last 64 KiB only.
            most: More bytes than this are refused.

        Returns:
            The first part (all of it unless ``ends_only``), the last 64 KiB of the whole, and its length in bytes.

        Raises:
            ValueError: It may not or cannot be read; the message is a reason for the rejects.
        """
        handle = self._open(place.file)
        try:
            status = os.fstat(handle)
            if not stat.S_ISREG(status.st_mode):
                raise ValueError("is not a regular file")
            size = status.st_size - place.offset if place.size < 0 else place.size
            if size == 0:
                raise ValueError("is an empty file")
            if size > most:
                raise ValueError(f"is too large: more than {most >> 20} MiB")
            if place.offset + size > status.st_size:
                raise ValueError("the image is cut short")
            head = os.pread(handle, min(size, _PIECE) if ends_only else size, place.offset)
            if len(head) == size:
                return head, head[-_PIECE:], size
            return head, os.pread(handle, _PIECE, place.offset + max(0, size - _PIECE)), size
        except OSError as error:
            raise ValueError(f"cannot be read: {error.strerror or error}") from None
        finally:
            os.close(handle)

    def _open(self, name: str) -> int:
        folder, _, base = name.rpartition("/")
        flags = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC  # a named pipe must not make us wait
        try:
            if folder not in self._folders:
                self._folders[folder] = str(inside(self.root, folder))
            if base in ("", ".", ".."):
                raise ValueError("names no file")
            try:
                return os.open(os.path.join(self._folders[folder], base), flags | os.O_NOFOLLOW)
            except OSError:
                return os.open(inside(self.root, name), flags)  # a link, which may stay inside; or truly absent
        except UserError:
            raise ValueError("the path leads out of the source's folder") from None
        except FileNotFoundError:
            raise ValueError("there is no such image file") from None
        except OSError as error:
            raise ValueError(f"cannot be read: {error.strerror or error}") from None


def inspect_images(root: Path, places: Sequence[Place], progress: Progress) -> list[ImageFacts | str]:
    """Looks at every picture, on as many threads as there are cores (decoding lets other threads run).

    Args:
        root: The folder that the places are relative to.
        places: Where the encoded images lie.
        progress: Told the number of pictures looked at.

    Returns:
        For each place what was seen, or the reason why it is refused.
    """
    reader = Reader(root)
    decoding = len(places) <= DECODED_UP_TO

    def look(place: Place) -> ImageFacts | str:
        try:
            return inspect_image(reader, place) if decoding else inspect_header(reader, place)
        except (ValueError, DecodeError) as error:
            return str(error)
        except MemoryError:
            return "the image does not fit into memory"

    seen: list[ImageFacts | str] = []
    what = "checking images" if decoding else "checking image headers"
    with ThreadPoolExecutor(max_workers=cores()) as pool:
        for start in range(0, len(places), 256):
            seen.extend(pool.map(look, places[start : start + 256]))
            progress(what, len(seen), len(places))
    return seen


def inspect_image(reader: Reader, place: Place) -> ImageFacts:
    """Decodes the picture.

    Raises:
        ValueError: It is refused.
    """
    data, tail, size = reader.read(place)
    pixels = decode(data)
    return ImageFacts(size, pixels.shape[1], pixels.shape[0], content_hash(data, tail, size), difference_hash(pixels))


def inspect_header(reader: Reader, place: Place) -> ImageFacts:
    """Reads header and end mark only.

    Raises:
        ValueError: It is refused.
    """
    head, tail, size = reader.read(place, ends_only=True)
    if not ends_well(head, tail, size):
        raise ValueError("the image is cut short: its end mark is missing")
    try:
        width, height = image_size(head)
    except DecodeError:
        if size == len(head):
            raise
        whole, tail, size = reader.read(place)  # the header may lie behind a long colour profile, or at the end
        width, height = image_size(whole)
    return ImageFacts(size, width, height, content_hash(head, tail, size), None)


def ends_well(head: bytes, tail: bytes, size: int) -> bool:
    """Whether an encoded image has the end that its kind announces; True for kinds that announce none."""
    if head[:3] == b"\xff\xd8\xff":
        return b"\xff\xd9" in tail
    if head[:4] == b"\x89PNG":
        return b"IEND" in tail
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return struct.unpack("<I", head[4:8])[0] + 8 <= size
    return True


def content_hash(data: bytes, tail: bytes, size: int) -> int:
    """64 bits of an encoded image: blake2b of its length, its first and its last 64 KiB."""
    digest = blake2b(size.to_bytes(8, "little"), digest_size=8)
    digest.update(data[:_PIECE])
    digest.update(tail)
    return int.from_bytes(digest.digest(), "little")


def difference_hash(pixels: npt.NDArray[np.uint8]) -> int | None:
    """64 bits that near-identical pictures share: which of two neighbours is lighter, on a grey 9x8 copy.

    Args:
        pixels: RGB ``uint8`` of shape (height, width, 3).

    Returns:
        The hash; None for a picture so flat that only noise would be hashed.
    """
    from PIL import Image

    small = Image.fromarray(pixels).resize((9, 8), Image.Resampling.BOX).convert("L")
    grey = np.asarray(small).astype(np.int16)
    if int(grey.max()) - int(grey.min()) < _FLAT:
        return None
    return int.from_bytes(np.packbits(grey[:, 1:] > grey[:, :-1]).tobytes(), "big")

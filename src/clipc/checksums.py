"""Checksums of what clipc writes for itself, so that damage is found before anything is computed from it.

They are CRC-32, of pieces that threads take in turn: every flipped bit and every damaged stretch of up to 32 bits is
found, of any other damage all but one in four thousand million. That is for disks and copies that fail, not against
forgery; a cryptographic hash would take three to seven times as long.
"""

import json
import os
import zlib
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

from clipc.files import cores

CHECKSUMS: Final = "checksums.json"
"""The file in a folder that holds the checksum of every other file in it."""

_KEY: Final = "checksum"
_MARK: Final = b"clipcCRC"
_TRAILER: Final = len(_MARK) + 4
_PIECE: Final = 1 << 24
_MANY: Final = 4
_THREADS: Final = 8


class DamageError(ValueError):
    """What was read is not what was written; the message says of which part."""


def write_checksums(folder: Path) -> None:
    """Writes the checksums of all files in a folder into :data:`CHECKSUMS`; call it when the others are complete."""
    parts = {path.name: _of_file(path) for path in sorted(folder.iterdir()) if path.name != CHECKSUMS}
    (folder / CHECKSUMS).write_text(json.dumps(parts), "utf-8")


def check_files(folder: Path) -> bool:
    """Checks the files in a folder against its :data:`CHECKSUMS`.

    Returns:
        Whether it has checksums; those that an earlier version wrote have none.

    Raises:
        DamageError: A file is missing, or is not the one that was written.
        OSError: The disk fails.
    """
    file = folder / CHECKSUMS
    if not file.exists():
        return False
    try:
        parts = json.loads(file.read_bytes())
    except (ValueError, RecursionError):
        raise DamageError(f"{CHECKSUMS} is damaged") from None
    if not isinstance(parts, dict):
        raise DamageError(f"{CHECKSUMS} is damaged")
    if parts.keys() != {path.name for path in folder.iterdir()} - {CHECKSUMS}:
        raise DamageError("its files are not those that were written")
    for name, expected in parts.items():
        if _of_file(folder / name) != expected:
            raise DamageError(f"the checksum of {name} differs")
    return True


def append_checksum(file: Path) -> None:
    """Ends a file with the checksum of all before it, 12 bytes; :func:`without_checksum` takes them off again."""
    trailer = _MARK + bytes.fromhex(_of_file(file))
    with file.open("ab") as stream:
        stream.write(trailer)


def without_checksum(content: memoryview) -> memoryview:
    """The content of a file that :func:`append_checksum` ended, such as one that is memory-mapped.

    Raises:
        DamageError: It is not what was written.
    """
    body, trailer = content[:-_TRAILER], bytes(content[-_TRAILER:])
    if len(trailer) < _TRAILER or not trailer.startswith(_MARK):
        raise DamageError("its end is missing")
    places = range(0, len(body), _PIECE)
    if _joined(lambda at: zlib.crc32(body[at : at + _PIECE]), places) != trailer[-4:].hex():
        raise DamageError("its checksum differs")
    return body


def sealed(record: Mapping[str, Any]) -> dict[str, Any]:
    """A JSON object with the checksum of its values beside them."""
    return {**record, _KEY: _of_values(record)}


def unsealed(record: Mapping[str, Any]) -> dict[str, Any]:
    """A JSON object without its checksum; one that an earlier version wrote has none.

    Raises:
        DamageError: The values are not those that were written.
    """
    values = {name: value for name, value in record.items() if name != _KEY}
    if _KEY in record and record[_KEY] != _of_values(values):
        raise DamageError("its checksum differs")
    return values


def _of_values(values: Mapping[str, Any]) -> str:
    return f"{zlib.crc32(json.dumps(values, sort_keys=True).encode()):08x}"


def _of_file(file: Path) -> str:
    with file.open("rb") as stream:
        places = range(0, os.fstat(stream.fileno()).st_size, _PIECE)
        return _joined(lambda at: zlib.crc32(os.pread(stream.fileno(), _PIECE, at)), places)


def _joined(crc_at: Callable[[int], int], places: range) -> str:
    """The checksum of the checksums of pieces; computing them lets other threads run."""
    if len(places) < _MANY:
        crcs = list(map(crc_at, places))
    else:
        with ThreadPoolExecutor(min(_THREADS, cores())) as pool:
            crcs = list(pool.map(crc_at, places))
    return f"{zlib.crc32(b''.join(crc.to_bytes(4, 'little') for crc in crcs)):08x}"

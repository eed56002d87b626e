"""The members of a tar, listed from its headers without unpacking; damage is reported."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

from clipc.catalog.lfs import LFS_POINTER, is_lfs_pointer

_BLOCK = 512
_MAX_HEADER = 1 << 20  # a longer name or pax header is damage
_COMPRESSED = (b"\x1f\x8b", b"BZh", b"\xfd7zXZ", b"\x28\xb5\x2f\xfd", b"PK\x03\x04")


class Member(NamedTuple):
    """One regular file in a tar: its name, and the position and number of its bytes in the tar."""

    name: str
    offset: int
    size: int


class Damage(NamedTuple):
    """Something in a tar that cannot be read as a regular file, and why."""

    name: str | None
    reason: str


def members(path: Path) -> Iterator[Member | Damage]:
    """Lists a tar's regular files; ends at the first damage, which is the last thing it yields.

    Supports ustar, GNU long names, pax headers and base-256 sizes. Links are never followed: they and sparse files
    are yielded as :class:`Damage`, and the list goes on after them.

    Raises:
        OSError: The file cannot be opened or read.
    """
    with open(path, "rb", buffering=1 << 15) as file:
        end = os.fstat(file.fileno()).st_size
        try:
            yield from _walk(file, end)
        except _BrokenError as broken:
            yield Damage(None, str(broken))


class _BrokenError(Exception):
    """The tar cannot be read past this point."""


def _walk(file: BinaryIO, end: int) -> Iterator[Member | Damage]:
    at = 0
    common: dict[str, bytes] = {}
    own: dict[str, bytes] = {}
    while True:
        file.seek(at)
        head = file.read(_BLOCK)
        if not head:
            raise _BrokenError(f"the tar ends at byte {at} without an end mark; it was probably cut short")
        if at == 0 and is_lfs_pointer(head):
            raise _BrokenError(f"the tar {LFS_POINTER}")
        if at == 0 and head.startswith(_COMPRESSED):
            raise _BrokenError("the tar is compressed; decompress it, since images are read from it in place")
        if len(head) < _BLOCK:
            raise _BrokenError(f"the tar is cut short in a header at byte {at}")
        if head.count(0) == _BLOCK:
            _check_end(file, at)
            return
        if not _has_valid_checksum(head):
            raise _BrokenError(f"the header at byte {at} is damaged")
        kind = head[156:157]
        size = _number(head[124:136], at)
        if kind not in b"xgLK" and "size" in own:
            try:
                size = int(own["size"])
            except ValueError:
                raise _BrokenError(f"the header before byte {at} has a size that is no number") from None
        data, name = at + _BLOCK, _name(head, own, common)
        if kind in b"12346":  # links, devices and pipes have no data, whatever their size says
            size = 0
        if size < 0 or data + size > end:
            raise _BrokenError(f"{name!r} at byte {at} is cut short: {size} bytes announced, {end - data} there")
        at = data + -(-size // _BLOCK) * _BLOCK
        if kind in b"xgLK":
            if size > _MAX_HEADER:
                raise _BrokenError(f"the extended header at byte {data - _BLOCK} is absurdly long ({size} bytes)")
            text = file.read(size)
            if kind == b"g":
                common.update(_pax(text, data))
            elif kind == b"x":
                own.update(_pax(text, data))
            elif kind == b"L":
                own["path"] = text.rstrip(b"\0")
            continue
        sparse = kind == b"S" or any(key.startswith("GNU.sparse") for key in own)
        own = {}
        if kind in b"12":
            yield Damage(name, "is a link; links inside a tar are not followed")
        elif sparse:
            yield Damage(name, "is a sparse file, which is not supported")
        elif kind in b"\x0007" and not name.endswith("/"):
            yield Member(name, data, size)


def _check_end(file: BinaryIO, at: int) -> None:
    """After the end mark only zeros may follow: anything else could be samples, whose loss must be reported."""
    file.seek(at)
    while piece := file.read(1 << 20):
        if piece.count(0) != len(piece):
            raise _BrokenError(f"there is data after the tar's end mark at byte {at}, which is not read")


def _has_valid_checksum(head: bytes) -> bool:
    try:
        expected = int(head[148:156].strip(b" \0"), 8)
    except ValueError:
        return False
    plain = head[:148] + b" " * 8 + head[156:]
    # Some old writers summed the bytes as signed numbers.
    return expected == sum(plain) or expected == sum(memoryview(plain).cast("b"))


def _number(field: bytes, at: int) -> int:
    """A size in octal digits, or in base 256 where the first bit is set (8 GiB and more)."""
    if field[0] & 0x80:
        return int.from_bytes(bytes([field[0] & 0x7F]) + field[1:], "big")
    try:
        return int(field.strip(b" \0") or b"0", 8)
    except ValueError:
        raise _BrokenError(f"the header at byte {at} has a size that is no number") from None


def _name(head: bytes, own: dict[str, bytes], common: dict[str, bytes]) -> str:
    raw = own.get("path") or common.get("path")
    if raw is None:
        raw = head[:100].split(b"\0", 1)[0]
        prefix = head[345:500].split(b"\0", 1)[0]
        if head[257:263] == b"ustar\0" and prefix:
            raw = prefix + b"/" + raw
    return raw.decode("utf-8", "surrogateescape")


def _pax(text: bytes, at: int) -> dict[str, bytes]:
    """The records ``length key=value`` of an extended header."""
    records: dict[str, bytes] = {}
    position = 0
    while position < len(text) and text[position] != 0:
        space = text.find(b" ", position, position + 20)
        try:
            length = int(text[position:space]) if space > 0 else 0
        except ValueError:
            length = 0
        key, mark, value = text[space + 1 : position + length - 1].partition(b"=")
        if length < 5 or position + length > len(text) or not mark:
            raise _BrokenError(f"the extended header at byte {at - _BLOCK} is damaged")
        records[key.decode("utf-8", "replace")] = value
        position += length
    return records

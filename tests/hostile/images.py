"""Sets of images of which one is damaged, a bomb or far too large."""

import io
import struct
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, PngImagePlugin

from .oracle import Generator, Rng


def encoded(kind: str, number: int = 0, size: tuple[int, int] = (40, 30), **options: object) -> bytes:
    """A small good image."""
    pixels = np.random.default_rng(number).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, kind, **options)
    return out.getvalue()


def _set(root: Path, name: str, data: bytes, good: int = 3) -> Sequence[str]:
    """A table of some good images and this one."""
    for number in range(good):
        (root / f"good{number}.png").write_bytes(encoded("PNG", number))
    (root / name).write_bytes(data)
    names = [f"good{number}.png" for number in range(good)] + [name]
    rows = [f"{each},a plate with the number {number}\n" for number, each in enumerate(names)]
    (root / "pairs.csv").write_text("image,caption\n" + "".join(rows))
    return ["read", str(root / "pairs.csv")]


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(width: int, height: int, bits: int, colours: int, *extra: bytes) -> bytes:
    """A PNG of zeros, whose pixels are made without holding them."""
    channels = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[colours]
    line = bytes(1 + -(-width * channels * bits // 8))
    packer, packed = zlib.compressobj(1), []
    lines = max(1, (1 << 22) // len(line))
    for at in range(0, height, lines):
        packed.append(packer.compress(line * min(lines, height - at)))
    packed.append(packer.flush())
    head = struct.pack(">IIBBBBB", width, height, bits, colours, 0, 0, 0)
    palette = [_chunk(b"PLTE", bytes(range(256)) * 3)] if colours == 3 else []
    body = [_chunk(b"IHDR", head), *palette, *extra, _chunk(b"IDAT", b"".join(packed)), _chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(body)


def _with_size(data: bytes, width: int, height: int) -> bytes:
    """An encoded image whose header says another size."""
    if data.startswith(b"\x89PNG"):
        return data[:8] + _chunk(b"IHDR", struct.pack(">II", width, height) + data[24:29]) + data[33:]
    if data.startswith(b"\xff\xd8"):
        at = next(at for mark in (b"\xff\xc0", b"\xff\xc2") if (at := data.find(mark)) > 0) + 5
        return data[:at] + struct.pack(">HH", height & 0xFFFF, width & 0xFFFF) + data[at + 4 :]
    if data.startswith(b"BM"):
        return data[:18] + struct.pack("<ii", width, height) + data[26:]
    return data[:6] + struct.pack("<HH", width & 0xFFFF, height & 0xFFFF) + data[10:]  # GIF


def too_many_pixels(rng: Rng, root: Path) -> Sequence[str]:
    """Headers of 65 megapixels to terapixels, with the data of a small image."""
    kind = str(rng.choice(["PNG", "JPEG", "BMP", "GIF"]))
    width, height = (int(n) for n in rng.choice([9000, 20_000, 65_500, 1_000_000, 2**31 - 1], 2))
    return _set(root, f"x.{kind.lower()}", _with_size(encoded(kind), width, height))


def strip(rng: Rng, root: Path) -> Sequence[str]:
    """A strip of up to millions of pixels, one to forty high."""
    length, other = int(rng.choice([60_000, 65_535, 1_000_000, 3_000_000])), int(rng.choice([1, 2, 10]))
    width, height = (length, other) if rng.integers(2) else (other, length)
    bits, colours = [(1, 0), (8, 0), (8, 2), (8, 6)][int(rng.integers(4))]
    return _set(root, "x.png", png(width, height, bits, colours))


def whole_large(rng: Rng, root: Path) -> Sequence[str]:
    """A real image of 50 to 110 megapixels, of every kind of PNG, twice, so that two threads meet them."""
    side = int(rng.choice([7100, 7900, 10_400]))
    bits, colours = [(1, 0), (8, 0), (16, 0), (8, 2), (16, 2), (8, 3), (8, 4), (8, 6), (16, 6)][int(rng.integers(9))]
    data = png(side, side, bits, colours)
    (root / "y.png").write_bytes(data)
    words = _set(root, "x.png", data)
    with (root / "pairs.csv").open("a") as table:
        table.write("y.png,another large one\n")
    return words


def whole_large_other(rng: Rng, root: Path) -> Sequence[str]:
    """A real image of 50 to 110 megapixels as JPEG, WebP, TIFF, BMP or GIF."""
    side = int(rng.choice([7100, 7900, 10_400]))
    mode = str(rng.choice(["L", "RGB", "CMYK"]))
    kind = str(rng.choice(["JPEG", "JPEG", "TIFF", "BMP", "GIF"]))
    options = {"progressive": bool(rng.integers(2)), "quality": 30} if kind == "JPEG" else {}
    mode = {"BMP": "RGB", "GIF": "L"}.get(kind, mode)
    out = io.BytesIO()
    Image.new(mode, (side, side), 90).save(out, kind, **options)
    return _set(root, f"x.{kind.lower()}", out.getvalue())


def float_tiff(rng: Rng, root: Path) -> Sequence[str]:
    """A large TIFF of floating-point or signed numbers, as satellites and microscopes write them."""
    side = int(rng.choice([2000, 7000, 9000]))
    code, size, form = [("<f4", 32, 3), ("<f8", 64, 3), ("<i2", 16, 2), ("<u2", 16, 1)][int(rng.integers(4))]
    data = np.full((side, side), 0.5 if form == 3 else 90).astype(code).tobytes()
    tags = [(256, 3, side), (257, 3, side), (258, 3, size), (259, 3, 1), (262, 3, 1), (273, 4, 8), (277, 3, 1)]
    tags += [(278, 3, side), (279, 4, len(data)), (339, 3, form)]
    entries = b"".join(struct.pack("<HHI", tag, kind, 1) + struct.pack("<I", value) for tag, kind, value in tags)
    head = b"II*\0" + struct.pack("<I", 8 + len(data))
    return _set(root, "x.tif", head + data + struct.pack("<H", len(tags)) + entries + bytes(4))


def tiff_tags(rng: Rng, root: Path) -> Sequence[str]:
    """A TIFF whose tags announce absurd counts and sizes."""
    data = bytearray(encoded("TIFF"))
    at = struct.unpack_from("<I", data, 4)[0]
    count = struct.unpack_from("<H", data, at)[0]
    for _ in range(int(rng.integers(1, 4))):
        entry = at + 2 + 12 * int(rng.integers(count))
        value = int(rng.choice([0, 1, 7, 2**16 - 1, 2**31, 2**32 - 1, 10_000_000]))
        struct.pack_into("<I", data, entry + int(rng.choice([4, 8])), value)
    if rng.integers(3) == 0:
        struct.pack_into("<H", data, at + 2, 65_535)
    return _set(root, "x.tif", bytes(data))


def scans(rng: Rng, root: Path) -> Sequence[str]:
    """A progressive JPEG whose last scan is repeated hundreds or thousands of times."""
    size = int(rng.choice([64, 800, 2000]))
    data = encoded("JPEG", 0, (size, size), progressive=True, quality=60)
    at, end = data.rfind(b"\xff\xda"), data.rfind(b"\xff\xd9")
    times = int(rng.choice([50, 200, 3000, 20_000]))
    scan = data[at:end][: 4 << 20]
    times = max(2, min(times, (64 << 20) // len(scan)))
    return _set(root, "x.jpg", data[:end] + scan * times + b"\xff\xd9")


def jpeg_segments(rng: Rng, root: Path) -> Sequence[str]:
    """A JPEG with millions of stray bytes or tiny segments before its frame, or a repeated or empty one."""
    data = encoded("JPEG")
    stuffing = [b"\xff" * 8_000_000, b"\xff\xe0\0\2" * 1_500_000, bytes(9_000_000), b"\xff\xfe\xff\xff" + bytes(65533)]
    piece = stuffing[int(rng.integers(4))]
    if rng.integers(4) == 0:
        piece = data[2:40] * int(rng.choice([2, 5000]))
    return _set(root, "x.jpg", data[:2] + piece + data[2:])


def png_texts(rng: Rng, root: Path) -> Sequence[str]:
    """Compressed texts and profiles that unpack to hundreds of megabytes, and hundreds of thousands of chunks."""
    bomb = zlib.compress(bytes(int(rng.choice([10_000_000, 200_000_000]))), 9)
    extra = [
        _chunk(b"zTXt", b"key\0\0" + bomb),
        _chunk(b"iTXt", b"key\0\1\0\0\0" + bomb),
        _chunk(b"iCCP", b"icc\0\0" + bomb),
        _chunk(b"tEXt", b"k\0v") * int(rng.choice([1000, 300_000])),
        _chunk(b"eXIf", b"II*\0\xff\xff\xff\x7f" + bytes(int(rng.choice([40, 1_000_000])))),
        _chunk(b"acTL", struct.pack(">II", 2**31 - 1, 0)),
    ][int(rng.integers(6))]
    return _set(root, "x.png", png(40, 30, 8, 2, extra))


def many_frames(rng: Rng, root: Path) -> Sequence[str]:
    """A GIF or an APNG of thousands of frames, or a GIF whose frame is far larger than its canvas."""
    frames = int(rng.choice([2, 2000, 20_000]))
    data = encoded("GIF")
    start = data.index(b"\x2c")
    frame = data[start:-1]
    if rng.integers(3) == 0:
        frame = frame[:1] + struct.pack("<HHHH", 0, 0, 65_535, 65_535) + frame[9:]
    return _set(root, "x.gif", data[:start] + frame * frames + b";")


def flipped(rng: Rng, root: Path) -> Sequence[str]:
    """A small image of any format with flipped bits, cut, or with other bytes put in."""
    kind = str(rng.choice(["PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP", "AVIF", "JPEG2000", "ICO", "PPM"]))
    data = bytearray(encoded(kind, int(rng.integers(9))))
    for _ in range(int(rng.integers(1, 20))):
        data[int(rng.integers(min(len(data), 300) if rng.integers(2) else len(data)))] ^= 1 << int(rng.integers(8))
    if rng.integers(4) == 0:
        at = int(rng.integers(len(data)))
        data[at:at] = rng.bytes(int(rng.integers(1, 2000)))
    if rng.integers(4) == 0:
        del data[int(rng.integers(len(data))) :]
    return _set(root, f"x.{kind.lower()}".replace("jpeg2000", "jpg").replace("ppm", "png"), bytes(data))


def odd_dicom(rng: Rng, root: Path) -> Sequence[str]:
    """A DICOM file with absurd sizes, windows, tables or numbers of frames."""
    values: dict[tuple[int, int, bytes], object] = {
        (0x28, 2, b"US"): 1, (0x28, 4, b"CS"): b"MONOCHROME2 ", (0x28, 8, b"IS"): b"1 ", (0x28, 0x10, b"US"): 8,
        (0x28, 0x11, b"US"): 8, (0x28, 0x100, b"US"): 16, (0x28, 0x101, b"US"): 12, (0x28, 0x102, b"US"): 11,
        (0x28, 0x103, b"US"): 0, (0x28, 0x1050, b"DS"): b"40", (0x28, 0x1051, b"DS"): b"80",
        (0x28, 0x1052, b"DS"): b"0 ", (0x28, 0x1053, b"DS"): b"1 ",
    }  # fmt: skip
    keys = list(values)
    for _ in range(int(rng.integers(1, 4))):
        key = keys[int(rng.integers(len(keys)))]
        texts = [b"0 ", b"-1", b"1e999 ", b"nan ", b"x ", b"99999999", b"\x1b[31m ", b""]
        numbers = [0, 1, 3, 17, 64, 65_535]
        values[key] = int(rng.choice(numbers)) if key[2] == b"US" else texts[int(rng.integers(len(texts)))]

    def element(group: int, tag: int, kind: bytes, value: object) -> bytes:
        body = struct.pack("<H", value) if isinstance(value, int) else bytes(value)  # type: ignore[call-overload]
        if kind in (b"OW", b"OB"):
            return struct.pack("<HH2sHI", group, tag, kind, 0, len(body)) + body
        return struct.pack("<HH2sH", group, tag, kind, len(body)) + body

    meta = element(2, 0x10, b"UI", b"1.2.840.10008.1.2.1\0")
    head = bytes(128) + b"DICM" + element(2, 0, b"UL", struct.pack("<I", len(meta))) + meta
    body = b"".join(element(*key, value) for key, value in values.items())
    return _set(root, "x.dcm", head + body + element(0x7FE0, 0x10, b"OW", bytes(128)))


def long_metadata(rng: Rng, root: Path) -> Sequence[str]:
    """Megabytes of text or EXIF in a good image, which must not be refused for it."""
    text = PngImagePlugin.PngInfo()
    text.add_text("workflow", "x" * int(rng.choice([1000, 3_000_000])), zip=bool(rng.integers(2)))
    return _set(root, "x.png", encoded("PNG", pnginfo=text))


KINDS: list[Generator] = [
    *(too_many_pixels, strip, float_tiff, tiff_tags, scans, jpeg_segments, png_texts, many_frames, flipped, odd_dicom),
    long_metadata,
]
SLOW: list[Generator] = [whole_large, whole_large_other]

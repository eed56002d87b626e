"""A thousand damaged tars and tables: each ends in a catalog or a user's error, in time, reading nothing outside."""

import csv
import io
import json
import os
import struct
import sys
import tarfile
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import numpy as np
import pytest

import clipc
from clipc.catalog.catalog import Catalog
from clipc.catalog.open import open_catalog
from clipc.errors import UserError

SECRET = b"SECRET-" * 40
SECONDS = 10.0

Rng = np.random.Generator


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "variants" not in metafunc.fixturenames:
        return
    few = pytest.param(range(60), id="60")
    many = [pytest.param(range(at, at + 100), id=f"{at}+100", marks=pytest.mark.soak) for at in range(0, 1000, 100)]
    metafunc.parametrize("variants", [few, *many])


def flipped(data: bytes, rng: Rng) -> bytes:
    damaged = bytearray(data)
    for _ in range(int(rng.integers(1, 40))):
        damaged[int(rng.integers(len(damaged)))] ^= 1 << int(rng.integers(8))
    return bytes(damaged)


def cut(data: bytes, rng: Rng) -> bytes:
    return data[: int(rng.integers(len(data)))]


def shuffled(data: bytes, rng: Rng) -> bytes:
    size = int(rng.choice([64, 512, 1000]))
    pieces = [data[at : at + size] for at in range(0, len(data), size)]
    one, other = (int(n) for n in rng.integers(len(pieces), size=2))
    pieces[one], pieces[other] = pieces[other], pieces[one]
    return b"".join(pieces)


def zeroed(data: bytes, rng: Rng) -> bytes:
    at, length = int(rng.integers(len(data))), int(rng.choice([1, 100, 512, 5000]))
    return data[:at] + bytes(min(length, len(data) - at)) + data[at + length :]


def noise(data: bytes, rng: Rng) -> bytes:
    at = int(rng.integers(len(data)))
    return data[:at] + rng.bytes(int(rng.integers(1, 2000))) + data[at:]


DAMAGES: list[Callable[[bytes, Rng], bytes]] = [flipped, cut, shuffled, zeroed, noise]


def absurd(image: bytes, rng: Rng) -> bytes:
    """A picture that announces far more pixels than it has."""
    wide, high = (int(n) for n in rng.choice([0, 1, 30_000, 65_535], size=2))
    if image.startswith(b"\x89PNG"):
        return image[:16] + struct.pack(">II", wide * 60_000, high * 60_000) + image[24:]
    at = image.index(b"\xff\xc0") + 5
    return image[:at] + struct.pack(">HH", high, wide) + image[at + 4 :]


def tar_bytes(entries: Iterable[tuple[tarfile.TarInfo, bytes]], format: int) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=format) as tar:
        for info, data in entries:
            if info.isreg():
                info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return out.getvalue()


def tar_variant(number: int, outside: Path, picture: Callable[..., bytes]) -> bytes:
    rng = np.random.Generator(np.random.Philox(key=[1, number]))
    entries: list[tuple[tarfile.TarInfo, bytes]] = []
    for n in range(int(rng.integers(1, 6))):
        kind = str(rng.choice(["jpg", "png"]))
        image = picture(n, format={"jpg": "JPEG", "png": "PNG"}[kind])
        record: object = {"captions": [f"picture {n}"], "label": "ab"[n % 2], "split": "train"}
        match int(rng.integers(8)):
            case 0:
                image = absurd(image, rng)
            case 1:
                record = rng.choice(["[]", "null", "9" * 5000, '{"captions": {"a": 1}}', "[" * 3000, '"\\ud800"'])
            case 2:
                record = {"captions": [None, 3, [[["x"]]], {"y": 1}], "label": [1], "split": 7, "key": {}, "n": 1e999}
            case _:
                pass
        key = str(rng.choice([f"{n:05d}", f"../{n}", f"/etc/{n}", "same", f"a/./b/../{n}", "\ud8ff", "x" * 300]))
        text = record if isinstance(record, str) else json.dumps(record)
        parts = [(f"{key}.{kind}", image), (f"{key}.json", text.encode()), (f"{key}.txt", rng.bytes(20))]
        for name, data in parts:
            info = tarfile.TarInfo(name.encode("utf-8", "replace").decode())
            if rng.integers(12) == 0:
                info.type = rng.choice([tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.GNUTYPE_SPARSE])
                info.linkname = str(outside)
            entries.append((info, data))
    data = tar_bytes(entries, int(rng.choice([tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])))
    for _ in range(int(rng.integers(0, 3))):
        data = DAMAGES[int(rng.integers(len(DAMAGES)))](data, rng) or b"x"
    return data


def csv_variant(number: int, root: Path, outside: Path, picture: Callable[..., bytes]) -> tuple[str, bytes]:
    """A damaged table's ending and bytes; its images are written beside it."""
    rng = np.random.Generator(np.random.Philox(key=[2, number]))
    for n in range(3):
        image = picture(n)
        for damage in [absurd, *DAMAGES][: int(rng.integers(0, 2))]:
            image = damage(image, rng)
        (root / f"{n}.jpg").write_bytes(image)
    places = [
        "0.jpg", "1.jpg", "2.jpg", "../secret.jpg", str(outside), "link.jpg", "pipe.jpg", "linked/secret.jpg", "",
        ".", "..", "/", "~", "0.jpg\0", "a" * 5000, "//0.jpg", "C:\\0.jpg", "x/../0.jpg", "/dev/zero", "/dev/stdin",
        "file:///etc/passwd", "%2e%2e/secret.jpg", "...", "\\..\\secret.jpg", "..\\secret.jpg", "０.jpg",
    ]  # fmt: skip
    headings = [["image", "caption"], ["画像", "説明"], ["a", "b"], ["image"] * 2, ["", ""], ["caption"], ["image"]]
    heading = headings[0 if rng.integers(3) else int(rng.integers(len(headings)))]
    rows = [[str(rng.choice(places)), f"caption {n}, 傷", str(n)][: int(rng.integers(1, 4))] for n in range(12)]
    rows[0] = ["0.jpg", "a good row"]
    separator = str(rng.choice([",", "\t", ";"]))
    ending = str(rng.choice(["csv", "tsv", "jsonl", "txt"]))
    if ending == "jsonl":
        text = "\n".join(json.dumps(dict(zip(heading, row, strict=False))) for row in rows)
    else:
        out = io.StringIO()
        csv.writer(out, delimiter=separator).writerows([heading, *rows])
        text = out.getvalue()
    codec = str(rng.choice(["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "cp932"]))
    data = text.encode(codec, "replace")
    for _ in range(int(rng.integers(0, 3))):
        data = DAMAGES[int(rng.integers(len(DAMAGES)))](data, rng) or b"x"
    return ending, data


def outcome(source: Path, secret: bytes) -> str:
    """Opens and reads every image; what came of it."""
    began = time.monotonic()
    told = ""
    try:
        check(open_catalog(source, cache=source.parent / "none" / "cache"), secret)
    except UserError as error:
        told = str(error)
    assert "\n" not in told
    assert time.monotonic() - began < SECONDS
    return "error" if told else "catalog"


def check(catalog: Catalog, secret: bytes) -> None:
    assert len(catalog) > 0
    assert len(set(catalog.keys)) == len(catalog)
    for row in range(len(catalog)):
        assert any(word.isalnum() for word in "".join(catalog.captions(row)))
        assert secret not in catalog.encoded(row)
        pixels = catalog.image(row)
        assert catalog.sizes[row].tolist() == [pixels.shape[1], pixels.shape[0]]


class Watch:
    """Writes down every path that this process opens or lists, whichever way (an audit hook cannot be removed)."""

    def __init__(self) -> None:
        self.paths: set[str] | None = None
        sys.addaudithook(self.hear)

    def hear(self, event: str, arguments: tuple[object, ...]) -> None:
        if self.paths is not None and event in ("open", "os.listdir", "os.scandir"):
            path = arguments[0]
            if isinstance(path, (str, bytes, os.PathLike)):
                name = os.fsdecode(path)
                last_link_refused = event == "open" and isinstance(arguments[2], int) and arguments[2] & os.O_NOFOLLOW
                self.paths.add(os.path.realpath(os.path.dirname(name) if last_link_refused else name))


WATCH = Watch()


@pytest.fixture
def opened() -> Iterator[set[str]]:
    """Every path that is opened or listed while a test runs."""
    WATCH.paths = set()
    yield WATCH.paths
    WATCH.paths = None


def strangers(opened: set[str], root: Path) -> list[str]:
    """What was opened though it lies neither below the root nor in Python's own folders.

    A late import lists the folders in which modules may lie, the current one among them.
    """
    code = [Path(clipc.__file__).parent, Path(__file__).parent]
    own = (*map(str, [root, *code, Path(sys.prefix).resolve()]), sys.prefix, sys.base_prefix, "/usr", "/proc")
    searched = {str(Path(folder).absolute()) for folder in sys.path}
    return [path for path in opened if not path.startswith(own) and path not in searched]


@pytest.fixture
def outside(tmp_path: Path, picture) -> Path:
    """A perfectly good picture that lies outside every source."""
    path = tmp_path / "secret.jpg"
    image = picture(99)
    path.write_bytes(image[:2] + b"\xff\xfe" + struct.pack(">H", len(SECRET) + 2) + SECRET + image[2:])
    return path


def test_damaged_tars(variants: range, tmp_path: Path, outside: Path, picture, opened: set[str]) -> None:
    root = tmp_path / "root"
    root.mkdir()
    (root / "none").write_text("in the way of a cache")
    seen: list[str] = []
    for number in variants:
        (root / "a.tar").write_bytes(tar_variant(number, outside, picture))
        seen.append(outcome(root / "a.tar", SECRET))
    assert strangers(opened, root) == []
    assert min(seen.count("catalog"), seen.count("error")) >= len(seen) // 20  # neither all spared nor all killed


def test_damaged_tables(variants: range, tmp_path: Path, outside: Path, picture, opened: set[str]) -> None:
    root = tmp_path / "root"
    root.mkdir()
    (root / "none").write_text("in the way of a cache")
    (root / "link.jpg").symlink_to(outside)
    (root / "linked").symlink_to(tmp_path)
    os.mkfifo(root / "pipe.jpg")
    seen: list[str] = []
    for number in variants:
        ending, data = csv_variant(number, root, outside, picture)
        (root / f"t.{ending}").write_bytes(data)
        seen.append(outcome(root / f"t.{ending}", SECRET))
        (root / f"t.{ending}").unlink()
    assert strangers(opened, root) == []
    assert min(seen.count("catalog"), seen.count("error")) >= len(seen) // 20  # neither all spared nor all killed

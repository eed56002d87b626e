import struct
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from clipc.catalog.images import inspect_images as inspection
from clipc.catalog.images.decode import decode
from clipc.catalog.images.inspect_images import (
    Place,
    Reader,
    content_hash,
    difference_hash,
    inspect_header,
    inspect_image,
    mirrored_hashes,
)
from clipc.catalog.open import open_catalog
from clipc.progress import silent


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "TIFF", "BMP"])
@pytest.mark.parametrize("size", [(24, 16), (700, 500)])
def test_a_glance_tells_what_a_look_tells(tmp_path: Path, picture, format: str, size: tuple[int, int]) -> None:
    (tmp_path / "a").write_bytes(b"before" + picture(3, size=size, format=format) + b"behind")
    place = Place("a", 6, (tmp_path / "a").stat().st_size - 12)
    whole, ends = inspect_image(Reader(tmp_path), place), inspect_header(Reader(tmp_path), place)
    assert ends == whole._replace(dhash=None)
    assert (whole.width, whole.height) == size


def test_a_glance_finds_the_size_behind_a_long_profile(tmp_path: Path, picture) -> None:
    image = picture(1, size=(300, 200))
    long = b"".join(b"\xff\xe2" + struct.pack(">H", 60_002) + bytes(60_000) for _ in range(3))
    (tmp_path / "a.jpg").write_bytes(image[:2] + long + image[2:])
    assert inspect_header(Reader(tmp_path), Place("a.jpg", 0, -1)).width == 300


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP"])
def test_large_sets_have_their_ends_checked(
    tmp_path: Path, picture, write_tar, monkeypatch: pytest.MonkeyPatch, format: str
) -> None:
    monkeypatch.setattr(inspection, "DECODED_UP_TO", 1)
    suffix = format.lower()
    images = [picture(n, size=(60, 50), format=format) for n in range(3)]
    images[1] = images[1][: len(images[1]) * 3 // 4]
    members = [(f"{n}.{kind}", data) for n in range(3) for kind, data in ((suffix, images[n]), ("txt", b"words"))]
    catalog = open_catalog(write_tar(tmp_path / "a.tar", members))
    assert catalog.keys == ["0", "2"]
    assert catalog.table["dhash"].null_count == 2
    assert "cut short" in catalog.rejects["reason"][0].as_py()


def test_content_is_equal_for_equal_bytes_only(picture) -> None:
    one, other = picture(1), picture(2)
    assert content_hash(one, one, len(one)) == content_hash(one, one, len(one))
    assert content_hash(one, one, len(one)) != content_hash(other, other, len(other))


def test_near_copies_share_their_difference_hash(picture) -> None:
    pixels = decode(picture(5, size=(200, 160), quality=95))
    for changed in (
        np.clip(pixels.astype(int) + 3, 0, 255).astype(np.uint8),
        np.asarray(Image.fromarray(pixels).resize((400, 320))),
    ):
        assert difference_hash(changed) == difference_hash(pixels)
    assert difference_hash(decode(picture(6))) != difference_hash(pixels)
    assert difference_hash(np.full((50, 50, 3), 77, np.uint8)) is None


def test_plain_gradients_are_not_taken_for_near_copies() -> None:
    columns, rows = np.meshgrid(np.arange(180), np.arange(160))
    for grey in (columns, 180 - columns, rows, columns // 2 + rows // 3):
        assert difference_hash(np.repeat(grey[..., None], 3, axis=2).astype(np.uint8)) is None
    waves = 100 + 50 * np.sin(columns / 20) * np.cos(rows / 15)
    assert difference_hash(np.repeat(waves[..., None], 3, axis=2).astype(np.uint8)) is not None


def test_the_progress_reaches_its_end(tmp_path: Path, picture) -> None:
    for n in range(5):
        (tmp_path / f"{n}.jpg").write_bytes(picture(n))
    told: list[tuple[str, int, int]] = []
    places = [Place(f"{n}.jpg", 0, -1) for n in range(5)]
    inspection.inspect_images(tmp_path, places, lambda *seen: told.append(seen))
    assert told[-1] == ("checking images", 5, 5)
    assert inspection.inspect_images(tmp_path, [], silent) == []


def test_a_huge_file_is_refused_unread(tmp_path: Path) -> None:
    with open(tmp_path / "a.bmp", "wb") as file:
        file.truncate((1 << 29) + 1)
    with pytest.raises(ValueError, match="too large"):
        Reader(tmp_path).read(Place("a.bmp", 0, -1))


def test_the_hash_of_a_mirrored_image_follows_from_its_own() -> None:
    rng = np.random.default_rng(0)
    for scale in (1, 4, 11):
        pixels = rng.integers(0, 256, (8, 9, 3), dtype=np.uint8).repeat(scale, axis=0).repeat(scale, axis=1)
        own, mirrored = (np.asarray([difference_hash(image)], np.uint64) for image in (pixels, pixels[:, ::-1]))
        assert int(np.bitwise_count(mirrored_hashes(own) ^ mirrored)[0]) <= 2  # neighbours may be equal
        assert mirrored_hashes(mirrored_hashes(own)) == own

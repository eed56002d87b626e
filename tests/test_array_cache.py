"""Arrays are made once; a cache that fails costs time only."""

from pathlib import Path

import numpy as np
import pytest

from clipc.array_cache import arrays_digest, cached_array


class Maker:
    def __init__(self, array: np.ndarray) -> None:
        self.array, self.calls = array, 0

    def __call__(self) -> np.ndarray:
        self.calls += 1
        return self.array


@pytest.fixture
def maker() -> Maker:
    return Maker(np.arange(6, dtype=np.float32).reshape(2, 3))


def test_made_once_and_read_from_disk(maker: Maker, tmp_path: Path) -> None:
    for _ in range(3):
        kept = cached_array("thing", "a", maker, tmp_path)
        assert np.array_equal(kept, maker.array)
        assert isinstance(kept, np.memmap)
        assert not kept.flags.writeable
    assert maker.calls == 1
    cached_array("thing", "b", maker, tmp_path)
    assert maker.calls == 2
    assert len(list((tmp_path / "arrays").iterdir())) == 2


def test_the_usual_cache(maker: Maker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLIPC_CACHE", str(tmp_path / "own"))
    cached_array("thing", "a", maker, None)
    assert list((tmp_path / "own" / "arrays").glob("thing-*.npy"))


@pytest.mark.parametrize("damage", [b"", b"\x93NUMPY", b"PK\x03\x04", b"hello", None])
def test_a_damaged_array_is_made_again(maker: Maker, tmp_path: Path, damage: bytes | None) -> None:
    cached_array("thing", "a", maker, tmp_path)
    (file,) = (tmp_path / "arrays").iterdir()
    file.write_bytes(file.read_bytes()[:-4] if damage is None else damage)
    assert np.array_equal(cached_array("thing", "a", maker, tmp_path), maker.array)
    assert np.array_equal(cached_array("thing", "a", maker, tmp_path), maker.array)
    assert maker.calls == 2


def test_pickles_are_refused(maker: Maker, tmp_path: Path) -> None:
    cached_array("thing", "a", maker, tmp_path)
    (file,) = (tmp_path / "arrays").iterdir()
    np.save(file, np.array([{"a": 1}], dtype=object), allow_pickle=True)
    assert np.array_equal(cached_array("thing", "a", maker, tmp_path), maker.array)


def test_a_cache_that_cannot_be_written_is_done_without(maker: Maker, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    assert np.array_equal(cached_array("thing", "a", maker, tmp_path / "file"), maker.array)


def test_an_empty_array_is_kept_too(tmp_path: Path) -> None:
    maker = Maker(np.zeros((0, 3), np.float32))
    for _ in range(2):
        assert cached_array("thing", "a", maker, tmp_path).shape == (0, 3)


def test_digests_tell_contents_types_and_shapes_apart() -> None:
    a = np.arange(6)
    others = [a.reshape(2, 3), a.astype(np.int32), a[::-1], a + 1]
    assert len({arrays_digest(a), *(arrays_digest(other) for other in others)}) == 5
    assert arrays_digest(a) == arrays_digest(a.copy())
    assert arrays_digest(a, a) != arrays_digest(a)

"""Arrays are made once; a cache that fails costs time only."""

from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Thread

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clipc.array_cache import KeyedRows, arrays_digest, cached_array
from clipc.errors import UserError


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


def test_a_flipped_bit_is_found(maker: Maker, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    cached_array("thing", "a", maker, tmp_path)
    (file,) = (tmp_path / "arrays").iterdir()
    data = bytearray(file.read_bytes())
    data[-20] ^= 1
    file.write_bytes(bytes(data))
    assert np.array_equal(cached_array("thing", "a", maker, tmp_path), maker.array)
    assert "is damaged (its checksum differs)" in caplog.text


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


def squares(keys: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    """Computes rows that follow from their keys alone."""
    return lambda positions: np.stack([keys[positions] % 97, keys[positions] % 89], axis=1).astype(np.float32)


def rows_of(store: KeyedRows, keys: np.ndarray) -> np.ndarray:
    values, row = store.read(keys)
    return values[row]


@given(st.lists(st.lists(st.integers(0, 2**64 - 1), min_size=1, max_size=12), min_size=1, max_size=4))
def test_rows_that_exist_are_never_computed_again(asked: list[list[int]]) -> None:
    with TemporaryDirectory() as folder:
        store, computed = KeyedRows.of("rows", "a", (2,), Path(folder)), list[int]()
        for group in asked:
            keys = np.array(group, dtype=np.uint64)

            def make(positions: np.ndarray, keys: np.ndarray = keys) -> np.ndarray:
                computed.extend(keys[positions].tolist())
                return squares(keys)(positions)

            store.add(keys, make, at_once=3)
            assert np.array_equal(rows_of(store, keys), squares(keys)(np.arange(len(keys))).astype(np.float16))
            assert not len(store.missing(keys))
        assert sorted(computed) == sorted({key for group in asked for key in group})


def test_an_interrupted_call_goes_on_after_its_last_key(tmp_path: Path) -> None:
    store, keys = KeyedRows.of("rows", "a", (2,), tmp_path), np.arange(10, dtype=np.uint64)
    calls = list[int]()

    def fail(positions: np.ndarray) -> np.ndarray:
        if len(calls) == 2:
            raise KeyboardInterrupt
        calls.append(len(positions))
        return squares(keys)(positions)

    with pytest.raises(KeyboardInterrupt):
        store.add(keys, fail, at_once=3)
    assert store.missing(keys).tolist() == [6, 7, 8, 9]
    with (store.folder / "values.bin").open("ab") as stream:  # a row that was cut off
        stream.write(b"abc")
    with (store.folder / "keys.bin").open("ab") as stream:  # and a key without one
        stream.write(np.uint64(6).tobytes())
    assert 6 in store.missing(keys)
    progress = list[tuple[int, int]]()
    store.add(keys, squares(keys), at_once=3, progress=lambda done, total: progress.append((done, total)))
    assert progress == [(3, 4), (4, 4)]
    assert np.array_equal(rows_of(store, keys), squares(keys)(np.arange(10)).astype(np.float16))


@pytest.mark.parametrize("part", ["values.bin", "keys.bin", "sums.bin"])
def test_damaged_rows_are_set_aside_and_computed_anew(
    tmp_path: Path, part: str, caplog: pytest.LogCaptureFixture
) -> None:
    store, keys = KeyedRows.of("rows", "a", (2,), tmp_path), np.arange(10, dtype=np.uint64)
    store.add(keys[:6], squares(keys[:6]), at_once=4)
    store.add(keys, squares(keys), at_once=4)
    assert not caplog.messages
    file = store.folder / part
    data = bytearray(file.read_bytes())
    data[17] ^= 1
    file.write_bytes(bytes(data))
    store.add(keys, squares(keys))
    assert "damaged" in caplog.text
    assert np.array_equal(rows_of(store, keys), squares(keys)(np.arange(10)).astype(np.float16))


def test_rows_without_checksums_are_kept_and_get_them(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    store, keys = KeyedRows.of("rows", "a", (2,), tmp_path), np.arange(10, dtype=np.uint64)
    store.add(keys[:5], squares(keys[:5]))
    (store.folder / "sums.bin").unlink()  # as an earlier version leaves them
    store.add(keys, squares(keys))
    store.add(keys, squares(keys))
    assert not caplog.messages
    assert np.array_equal(rows_of(store, keys), squares(keys)(np.arange(10)).astype(np.float16))


def test_rows_are_memory_mapped_and_a_missing_key_is_an_error(tmp_path: Path) -> None:
    store, keys = KeyedRows.of("rows", "a", (2,), tmp_path), np.array([7, 5, 7], dtype=np.uint64)
    with pytest.raises(KeyError):
        store.read(keys)
    store.add(keys, squares(keys))
    values, row = store.read(keys)
    assert isinstance(values, np.memmap)
    assert not values.flags.writeable
    assert row[0] == row[2] != row[1]
    with pytest.raises(KeyError):
        store.read(np.array([8], dtype=np.uint64))
    other = KeyedRows.of("rows", "b", (2,), tmp_path)
    assert other.folder != store.folder


def test_rows_that_cannot_be_written_are_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "arrays").write_text("in the way")
    keys = np.arange(2, dtype=np.uint64)
    with pytest.raises(UserError, match="could not be written"):
        KeyedRows.of("rows", "a", (2,), tmp_path).add(keys, squares(keys))


def test_who_waits_for_another_process_says_so(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    fcntl = pytest.importorskip("fcntl")
    keys = np.arange(4, dtype=np.uint64)
    store = KeyedRows.of("rows", "a", (2,), tmp_path)
    store.folder.mkdir(parents=True)
    caplog.set_level("INFO", logger="clipc")
    with (store.folder / ".lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        waiting = Thread(target=store.add, args=(keys, squares(keys)))
        waiting.start()
        waiting.join(0.3)
        assert waiting.is_alive()
        assert "computing the same features" in caplog.text
    waiting.join(30)
    np.testing.assert_array_equal(rows_of(store, keys), squares(keys)(np.arange(4)))

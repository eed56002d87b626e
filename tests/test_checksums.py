import json
from pathlib import Path

import pytest

from clipc.checksums import (
    CHECKSUMS,
    DamageError,
    append_checksum,
    check_files,
    sealed,
    unsealed,
    without_checksum,
    write_checksums,
)


def test_every_flipped_bit_of_a_file_is_found(tmp_path: Path) -> None:
    file = tmp_path / "a"
    file.write_bytes(bytes(range(200)))
    append_checksum(file)
    whole = file.read_bytes()
    assert bytes(without_checksum(memoryview(whole))) == bytes(range(200))
    for at in range(len(whole)):
        with pytest.raises(DamageError):
            without_checksum(memoryview(whole[:at] + bytes([whole[at] ^ 16]) + whole[at + 1 :]))
        with pytest.raises(DamageError):
            without_checksum(memoryview(whole[:at]))


def test_a_folder_is_what_was_written(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"one")
    (tmp_path / "b").write_bytes(b"two")
    assert not check_files(tmp_path)
    write_checksums(tmp_path)
    assert check_files(tmp_path)
    (tmp_path / "a").write_bytes(b"two")
    with pytest.raises(DamageError, match="the checksum of a differs"):
        check_files(tmp_path)
    (tmp_path / "a").unlink()
    with pytest.raises(DamageError, match="not those that were written"):
        check_files(tmp_path)
    for damage in (b"[", b"[]", b"", b"[" * 99_999):
        (tmp_path / CHECKSUMS).write_bytes(damage)
        with pytest.raises(DamageError, match=CHECKSUMS):
            check_files(tmp_path)


def test_an_object_survives_json_and_no_change(tmp_path: Path) -> None:
    record = {"a": [0.1, 1e-30, None], "ü": {"x": True}, "n": 2**70}
    read = json.loads(json.dumps(sealed(record), ensure_ascii=False))
    assert unsealed(read) == record
    assert unsealed(record) == record  # as an earlier version wrote it
    for change in ({"a": [0.1, 1e-30]}, {"n": 1}, {"new": 1}, {"checksum": 5}):
        with pytest.raises(DamageError):
            unsealed({**read, **change})

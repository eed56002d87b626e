import io
import tarfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clipc.catalog.sources.members import Damage, Member, members

PARTS = st.text(st.characters(codec="utf-8", exclude_characters="/\0"), min_size=1, max_size=60)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.lists(PARTS, min_size=1, max_size=4), st.binary(max_size=1500)), max_size=6),
    st.sampled_from([tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT]),
)
def test_members_lie_where_they_are_said_to(
    tmp_path_factory: pytest.TempPathFactory, entries: list[tuple[list[str], bytes]], format: int
) -> None:
    path = tmp_path_factory.mktemp("tar") / "a.tar"
    written: list[tuple[str, bytes]] = []
    with tarfile.open(path, "w", format=format) as tar:
        for parts, data in entries:
            info = tarfile.TarInfo("/".join(parts))
            info.size = len(data)
            try:
                tar.addfile(info, io.BytesIO(data))
            except ValueError:  # ustar cannot hold a very long name
                continue
            written.append((info.name, data))
    blob = path.read_bytes()
    found = [m for m in members(path) if isinstance(m, Member)]
    assert [(m.name, blob[m.offset : m.offset + m.size]) for m in found] == written


def tar_of(count: int) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for n in range(count):
            info = tarfile.TarInfo(f"{n}.txt")
            info.size = 700
            tar.addfile(info, io.BytesIO(bytes([n]) * 700))
    return out.getvalue()


@pytest.mark.parametrize("cut", [0, 100, 512, 800, 1536, 1600, 2600, 3 * 1536])
def test_what_lies_before_a_cut_is_kept_and_the_cut_is_told(tmp_path: Path, cut: int) -> None:
    (tmp_path / "a.tar").write_bytes(tar_of(3)[:cut])
    found = list(members(tmp_path / "a.tar"))
    assert isinstance(found[-1], Damage)
    assert "cut" in found[-1].reason
    assert len(found) - 1 == cut // 1536 + (cut % 1536 >= 512 + 700)


def test_a_damaged_header_and_data_behind_the_end_are_told(tmp_path: Path) -> None:
    whole = bytearray(tar_of(3))
    whole[1536 + 5] ^= 1
    (tmp_path / "a.tar").write_bytes(whole)
    *good, damage = members(tmp_path / "a.tar")
    assert len(good) == 1
    assert "header" in damage.reason
    zeroed = bytearray(tar_of(3))
    zeroed[1536 : 1536 + 512] = bytes(512)
    (tmp_path / "a.tar").write_bytes(zeroed)
    *good, damage = members(tmp_path / "a.tar")
    assert len(good) == 1
    assert "end mark" in damage.reason


def test_links_and_devices_are_not_followed(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "a.tar", "w") as tar:
        for name, kind in (("a.jpg", tarfile.SYMTYPE), ("b.jpg", tarfile.LNKTYPE), ("c.jpg", tarfile.FIFOTYPE)):
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, "/etc/passwd"
            tar.addfile(info)
        tar.addfile(tarfile.TarInfo("d.jpg"))
    found = list(members(tmp_path / "a.tar"))
    assert [type(m).__name__ for m in found] == ["Damage", "Damage", "Member"]
    assert "link" in found[0][1]


def test_an_absurd_extended_header_is_damage_not_memory(tmp_path: Path) -> None:
    info = tarfile.TarInfo("x")
    info.type, info.size = tarfile.XHDTYPE, 3 << 20
    head = info.tobuf(tarfile.USTAR_FORMAT)
    (tmp_path / "a.tar").write_bytes(head + b"9" * (3 << 20) + bytes(1024))
    (damage,) = members(tmp_path / "a.tar")
    assert "absurdly" in damage.reason

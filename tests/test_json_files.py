from pathlib import Path

import pytest
from pydantic import BaseModel

from clipc.errors import UserError
from clipc.json_files import parse_json, read_object


class Facts(BaseModel):
    steps: int
    names: list[str] = []


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (b"", "Expecting value"),
        (b"[1]", "no JSON object"),
        (b"[" * 99_999, "nested too deeply"),
        (b"\xff", "bad byte"),
        (b"{}", "steps is missing"),
        (b'{"steps": "64"}', "steps: .*valid integer, not '64'"),
        (b'{"steps": 1, "names": [null]}', "names: "),
        (b" " * ((64 << 20) + 1), "larger than 64 MiB"),
    ],
)
def test_whatever_is_wrong_is_one_sentence(tmp_path: Path, text: bytes, reason: str) -> None:
    file = tmp_path / "facts.json"
    file.write_bytes(text)
    with pytest.raises(UserError, match=reason) as caught:
        read_object(file, Facts, "restore it")
    assert str(caught.value).startswith(str(file))
    assert str(caught.value).endswith("; restore it.")
    assert "\n" not in str(caught.value)


def test_what_fits_is_read_with_keys_that_the_schema_does_not_know(tmp_path: Path) -> None:
    (tmp_path / "facts.json").write_text('{"steps": 3, "more": [1]}')
    assert read_object(tmp_path / "facts.json", Facts, "") == {"steps": 3, "more": [1]}
    assert parse_json("[1e999]") == [float("inf")]

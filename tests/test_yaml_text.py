import pytest

from clipc.errors import UserError
from clipc.yaml_text import parse_yaml

LAUGHS = "a: &a0 [x, x]\n" + "".join(f"b{n}: &a{n + 1} [{', '.join([f'*a{n}'] * 9)}]\n" for n in range(6))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("a: " + "[" * 10_000 + "]" * 10_000, "more than 20 deep"),
        ("a: " + "[" * 30 + "]" * 30, "more than 20 deep"),
        (LAUGHS, "more than 50,000 values"),
        ("&a [*a]", "more than 20 deep"),
        ("- " + "x" * 300_000, "more than 262,144"),
        ("a: !!python/object/apply:os.system [true]", "could not determine a constructor"),
    ],
)
def test_bombs_are_refused_at_once(text: str, reason: str) -> None:
    with pytest.raises(UserError, match=reason) as caught:
        parse_yaml(text, "r.yaml")
    assert "\n" not in str(caught.value)


def test_ordinary_files_are_read() -> None:
    assert parse_yaml("a: {b: [1, 2]}\nc: &x {d: 1}\ne: *x\n", "r.yaml") == {
        "a": {"b": [1, 2]},
        "c": {"d": 1},
        "e": {"d": 1},
    }

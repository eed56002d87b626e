import os

from clipc.errors import first_names, unknown_name


def test_first_names() -> None:
    assert first_names(["a", "b"]) == "a, b"
    assert first_names([str(n) for n in range(1007)]) == "0, 1, 2, 3, 4 and 1,002 more"
    assert first_names("abcdef") == "a, b, c, d, e, f"  # The name of the last says more than "and 1 more".
    assert first_names("abcdefg") == "a, b, c, d, e and 2 more"
    assert first_names({"en": 1, 2: 3}) == "en, 2"
    assert first_names([os.fsdecode(b"\xff.jpg"), "x" * 500]) == "\\udcff.jpg, " + "x" * 100


def test_an_unknown_name_is_told_with_the_nearest_or_all_that_exist() -> None:
    assert str(unknown_name("arm", "clpi", ["clip", "augment"])) == "unknown arm 'clpi'; did you mean 'clip'?"
    assert str(unknown_name("arm", "?", ["b", "a"])) == "unknown arm '?'; there are: a, b."
    assert str(unknown_name("arm", "?", [])) == "unknown arm '?'; there are: none."

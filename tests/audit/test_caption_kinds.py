import pytest

from clipc.audit.caption_kinds import bare, caption_kind, caption_language


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("0 0.51 0.42 0.1 0.2", "numbers"),
        ("12", "numbers"),
        ("???", "numbers"),
        ("nan", "missing"),
        ("None.", "missing"),
        ("No caption", "missing"),
        ("不明", "missing"),
        ("photos/001.png,a red plate", "file-name"),
        ("IMG_1234.JPG", "file-name"),
        ("<b>a red</b> plate", "markup"),
        ("<script>alert(1)</script>", "markup"),
        ("salt &amp; pepper", "markup"),
        ("see https://example.com/x", "markup"),
        ("a cafÃ© in Paris", "damaged"),
        ("a caf\ufffd in Paris", "damaged"),
        ("縺薙ｌ縺ｯ隱ｬ譏", "damaged"),
        ("gear", "short"),
        ("歯車", "short"),
        ("a red plate", None),
        ("none of the bolts is loose", None),
        ("a plate of 3.5 mm", None),
        ("a 2 < 3 sign and R&D", None),
        ("赤い歯車の写真", None),
        ("a café in Paris", None),
        ("ひびの入ったナット", None),
        ("繧の字の看板がある通り", None),
    ],
)
def test_what_is_wrong_with_a_caption(text: str, kind: str | None) -> None:
    assert caption_kind(text) == kind


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("a red plate", "latin"),
        ("ein rotes Blech für Fässer", "latin"),
        ("赤い板", "ja"),
        ("赤い CLIP-C 板", "ja"),
        ("赤い板 a red plate with holes", "mixed"),
        ("красная пластина", "other"),
        ("빨간 판", "other"),
    ],
)
def test_the_language_of_a_caption(text: str, language: str) -> None:
    assert caption_language(text) == language


def test_bare_captions_say_the_same() -> None:
    assert bare("There is a  Port.") == bare("there is a port")
    assert bare("a port") != bare("a ports")

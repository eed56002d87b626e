"""The words: equal keys in both languages, a name for every metric, a sentence for every code."""

import string

import pytest

from clipc.errors import UserError
from clipc.report.words import LANGUAGES, words
from report.example import metrics

KEYS = [
    *(m["key"] for m in metrics()),
    *(f"zero_shot/{column}/top1" for column in ("品番", "a/b")),
    "probe/a/b/2-shot/top1",
    "retrieval/text_equal/image_to_text/recall@5",
    "swaps/top1",
    "sugarcrepe/swap_att/top1",
    *(f"winoground/{group}/{score}" for group in ("all", "tag=Noun") for score in ("text", "image", "group")),
]


def fields(phrase: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(phrase) if name is not None}


def test_both_languages_have_the_same_keys() -> None:
    assert words("en").table.keys() == words("ja").table.keys()


def test_a_phrase_has_the_same_parameters_in_both_languages() -> None:
    differ = {
        key: (fields(phrase), fields(words("ja").table[key]))
        for key, phrase in words("en").table.items()
        if fields(phrase) != fields(words("ja").table[key]) and not key.startswith("reading.")
    }
    assert not differ
    for key, phrase in words("en").table.items():  # what the catalog says holds grammar too, such as is and are
        assert fields(words("ja").table[key]) <= fields(phrase)


def test_no_phrase_is_empty_or_has_stray_space() -> None:
    for lang in LANGUAGES:
        for key, phrase in words(lang).table.items():
            assert phrase.strip(), key
            assert key == "page.list" or phrase == phrase.strip(), key


@pytest.mark.parametrize("lang", LANGUAGES)
@pytest.mark.parametrize("key", KEYS)
def test_every_metric_has_a_name_and_a_gloss(lang: str, key: str) -> None:
    name = words(lang).metric(key)
    assert name != key
    assert "{" not in name
    assert words(lang).gloss(key)


def test_names_of_different_metrics_differ() -> None:
    for lang in LANGUAGES:
        names = [words(lang).metric(key) for key in KEYS]
        assert len(set(names)) == len(names)


def test_an_unknown_metric_or_arm_keeps_its_own_name() -> None:
    assert words("en").metric("speed/of/light") == "speed/of/light"
    assert words("en").gloss("speed/of/light") == ""
    assert words("en").arm("captions-only") == "captions-only"


def test_a_metric_in_a_limit_is_named() -> None:
    assert "Zero-shot label, top-1" in words("en").limit("near-chance", {"metric": "zero_shot/label/top1"})


def test_an_unknown_code_or_a_missing_parameter_does_not_stop_a_report() -> None:
    assert words("en").limit("phase-of-moon", {}) == "phase-of-moon"
    assert words("en").limit("few-seeds", {}) == "few-seeds"


def test_the_codes_are_listed() -> None:
    assert {"no-labels", "no-control-arm", "generated", "small-test-set"} <= {
        key.removeprefix("not_shown.") for key in words("en").table if key.startswith("not_shown.")
    }


def test_an_unknown_language_is_a_users_mistake() -> None:
    with pytest.raises(UserError, match="there are: en, ja"):
        words("jp")

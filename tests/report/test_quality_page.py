"""The page of a quality audit shows every table, escapes what the data say, and has a sentence for every state."""

from typing import Any

import pytest

from clipc.report.quality import render_quality
from clipc.report.sections.quality import quality_findings, quality_headline, quality_samples, quality_sentences
from clipc.report.words import LANGUAGES, words

ATTACK = "<script>alert(1)</script>"
PICTURE = "data:image/png;base64,iVBORw0KGgo="


def area(mean: float = 0.96, low: float = 0.93, high: float = 0.98) -> dict[str, Any]:
    return {"mean": mean, "low": low, "high": high, "n": 105, "level": 0.95}


def tables_of(**changes: Any) -> dict[str, Any]:
    sample = {
        **{name: PICTURE for name in ("picture", "left_image", "right_image")},
        **{name: ATTACK for name in ("left_key", "right_key", "left_caption", "right_caption", "caption")},
        "layout": "left-right",
        "score": 0.41,
        "worst": True,
        "parts_of_score": {"left": 0.41, "right": 0.93, "joint": 0.77},
    }
    parts = {"left": area(), "right": area(), "joint": area(0.88)}
    return {
        "kind": "quality",
        "created": "2026-05-01T10:00:00+00:00",
        "clipc": "0.4.0",
        "source": {"name": ATTACK, "label_columns": []},
        "by": "runs/" + ATTACK,
        "scores": {
            **{"pairs": 1000, "pairs_without": 3, "candidates": 15952, "core_seconds": 12.3, "seconds": 12.0},
            "levels": [0.05, 0.5, 0.95],
            "quantiles": {"score": [0.2, 0.8, 0.99], "left": [0.3, 0.9, 1.0]},
            "thresholds": [{"keep": 0.9, "threshold": 0.31}, {"keep": 0.5, "threshold": 0.8}],
        },
        "calibration": {
            **{"split": "test", "composites": 105},
            "random": {"score": area(), "parts": parts, "swaps": 210},
            "same_class": {"score": area(0.66, 0.58, 0.73), "parts": parts, "swaps": 190},
        },
        "experts": experts_of(),
        "samples": [sample, {**sample, "worst": False}],
        **changes,
    }


def experts_of(**changes: Any) -> dict[str, Any]:
    row = {"first": ATTACK, "second": "Ito", "n": 40, "agree": 0.9, "kappa": 0.7}
    return {
        **{"decisions": 90, "composites": 50, "accepted": 41, "wanted": 0.9, "needed": 10, "area": area()},
        "agreement": [row, {**row, "kappa": None}],
        "threshold": {"value": 0.6, "wanted": 0.9, "precision": area(), "kept": 0.7},
        **changes,
    }


@pytest.mark.parametrize("lang", LANGUAGES)
def test_html_in_the_data_stays_text(lang: str) -> None:
    html = render_quality(tables_of(), lang=lang)
    assert ATTACK not in html
    assert "&lt;script&gt;alert(1)" in html
    assert "<script" not in html
    assert "{" not in html.split("</style>")[1]
    say = words(lang)
    for key in ("quality.title", "quality.tried", "quality.samples", "quality.worst", "quality.best"):
        assert say(key) in html


@pytest.mark.parametrize("lang", LANGUAGES)
def test_every_state_has_a_sentence(lang: str) -> None:
    say, tables = words(lang), tables_of()
    calibration = tables["calibration"]
    poor = {**calibration, "random": {**calibration["random"], "score": area(0.52, 0.45, 0.6)}}
    fair = {**calibration, "random": {**calibration["random"], "score": area(0.8, 0.7, 0.88)}}
    few = {**calibration, "random": None, "same_class": None, "composites": 6}
    states = [tables_of(calibration=each) for each in (None, poor, fair, few)]
    no_threshold = {"value": None, "wanted": 0.9, "precision": area(), "kept": 0.2}
    states += [
        tables_of(experts=each) for each in (None, experts_of(threshold=None), experts_of(threshold=no_threshold))
    ]
    shown = [" ".join(quality_sentences(each, say)) for each in (tables, *states)]
    assert len(set(shown)) == len(shown)
    for each in states:
        assert render_quality(each, lang=lang)


@pytest.mark.parametrize("lang", LANGUAGES)
def test_sections_are_empty_without_their_tables(lang: str) -> None:
    say = words(lang)
    assert quality_findings({}, say) == quality_samples({}, say) == ""
    assert quality_samples({"quality": tables_of(samples=[])}, say) == ""


def test_an_image_from_elsewhere_is_refused() -> None:
    tables = tables_of()
    tables["samples"][0]["picture"] = "https://example.org/a.png"
    with pytest.raises(ValueError, match="data URI"):
        render_quality(tables)


def test_the_headline_says_whether_the_score_can_be_trusted() -> None:
    say, tables = words("en"), tables_of()
    assert quality_headline(tables, say) == "The score tells true captions from swapped ones."
    assert f"<h1>{quality_headline(tables, say)}</h1>" in render_quality(tables)
    poor = {**tables["calibration"], "random": {**tables["calibration"]["random"], "score": area(0.52, 0.45, 0.6)}}
    assert "hardly" in quality_headline(tables_of(calibration=poor), say)
    assert quality_headline(tables_of(calibration=None), say).startswith("15,952 composites are scored")

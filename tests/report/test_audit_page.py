"""The audit's page shows every table, escapes what the data say, and has a sentence for every finding."""

from typing import Any

import pytest
from markupsafe import escape

from clipc.audit.bias.audit import BiasOptions, audit_bias
from clipc.compose.policy import Policy
from clipc.report.audit import render_audit
from clipc.report.sections.bias import (
    bias_associations,
    bias_correction,
    bias_findings,
    bias_headline,
    bias_model,
    bias_sentences,
    bias_summary,
    ratio,
)
from clipc.report.words import LANGUAGES, words
from compose.pairs import catalog_of

ATTACK = "<script>alert(1)</script>"


@pytest.fixture(scope="module")
def tables() -> dict[str, Any]:
    """An audit of a small set whose column and captions hold HTML, with a model's results added."""
    n = 120
    camera = [ATTACK if i % 2 else "B & B" for i in range(n)]
    kind = [("dent", ATTACK)[i % 3 == 0 or i % 2] for i in range(n)]
    pairs = catalog_of([[f"a {k} {ATTACK} {i}"] for i, k in enumerate(kind)], camera=camera, kind=kind)
    options = BiasOptions(attributes=("column:camera",), concepts="column:kind", correct=True)
    made = audit_bias(pairs, Policy(group="kind"), options)
    row = {"name": ATTACK, "images": 40, "value": 0.5, "difference": -0.1, "low": -0.2, "high": 0.1, "few": False}
    rows = [
        {**row, "found": True, "p": 0.01, "q": 0.02},
        {**row, "low": None, "high": None, "few": True, "found": False},
    ]
    gap = {"metric": "retrieval/image_to_text/recall@10", "gap": 0.1, "groups": rows}
    skew = {"k": 10, "queries": 3, "max_skew": 0.5, "chance": 0.2, "worst": {"concept": ATTACK, "max_skew": 0.9}}
    results = {"gaps": [gap], "skew": skew}
    value = {"value": 0.1, "low": 0.05, "high": 0.15}
    ways = {"to_concept": value, "to_group": None}
    amplified = {"images": 60, "models": {"model": ways, "against": ways}, "difference": ways}
    attribute = {
        "name": "camera",
        "images": 80,
        "models": {"model": results, "against": {**results, "skew": None}},
        "amplification": amplified,
    }
    return {**made, "model": {"split": "test", "against": True, "missing": [], "attributes": [attribute]}}


@pytest.mark.parametrize("lang", LANGUAGES)
def test_html_in_the_data_stays_text(lang: str, tables: dict[str, Any]) -> None:
    html = render_audit(tables, lang=lang)
    assert ATTACK not in html
    assert "&lt;script&gt;alert(1)" in html
    assert "B &amp; B" in html
    assert "<script" not in html
    assert "{" not in html.split("</style>")[1]


@pytest.mark.parametrize("lang", LANGUAGES)
def test_every_section_is_there_and_empty_without_its_tables(lang: str, tables: dict[str, Any]) -> None:
    say = words(lang)
    html = render_audit(tables, lang=lang)
    for key in ("bias.title", "bias.correction", "bias.associations", "bias.model.title"):
        assert say(key) in html
    for section in (bias_findings, bias_associations, bias_correction, bias_model):
        assert section({}, say) == ""
    without = {**tables, "correction": None, "model": None}
    assert bias_correction({"bias": without}, say) == bias_model({"bias": without}, say) == ""


STRONGEST = {"group": "female", "concept": "x", "ratio": 2.3}
LARGEST = {"group": "male", "measure": "retrieval/mean_recall", "points": -12.0}
AMPLIFIED = {"attribute": "gender", "way": "to_group", "points": 3.2}
CODES: list[dict[str, Any]] = [
    {"code": "nothing"},
    {"code": "pairs", "attribute": "gender", "all": 9, "found": 2, "tested": 9, **STRONGEST},
    {"code": "pairs_none", "attribute": "gender", "all": 9, "found": 0, "tested": 9},
    {"code": "pairs_few", "attribute": "gender", "all": 9, "found": 0, "tested": 0},
    {"code": "across", "attribute": "a", "plan": "group", "found": 2, "tested": 9, **STRONGEST},
    {"code": "across_none", "attribute": "a", "plan": "random", "found": 0, "tested": 9},
    {"code": "across_few", "attribute": "a", "plan": "policy", "found": 0, "tested": 0},
    {"code": "carried", "attribute": "a", "plan": "corrected", "way": "to_group", "points": 2.2},
    {"code": "corrected", "attribute": "a", "before": 4, "after": 0, "tested": 9},
    {"code": "cost", "efficiency": 0.8, "acceptance": 0.5},
    {"code": "unreached", "n": 1, "of": 9},
    {"code": "own_captions"},
    {"code": "gaps", "attribute": "a", "model": "model", "found": 1, "tested": 4, **LARGEST},
    {"code": "gaps_none", "attribute": "a", "model": "model", "tested": 4},
    {"code": "gaps_few", "attribute": "a", "model": "against", "tested": 0},
    {"code": "skew", "attribute": "a", "model": "model", "k": 10, "queries": 4, "max_skew": 0.5, "chance": 0.2},
    *({"code": code, **AMPLIFIED, "model": "model", "images": 90} for code in ("amplified", "damped", "as_in_data")),
    *({"code": f"{code}_amplified", **AMPLIFIED} for code in ("more", "less", "equally")),
    {"code": "skew_none", "attribute": "a", "model": "model", "k": 10, "queries": 4, "max_skew": 0.5, "chance": 0.2},
]


@pytest.mark.parametrize("lang", LANGUAGES)
@pytest.mark.parametrize("finding", CODES, ids=lambda finding: finding["code"])
def test_every_finding_has_a_sentence(lang: str, finding: dict[str, Any], tables: dict[str, Any]) -> None:
    (sentence,) = bias_sentences({**tables, "summary": [finding]}, words(lang))
    assert len(sentence) > 20
    assert "{" not in sentence


def test_ratios_are_short() -> None:
    assert [ratio(v) for v in (12.34, 2.0, 1.14, 0.42, 0.0041)] == ["12.3", "2.0", "1.14", "0.42", "0.004"]


@pytest.mark.parametrize("lang", LANGUAGES)
def test_the_short_section_says_what_was_audited_and_what_failed_or_is_missing(
    lang: str, tables: dict[str, Any]
) -> None:
    say = words(lang)
    html = bias_summary({"bias": tables}, say)
    assert ATTACK not in html
    for sentence in bias_sentences(tables, say):
        assert escape(sentence) in html
    assert say("bias.short.no_model") not in html
    assert say("bias.short.no_model") in bias_summary({"bias": {**tables, "model": None}}, say)
    assert escape(f"<b>{ATTACK}") in bias_summary({"bias": {"failed": f"<b>{ATTACK}"}}, say)
    assert say("bias.short.missing") in bias_summary({"bias": None}, say)
    assert bias_summary({}, say) == ""


def test_the_headline_counts_associations_across_the_halves_before_and_after_the_correction(
    tables: dict[str, Any],
) -> None:
    say = words("en")
    across = [finding for finding in tables["summary"] if finding["code"] == "across"]
    corrected = [finding for finding in tables["summary"] if finding["code"] == "corrected"]
    before, after = across[-1]["found"], sum(finding["after"] for finding in corrected)
    assert bias_headline(tables, say) == (
        f"Composites show {before} associations of groups with concepts across their halves; corrected by partner "
        f"weights, {after}."
    )
    assert render_audit(tables).count("<h1>") == 1
    nothing = {**tables, "summary": [{"code": "nothing"}], "plans": {}, "correction": None}
    assert bias_headline(nothing, say) == "There are too few examples to test composites for bias."
    none = {**nothing, "summary": [{"code": "across_none", "plan": "policy", "attribute": "camera", "tested": 4}]}
    assert bias_headline(none, say).startswith("No association")

"""The manager's page: what it answers, that it prints and redacts, and that no number stands without interval and n."""

import re
from functools import cache
from typing import Any

import pytest

from clipc.report.decision import DecisionWords, decision_lines
from clipc.report.markdown import pilot_markdown
from clipc.report.pilot import render_pilot
from clipc.report.words import words

from .example import pilot_example
from .test_pages import HOSTILE, Page
from .worth_example import CASES, decided_example

LANGUAGES = ("en", "ja")


@cache
def page(name: str, lang: str) -> str:
    """The page of a case."""
    return render_pilot(decided_example(name, japanese=lang == "ja"), lang=lang)


@pytest.fixture(scope="module", params=[(case, lang) for case in CASES for lang in LANGUAGES], ids="-".join)
def case(request: pytest.FixtureRequest) -> tuple[dict[str, Any], str, str]:
    name, lang = request.param
    return decided_example(name, japanese=lang == "ja"), lang, page(name, lang)


def test_the_page_is_whole_and_asks_for_nothing(case: tuple[dict[str, Any], str, str]) -> None:
    html = case[2]
    seen = Page(html)
    assert not seen.open
    assert not re.search(r"\{\{|\}\}|\{%|\{\w+\}|Undefined|\bNone\b|\bnan\b|\binf\b", seen.text)
    assert "<script" not in html
    ids = re.findall(r'\sid="([^"]+)"', html)
    assert len(ids) == len(set(ids))


def test_the_first_page_answers_the_managers_questions(case: tuple[dict[str, Any], str, str]) -> None:
    data, lang, html = case
    say = words(lang)
    text = Page(html).text
    first = text[: text.index(say("worth.engineer"))]
    for key in ("risks.title", "next.title", "cost.title", "meeting.title", "question.model", "question.composition"):
        assert say(f"worth.{key}") in first
    assert say(f"worth.verdict.{data['worth']['composition']['verdict']}") in first


def test_no_value_stands_without_its_interval_and_n(case: tuple[dict[str, Any], str, str]) -> None:
    data, lang, _ = case
    say = words(lang)
    for value in DecisionWords(data, say).values():
        measured = value.text != say("worth.not_measured")
        assert measured == bool(value.interval)
        assert measured == bool(value.n)


def test_markdown_says_the_same(case: tuple[dict[str, Any], str, str]) -> None:
    data, lang, _ = case
    text = pilot_markdown(data, lang=lang)
    for line in DecisionWords(data, words(lang)).meeting():
        assert line.split("（")[0].split(" (")[0] in text
    assert "<" not in text
    assert not re.search(r"\bNone\b|\{\w+\}", text)


def test_the_terminal_has_both_verdicts() -> None:
    lines = decision_lines(decided_example("extend"), words("en"))
    assert lines[0] == "Model: extend the pilot. Composition: extend the pilot."
    assert any("--stage bias" in line for line in lines)
    assert decision_lines(pilot_example(), words("en")) == []


def test_a_pilot_without_worth_has_the_page_that_it_had() -> None:
    text = Page(render_pilot(pilot_example())).text
    assert words("en")("worth.engineer") not in text
    assert words("en")("worth.glossary.title") not in text


@pytest.mark.parametrize(
    ("case_name", "lang", "says"),
    [
        ("adopt", "ja", "採用"),
        ("extend", "ja", "試行延長"),
        ("stop", "ja", "採用見送り"),
        ("adopt", "ja", "万円"),
        ("adopt", "ja", "人日"),
        ("unknown", "ja", "roi.ja.yaml"),
        ("unknown", "en", "--roi FILE"),
        ("stop", "en", "use a simple classifier on the pretrained model (linear probe) instead"),
        ("points", "en", "Value of the gained points"),
    ],
)
def test_the_words_of_a_case(case_name: str, lang: str, says: str) -> None:
    assert says in Page(page(case_name, lang)).text


def test_a_better_public_model_is_named_as_what_to_use() -> None:
    data = decided_example("stop")
    data["worth"]["alternatives"][0]["name"] = "public-model"
    for lang in LANGUAGES:
        assert words(lang)("worth.next.model.stop_public") in DecisionWords(data, words(lang)).next_steps()


def test_what_opens_the_gate_of_an_audit_without_anything_to_test() -> None:
    data = decided_example("extend")
    data["worth"]["gates"][1] |= {"code": "bias-nothing-tested"}
    data["worth"]["composition"]["missing"] = ["bias-nothing-tested"]
    steps = DecisionWords(data, words("en")).next_steps()
    assert any("--attributes column:camera" in step for step in steps)


@pytest.mark.parametrize("term", ["対比学習", "合成率", "線形評価", "意味整合性", "採用見送り", "人日"])
def test_the_glossary_has_the_terms(term: str) -> None:
    text = Page(page("adopt", "ja")).text
    assert term in text[text.rindex(words("ja")("worth.glossary.title")) :]


def private_example() -> tuple[dict[str, Any], list[str]]:
    """A pilot full of private words, and these words."""
    data = decided_example("adopt")
    secret = [
        "秘密の部品",
        "/home/me/secret",
        "secretcolumn",
        "secret-arm",
        "secret caption",
        "SecretCPU",
        "secret rule",
    ]
    text = {"source": secret[0], "path": secret[1], "column": secret[2], "arm": secret[3], "caption": secret[4]}
    data["source"] |= {"name": text["source"], "label_columns": [text["column"]], "classes": {text["column"]: 21}}
    data["source"]["warnings"] = data["source"]["notes"] = [f"{text['path']} is odd"]
    data["source"]["rejects"] = {"total": 1, "reasons": {text["path"]: 1}}
    data["command"] = f"clipc pilot {text['path']}"
    data["machine"] = {**data["machine"], "cpu": secret[5]}
    data["note"] = text["caption"]
    data["settings"]["policy"] |= {"rules": {"name": secret[6]}, "region": text["path"]}
    for row in data["composites"]:
        row["policy"] |= {"rules": {"name": secret[6], "pairs": []}, "joiner": text["caption"]}
        for sample in row["samples"]:
            sample |= {"caption": text["caption"], "left_key": text["path"]}
    for metric in data["metrics"]:
        metric["key"] = metric["key"].replace("/label/", f"/{text['column']}/")
    data["worth"]["metric"]["key"] = f"zero_shot/{text['column']}/top1"
    for row in data["comparisons"]:
        row["metric"] = row["metric"].replace("/label/", f"/{text['column']}/")
    for row in data["gain_differences"]:
        row["metric"] = row["metric"].replace("/label/", f"/{text['column']}/")
    for arm in data["arms"]:
        for result in arm["results"]:
            for trial in result["trials"]:
                trial["metrics"] = {k.replace("/label/", f"/{text['column']}/"): v for k, v in trial["metrics"].items()}
                trial["runs"] = [text["path"]]
    data["arms"].append(
        {**data["arms"][0], "name": text["arm"], "what": text["caption"], "changes": {"x": text["path"]}}
    )
    data["not_shown"].append(text["caption"])
    data["worth"]["gates"][0]["rules"] = {"name": secret[6]}
    data["another table"] = [{"anything": text["path"]}]
    for row in data["untrained"]:
        metric = row["metric"].replace("/label/", f"/{text['column']}/")
        row |= {"metric": metric, "model": text["path"], **({"column": text["column"]} if "column" in row else {})}
    return data, secret


@pytest.mark.parametrize("lang", LANGUAGES)
def test_a_redacted_page_has_no_pictures_captions_names_or_paths(lang: str) -> None:
    data, secret = private_example()
    open_page = render_pilot(data, lang=lang)
    assert all(word in open_page for word in secret[:5])
    for text in (render_pilot(data, lang=lang, redact=True), pilot_markdown(data, lang=lang, redact=True)):
        assert not [word for word in secret if word in text]
        assert "data:image" not in text
        assert words(lang)("worth.meeting.title") in text


@pytest.mark.parametrize("lang", LANGUAGES)
def test_the_numbers_of_a_redacted_page_stay(lang: str) -> None:
    data = decided_example("adopt")
    shown, redacted = (DecisionWords(d, words(lang)).values() for d in (data, {**data}))
    assert [value.text for value in shown] == [value.text for value in redacted]
    text = Page(render_pilot(data, lang=lang, redact=True)).text
    assert all(value.text in text for value in shown)


def test_hostile_text_stays_text() -> None:
    data = decided_example("adopt")
    data["worth"]["alternatives"][0]["name"] = HOSTILE
    data["source"]["name"] = HOSTILE
    html = render_pilot(data)
    assert "<script" not in html
    assert {tag for tag, _ in Page(html).tags} <= {tag for tag, _ in Page(page("adopt", "en")).tags}
    assert "<script" not in pilot_markdown(data)
    # The title stands in a CSS string for print; no quote or bracket of it may.
    assert '"><img' not in html[: html.index("</style>")]


def test_it_prints_on_a4_with_headers_and_the_manager_on_a_page_of_its_own() -> None:
    html = page("adopt", "en")
    assert "size: A4" in html
    assert "counter(page)" in html
    assert re.search(r"\.manager \{[^}]*break-after: page", html)

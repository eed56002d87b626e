"""The page of a study: verdict in words, self-contained, escaped, complete; with few or many arms or parts missing."""

import re
from typing import Any

import pytest

from clipc.report.sections.findings import finding_groups
from clipc.report.sections.headline import headline_words, multiple_testing_note
from clipc.report.study import render_study
from clipc.report.words import LANGUAGES, words
from report.example import concluded
from report.study_example import CASES, MAIN, study_example
from report.test_pages import HOSTILE, Page


def text(html: str) -> str:
    return Page(html).text


@pytest.fixture(scope="module", params=[(name, lang) for name in CASES for lang in ("en", "ja")], ids="-".join)
def case(request: pytest.FixtureRequest) -> tuple[dict[str, Any], str, str]:
    name, lang = request.param
    data = study_example(**CASES[name])
    return data, render_study(data, lang=lang), lang


def test_a_page_asks_for_nothing_and_is_whole(case: tuple[dict[str, Any], str, str]) -> None:
    _, html, _ = case
    seen = Page(html)
    assert not seen.open
    for tag, attributes in seen.tags:
        assert tag not in {"script", "link", "iframe", "object", "base", "form", "img", "a"}
        for name in ("src", "href", "xlink:href", "srcset"):
            assert (attributes.get(name) or "#").startswith("#")
        assert not any(name.startswith("on") for name in attributes)
    assert "default-src 'none'" in html
    addresses = set(re.findall(r"https?://[^\s\"'<>)]+", html))
    assert addresses <= {"http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"}
    assert not re.search(r"url\((?!#)|@import", html)
    ids = re.findall(r'\sid="([^"]+)"', html)
    assert len(ids) == len(set(ids))
    assert len(html.encode()) < 2_000_000


def test_no_template_or_parameter_is_left(case: tuple[dict[str, Any], str, str]) -> None:
    assert not re.search(r"\{\{|\}\}|\{%|\{\w+\}|Undefined|\bNone\b|\bnan\b", text(case[1]))


def test_every_arm_metric_trial_change_and_limit_is_on_the_page(case: tuple[dict[str, Any], str, str]) -> None:
    data, html, lang = case
    shown, say = text(html), words(lang)
    for metric in data["metrics"]:
        assert say.metric(metric["key"]) in shown
    for code in data["not_shown"]:
        named = {"code": code} if isinstance(code, str) else code
        sentence = say.limit(named["code"], named)
        assert sentence in shown
        assert sentence != named["code"]
    for arm in data["arms"]:
        assert re.sub(r"\s+", " ", arm["name"]) in shown
        for key, value in arm["changes"].items():
            assert f"{key}: {value}" in shown
        for result in arm["results"]:
            assert all(run.replace("  ", " ") in shown for trial in result["trials"] for run in trial["runs"])
    for name in (data["command"], data["name"], data["note"], data["source"]["fingerprint"], data["machine"]["cpu"]):
        assert name in shown


@pytest.mark.parametrize("lang", ["en", "ja"])
def test_hostile_text_is_shown_and_never_run(lang: str) -> None:
    data = study_example(arms=3, names=(HOSTILE,), controls=(f"{HOSTILE} 2",), sizes=(250, 500), missing=1)
    clean = render_study(study_example(arms=3, controls=("augment",), sizes=(250, 500), missing=1), lang=lang)
    data["name"] = data["note"] = data["command"] = data["source"]["name"] = HOSTILE
    data["arms"][1] |= {"what": HOSTILE, "changes": {HOSTILE: HOSTILE}}
    data["arms"][1]["results"][0]["trials"][0]["runs"] = [HOSTILE]
    data["settings"][HOSTILE] = {HOSTILE: HOSTILE}
    data["metrics"][-1]["key"] = f"zero_shot/{HOSTILE}/top1"
    data["curves"] = [data["curves"][0] | {"axis": HOSTILE}]
    data["source"]["rejects"] = {"total": 1, "reasons": {HOSTILE: 1}}
    data["not_shown"] += [HOSTILE, {"code": HOSTILE, "n": HOSTILE}]
    html = render_study(data, lang=lang)
    assert "<script" not in html
    assert "{{ 7*7 }}" in text(html)
    assert {tag for tag, _ in Page(html).tags} <= {tag for tag, _ in Page(clean).tags} | {"h3", "table", "em"}
    assert not any(name.startswith("on") for _, attributes in Page(html).tags for name in attributes)


def said(**changed: Any) -> Any:
    return headline_words(study_example(**changed), words("en"))


def test_a_gain_that_no_control_shows_is_said_first_and_losses_are_counted() -> None:
    data = study_example(seeds=8)
    verdict = headline_words(data, words("en"))
    codes = {code: n for code, _, n in verdict.tally}
    assert codes["gain"]
    assert codes["loss"]
    assert sum(codes.values()) == 7
    assert (
        verdict.sentence
        == f"{codes['gain']} of 7 arms gain over clip, and over every control, on at least one main metric."
    )
    assert [group["code"] for group in finding_groups(data)][:1] == ["gain"]


def test_a_gain_that_a_control_shows_is_not_called_compositions() -> None:
    data = study_example(arms=2, lift=0.05, control_lift=0.06, seeds=8)
    data["comparisons"] = [c for c in data["comparisons"] if c["verdict"] != "loss"]
    verdict = headline_words(concluded(data), words("en"))
    assert {code: n for code, _, n in verdict.tally} == {"shared": 1, "unknown": 1}
    assert "a gain that a control also shows is not a gain of composition" in verdict.more[0]
    assert "These gain over clip as well: augment." in verdict.more[1]
    shown = text(render_study(data))
    assert "gain, shown by augment too: not due to composition" in shown
    assert "also shown by augment, so not due to composition" in shown


@pytest.mark.parametrize(("lang", "false"), [("en", "No arm only gains"), ("ja", "向上のみの条件はない")])
@pytest.mark.parametrize("also", [True, False])
def test_no_arm_only_gains_is_said_only_where_none_does(lang: str, false: str, also: bool) -> None:
    data = study_example(arms=2, seeds=8)
    for c in data["comparisons"]:
        c |= {"verdict": "no evidence"}
    first, second = (arm["name"] for arm in data["arms"][1:3])
    places = [(first, MAIN[0], "gain"), (first, MAIN[1], "loss"), ("augment", MAIN[0], "gain")]
    for arm, metric, said in [*places, *([(second, MAIN[0], "gain")] if also else [])]:
        for c in data["comparisons"]:
            if (c["arm"], c["metric"], c["against"]) == (arm, metric, "clip"):
                c |= {"verdict": said}
    verdict = headline_words(concluded(data), words(lang))
    assert {code for code, _, _ in verdict.tally} == {"mixed", "shared" if also else "none"}
    assert (false in verdict.sentence) is not also


def test_a_gain_is_open_where_a_control_was_not_compared() -> None:
    data = study_example(arms=1, lift=0.05, seeds=8)
    data["comparisons"] = [c for c in data["comparisons"] if c["against"] != "mixgen"]
    assert headline_words(concluded(data), words("en")).badge == ("uncontrolled", "gain, cause open")
    assert "missing, unfinished or not clearly worse" in text(render_study(data))


def test_a_gain_is_open_where_a_control_cannot_be_told_apart() -> None:
    data = study_example(arms=1, lift=0.05, seeds=8)
    for comparison in data["comparisons"]:
        if comparison["against"] == "mixgen":
            comparison["verdict"] = "no evidence"
    assert headline_words(concluded(data), words("en")).badge == ("uncontrolled", "gain, cause open")
    assert "No control was run" in said(arms=1, lift=0.05, seeds=8, controls=()).more[0]


def test_no_evidence_is_said_in_those_words() -> None:
    data = study_example(arms=3)
    for c in data["comparisons"]:
        c |= {"verdict": "no evidence"}
    verdict = headline_words(concluded(data), words("en"))
    assert verdict.sentence == "There is no evidence that any of the 3 arms differs from clip."
    assert "no evidence of a difference" in text(render_study(data))
    assert "差があるとは言えない" in text(render_study(data, lang="ja"))


def test_the_number_of_comparisons_is_stated() -> None:
    note = multiple_testing_note(study_example(arms=40), words("en"))
    assert note.startswith("Comparisons on main metrics: 126 with clip, 240 with controls.")
    assert f"up to {1 - 0.975**40:.1%} of cases" in note
    assert note in text(render_study(study_example(arms=40)))


def test_other_metrics_do_not_enter_the_verdict() -> None:
    data = study_example(arms=2)
    for c in data["comparisons"]:
        c["verdict"] = "no evidence" if c["metric"] in MAIN else "gain"
    assert headline_words(concluded(data), words("en")).sentence.startswith("There is no evidence")


def test_unfinished_trials_are_told_and_arms_without_all_seeds_have_no_strip() -> None:
    data = study_example(arms=3, missing=12)
    shown = text(render_study(data))
    assert "Not finished: 18 of 30 planned trials." in shown
    assert "0 of 5 seeds finished" in shown
    assert "3 of 5 seeds finished" in shown
    assert "18 of 30 finished" in shown


@pytest.mark.parametrize("lang", ["en", "ja"])
def test_what_waits_for_seeds_is_neither_a_gain_nor_no_evidence(lang: str) -> None:
    data, say = study_example(arms=2, lift=0.05, seeds=8, missing=1), words(lang)
    for c in data["comparisons"]:
        c |= {"verdict": "when finished", "p": None, "p_holm": None, "p_sign": None}
    verdict = headline_words(concluded(data), say)
    assert verdict.sentence == say("study.headline.waiting")
    assert {code for code, _, _ in verdict.tally} == {"waiting"}
    assert verdict.more == (say("study.controls.unfinished"),)
    assert [group["code"] for group in finding_groups(data)] == ["waiting"]
    shown = text(render_study(data, lang=lang))
    assert say("verdict.when finished") in shown
    assert say("verdict.no evidence") not in shown.replace(say("study.rule"), "")


def test_arms_with_all_their_seeds_have_a_verdict_beside_others_that_wait() -> None:
    data = study_example(arms=2, lift=0.05, seeds=8)
    for c in data["comparisons"]:
        if "rho=0.2" in (c["arm"], c["against"]) or "mixgen" in (c["arm"], c["against"]):
            c |= {"verdict": "when finished"}
    verdict = headline_words(concluded(data), words("en"))
    assert verdict.sentence.startswith("On this data rho=0.1 did better than clip on all 3")
    assert {code: n for code, _, n in verdict.tally} == {"uncontrolled": 1, "waiting": 1}
    assert "others have no verdict yet" in verdict.more[0]
    assert multiple_testing_note(data, words("en")).startswith(
        "Comparisons on main metrics: 6 with clip, 3 with controls."
    )


def test_nothing_finished_yet() -> None:
    data = study_example(arms=2, missing=25)
    for arm in data["arms"]:
        arm["results"] = []
    data |= {"comparisons": [], "curves": [], "power": []}
    assert "No result yet" in text(render_study(concluded(data)))


def test_one_seed_has_no_intervals() -> None:
    data = study_example(arms=2, seeds=1)
    assert data["comparisons"] == []
    assert "No result yet" in text(render_study(data))


def test_p_values_by_sign_flip_stand_only_where_there_are_some() -> None:
    assert "p (sign-flip)" in re.sub(r"<p class=\"note\">.*?</p>", "", render_study(study_example(arms=1, seeds=8)))
    assert "p (sign-flip)</th>" not in render_study(study_example(arms=1, seeds=5))


def test_controls_stand_apart_and_are_marked() -> None:
    html = render_study(study_example(arms=2))
    assert html.count('class="apart"') == len(MAIN)
    assert 'augment</span> <span class="role">control</span>' in html
    assert 'class="apart"' not in render_study(study_example(arms=2, controls=()))


def test_what_composes_nothing_has_no_share_of_composites() -> None:
    html = render_study(study_example(arms=1))
    for row in re.findall(r'<tr class="is-.*?</tr>', html, re.DOTALL):
        assert ("29.8%" in row) is ("rho=" in row)


def test_power_tells_the_noise_and_the_seeds() -> None:
    shown = text(render_study(study_example(arms=2)))
    assert "1.0 points: not detectable" in shown
    assert "2.0 points: 5" in shown
    assert "1.5 points" in shown
    assert "(5 seeds)" in shown


@pytest.mark.parametrize("lang", LANGUAGES)
def test_what_a_search_found_is_on_the_page(lang: str) -> None:
    data, say = study_example(), words(lang)
    assert say("study.search.title") not in text(render_study(data, lang=lang))
    fields = ("arm", "settings", "validation", "tried", "given_up", "wanted")
    rows = [
        ("clip", {}, 0.31, 1, 0, 1),
        ("rho=0.1", {"learning_rate": 0.00123456, "batch_size": 64}, 0.421, 5, 2, 5),
        ("rho=0.2", None, None, 5, 5, 5),
        ("rho=0.3", None, None, 3, 0, 5),
    ]
    data["search"] = [dict(zip(fields, row, strict=True)) for row in rows]
    shown = text(render_study(data, lang=lang))
    for phrase in ("title", "lead", "only", "left_out"):
        assert say(f"study.search.{phrase}") in shown
    for figure in ("learning_rate: 0.00123456", "batch_size: 64", "42.1%", "31.0%", "3 / 5"):
        assert figure in shown
    limitations = headline_words(concluded(data), say).limitations[1:]
    assert limitations[0] == say("study.search.caution", few="clip")
    assert say("page.list").join(("rho=0.2", "rho=0.3")) in limitations[1]


def test_codes_of_searches_subsets_and_lost_trials_have_sentences() -> None:
    for lang in LANGUAGES:
        for code in (
            {"code": "unequal-tries", "fewest": 1, "most": 4, "arms": "clip"},
            {"code": "search-left-out", "arms": "hot"},
            {"code": "diverged", "arm": "hot", "n": 2},
        ):
            sentence = words(lang).limit(str(code["code"]), code)
            assert all(str(value) in sentence for key, value in code.items() if key != "code")


@pytest.mark.parametrize("lang", LANGUAGES)
def test_gains_are_compared_as_differences_and_false_gains_counted(lang: str) -> None:
    say, data = words(lang), study_example(**CASES["sizes"])
    text = Page(render_study(data, lang=lang)).text
    assert say("study.gains.lead") in text
    assert f"{100 * (1 - 0.975**28):.1f}%" in text  # seven arms at four sizes
    single = study_example(arms=1, controls=())
    assert single["gain_differences"] == []
    assert say("study.gains.title") not in Page(render_study(single, lang=lang)).text

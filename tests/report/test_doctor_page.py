"""The page of the data doctor: words for every finding, texts escaped, images checked."""

import re
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from markupsafe import escape

from clipc.audit.doctor import doctor, without_images
from clipc.catalog.catalog import Catalog
from clipc.recipe.recipe import read_recipe
from clipc.report.doctor import finding_texts, headline, recipe_command, render_doctor
from clipc.report.sections.doctor import doctor_summary
from clipc.report.words import LANGUAGES, words

AUDIT = Path(__file__).resolve().parents[2] / "src" / "clipc" / "audit"
ATTACK = "<script>alert(1)</script>"


@pytest.fixture(scope="module")
def tables(tiny_catalog: Catalog, tiny_model: str) -> dict[str, Any]:
    return doctor(tiny_catalog, read_recipe("nano", {"model": tiny_model, "batch_size": 16}))


def codes() -> set[str]:
    """The codes of all findings that the checks can yield."""
    found: set[str] = set()
    for file in AUDIT.rglob("*.py"):
        found |= set(re.findall(r'Finding\(\s*"([\w-]+)"', file.read_text("utf-8")))
        found |= set(re.findall(r'"((?:near|mirrored)-(?:leaks|images))"', file.read_text("utf-8")))
        found |= set(re.findall(r'\("((?:numeric|class|unseen|rare)-\w+)",', file.read_text("utf-8")))
    return found | {f"caption-{kind}" for kind in ("missing", "numbers", "file-name", "markup", "damaged", "short")}


def test_every_finding_has_words_and_no_words_are_left_over() -> None:
    named = {key.split(".")[2] for key in words("en").table if key.startswith("doctor.finding.")}
    assert named == codes()


@pytest.mark.parametrize("lang", LANGUAGES)
def test_the_page_holds_the_findings_and_loads_nothing(tables: dict[str, Any], lang: str) -> None:
    html = render_doctor(tables, lang=lang)
    assert f'<html lang="{lang}">' in html
    for finding in tables["findings"]:
        texts = finding_texts(finding, words(lang))
        assert texts["title"].split("“")[0] in html
    assert not re.search(r'(?:src|href)="(?!data:image/)', html)
    assert html.count('class="view"') == len(tables["views"]) == 6
    assert recipe_command(tables) in html


@pytest.mark.parametrize("lang", LANGUAGES)
def test_the_cleaned_list_is_named_only_once_it_is_written(tables: dict[str, Any], lang: str) -> None:
    data = {**tables, "removed": [{"key": "0", "code": "leaked-images"}]}
    page = render_doctor(data, lang=lang)
    assert "clipc doctor SOURCE --fix" in page
    assert "keys.csv" not in page
    assert "--keys runs/check/keys.csv" in render_doctor({**data, "keys": "runs/check/keys.csv"}, lang=lang)


def test_pictures_that_would_be_the_same_are_left_out(tables: dict[str, Any]) -> None:
    view = {**tables["views"][0], "whole": "data:image/png;base64,AA", "window": "data:image/png;base64,BB"}
    kinds = [view | {"scale": 2.0}, view | {"scale": 2.0, "window": view["whole"]}, view | {"scale": 0.8}]
    for n, (kind, images) in enumerate(zip(kinds, (3, 2, 1), strict=True)):
        html = render_doctor({**tables, "findings": [], "views": [kind]})
        assert html.count("<img ") == images, n
        assert str(escape(words("en")(f"doctor.views.lead_{images}"))) in html
    mixed = render_doctor({**tables, "findings": [], "views": kinds})
    assert mixed.count("<img ") == 6
    assert words("en")("doctor.views.fewer") in mixed


@pytest.mark.parametrize("lang", LANGUAGES)
def test_texts_of_the_data_are_escaped(tables: dict[str, Any], lang: str) -> None:
    bad = deepcopy(tables)
    bad["source"]["name"] = ATTACK
    example = {"keys": [ATTACK], "splits": [ATTACK], "name": ATTACK, "text": ATTACK, "count": 1, "images": []}
    values = {"caption": ATTACK, "distinct": 1}
    finding = {"code": "constant", "severity": "stop", "count": 1, "total": 1, "share": 1.0, "values": values}
    bad["findings"] = [{**finding, "removes": 0, "examples": [example]}]
    bad["views"][0] |= {"caption": ATTACK, "key": ATTACK}
    html = render_doctor(bad, lang=lang)
    assert ATTACK not in html
    assert html.count("&lt;script&gt;") >= 7


def test_an_address_is_no_image(tables: dict[str, Any]) -> None:
    bad = deepcopy(tables)
    bad["views"][0]["model"] = "https://example.com/a.png"
    with pytest.raises(ValueError, match="data URI"):
        render_doctor(bad)


def test_a_finding_without_words_shows_its_code() -> None:
    finding = {"code": "own-check", "count": 1, "total": 2, "share": 0.5, "values": {}}
    assert finding_texts(finding, words("en"))["title"] == "own-check"


def test_the_headline_is_that_of_the_worst(tables: dict[str, Any]) -> None:
    say = words("en")
    for severities, start in (
        (["note", "warning", "stop"], "Do not train on this yet: one thing"),
        (["stop", "stop"], "Do not train on this yet: 2 things"),
        (["warning", "note"], "You can train on this, but one thing"),
        (["note"], "Nothing was found"),
    ):
        data = {**tables, "findings": [{"severity": severity} for severity in severities]}
        assert headline(data, say).startswith(start)


def test_the_command_of_the_recipe_can_be_read_as_a_recipe(tables: dict[str, Any]) -> None:
    _, _, name, source, *changes = recipe_command(tables).split()
    assert source == "SOURCE"
    assert read_recipe(name, changes) == read_recipe(name, tables["recipe"]["changes"])


@pytest.mark.parametrize("lang", LANGUAGES)
def test_the_short_section_says_what_was_found_and_what_failed_or_is_missing(tables: dict[str, Any], lang: str) -> None:
    say = words(lang)
    light = without_images(tables)
    html = doctor_summary({"doctor": light}, say)
    assert html == doctor_summary({"doctor": tables}, say)
    assert headline(light, say) in html
    for finding in light["findings"]:
        assert escape(finding_texts(finding, say)["title"]) in html
    assert escape(ATTACK) in doctor_summary({"doctor": {"failed": ATTACK}}, say)
    assert say("doctor.short.missing") in doctor_summary({"doctor": None}, say)
    assert doctor_summary({}, say) == ""

"""The pages: self-contained, escaped, complete, small; with parts missing."""

import re
from html.parser import HTMLParser
from typing import Any

import pytest

from clipc.report.pilot import render_pilot
from clipc.report.sheet import render_sheet
from clipc.report.words import words
from report.example import pilot_example, sheet_example

HOSTILE = '<script>alert("x")</script>\'"><img src=https://evil.example/x onerror=alert(1)> {{ 7*7 }} {0} {lang}'
VOID = {"meta", "img", "br", "link", "path", "use", "rect"}


class Page(HTMLParser):
    """What a browser would see: tags, attributes and text; notes tags that do not close."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.open: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if not self.open or self.open[-1] != "style":
            self.words.append(data)

    @property
    def text(self) -> str:
        return re.sub(r"\s+", " ", "".join(self.words))


def poisoned(value: Any, path: str = "") -> Any:
    """Every free text of the tables made hostile; names that the code reads are kept."""
    kept = ("name", "arm", "against", "metric", "key", "verdict", "picture", "axis", "code", "created", "value")
    if isinstance(value, dict):
        return {k: v if k in kept and path != "source" else poisoned(v, k) for k, v in value.items()}
    if isinstance(value, list):
        return [poisoned(v, path) for v in value]
    return HOSTILE if (isinstance(value, str) and path not in kept) or path == "name" else value


def pages() -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    for lang in ("en", "ja"):
        found.append((f"pilot-{lang}", render_pilot(pilot_example(japanese=lang == "ja"), lang=lang)))
        found.append((f"sheet-{lang}", render_sheet(sheet_example(japanese=lang == "ja"), lang=lang)))
    return found


@pytest.fixture(scope="module", params=pages(), ids=lambda case: case[0])
def page(request: pytest.FixtureRequest) -> str:
    return request.param[1]


def test_a_page_asks_for_nothing(page: str) -> None:
    seen = Page(page)
    assert not seen.open
    for tag, attributes in seen.tags:
        assert tag not in {"script", "link", "iframe", "object", "base", "form"}
        for name in ("src", "href", "xlink:href", "srcset", "action", "background", "poster"):
            value = attributes.get(name)
            assert value is None or value.startswith(("data:image/", "#")), (tag, name, value)
        assert not any(name.startswith("on") for name in attributes)
    assert "default-src 'none'" in page
    addresses = set(re.findall(r"https?://[^\s\"'<>)]+", page))
    assert addresses <= {"http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"}
    assert "@import" not in page
    assert not re.search(r"url\((?!#)", page)


def test_a_page_is_small_and_its_ids_are_unique(page: str) -> None:
    assert len(page.encode()) < 3_000_000
    ids = re.findall(r'\sid="([^"]+)"', page)
    assert len(ids) == len(set(ids))


def test_no_template_or_parameter_is_left(page: str) -> None:
    assert not re.search(r"\{\{|\}\}|\{%|\{\w+\}|Undefined|\bNone\b", Page(page).text)


@pytest.mark.parametrize("lang", ["en", "ja"])
def test_hostile_text_is_shown_and_never_run(lang: str) -> None:
    pilot, sheet = pilot_example(), sheet_example()
    for data, render in ((pilot, render_pilot), (sheet, render_sheet)):
        bad = poisoned(data)
        bad["source"]["label_columns"], bad["source"]["classes"] = [HOSTILE], {HOSTILE: 3}
        bad["source"]["rejects"] = {"total": 1, "reasons": {HOSTILE: 1}}
        if "metrics" in bad:
            bad["metrics"][-1]["key"] = f"zero_shot/{HOSTILE}/top1"
            bad["arms"].append({**bad["arms"][0], "name": HOSTILE})
            bad["not_shown"] += [{"code": "near-chance", "metric": HOSTILE}, HOSTILE]
        else:
            bad["statistics"]["axes"] = {HOSTILE: 1}
        html = render(bad, lang=lang)
        clean = render(data, lang=lang)
        assert "<script" not in html
        assert "{{ 7*7 }}" in Page(html).text
        assert {tag for tag, _ in Page(html).tags} <= {tag for tag, _ in Page(clean).tags}
        assert not any(name.startswith("on") for _, attributes in Page(html).tags for name in attributes)


@pytest.mark.parametrize(
    "uri", ["https://evil.example/x.png", "data:text/html;base64,AAAA", 'data:image/png;base64,A" x="']
)
def test_a_picture_that_is_no_data_uri_is_refused(uri: str) -> None:
    data = sheet_example()
    data["samples"][0]["picture"] = uri
    with pytest.raises(ValueError, match="data URI"):
        render_sheet(data)


def test_without_labels_and_control() -> None:
    text = Page(render_pilot(pilot_example(labels=False, control_lift=None))).text
    assert "no classification was measured" in text
    assert "Without the control arm" in text
    assert "Plain augmentation" not in text


def test_without_pictures_curves_costs_rejects_and_notes() -> None:
    data = pilot_example()
    data["samples"], data["composing_cost"], data["not_shown"] = [], None, []
    data["source"] |= {"rejects": {"total": 0, "reasons": {}}, "notes": []}
    data["settings"] |= {"minutes": None, "prompts": None}
    for arm in data["arms"]:
        for trial in arm["trials"]:
            trial["curves"] = {"loss": [], "validation": []}
    seen = Page(render_pilot(data))
    assert "--no-pictures" in seen.text
    assert "was not measured in this run" in seen.text
    assert not any(tag == "img" for tag, _ in seen.tags)


def test_one_seed_has_no_intervals_and_no_verdicts() -> None:
    data = pilot_example()
    for arm in data["arms"]:
        del arm["trials"][1:]
    for comparison in data["comparisons"]:
        comparison |= {
            "interval": [None, None],
            "test_error": None,
            "verdict": None,
            "per_seed": comparison["per_seed"][:1],
        }
    text = Page(render_pilot(data)).text
    assert "cannot tell" in text
    assert "not compared" in text


def test_no_comparison_and_a_metric_that_a_trial_lacks() -> None:
    data = pilot_example()
    data["comparisons"] = []
    data["arms"][0]["trials"][0]["metrics"].clear()
    assert "cannot tell" in Page(render_pilot(data)).text


def test_every_metric_and_limit_is_on_the_page() -> None:
    for lang in ("en", "ja"):
        data = pilot_example()
        text = Page(render_pilot(data, lang=lang)).text
        for metric in data["metrics"]:
            assert words(lang).metric(metric["key"]) in text
        for code in data["not_shown"]:
            named = {"code": code} if isinstance(code, str) else code
            assert words(lang).limit(named["code"], named) in text


def test_a_median_rank_that_falls_is_drawn_to_the_better_side() -> None:
    data = pilot_example()
    for metric in data["metrics"]:
        metric["main"] = metric["key"].endswith("median_rank")
    text = Page(render_pilot(data)).text
    assert "the scale is turned round" in text
    assert "better than CLIP on all 2" in text


def test_generated_pictures_are_marked() -> None:
    assert "Generated pictures" in Page(render_pilot(pilot_example(generated=True))).text
    assert "Generated pictures" not in Page(render_pilot(pilot_example())).text
    assert "生成画像" in Page(render_sheet(sheet_example(generated=True), lang="ja")).text


def test_the_sheet_shows_sources_and_statistics() -> None:
    data = sheet_example()
    text = Page(render_sheet(data)).text
    for sample in data["samples"]:
        for part in ("left_key", "right_key", "left_caption", "right_caption"):
            assert sample[part] in text
    assert "2,620 of 8,734" in text
    assert "random partner" in text


def test_a_joint_caption_is_parted_only_where_it_is_the_plain_join() -> None:
    data = sheet_example()
    data["samples"] = data["samples"][:1]
    assert "<mark>and</mark>" in render_sheet(data)
    data["samples"][0]["caption"] = "shortened by someone and something"
    assert "<mark>" not in render_sheet(data)
    data["samples"][0]["caption"] = "no joiner at all"
    assert "no joiner at all" in render_sheet(data)


def test_a_thousand_reasons_do_not_make_a_long_page() -> None:
    data = pilot_example()
    data["source"]["rejects"] = {"total": 1500, "reasons": {f"reason {i:04d}": 1 + (i == 0) * 501 for i in range(999)}}
    text = Page(render_pilot(data)).text
    assert re.search(r"reason 0000 ?502", text)
    assert "reason 0500" not in text
    assert re.search(r"987 other reasons ?987", text)


def test_a_metric_without_a_chance_level_names_none() -> None:
    data = pilot_example()
    for metric in data["metrics"]:
        metric["chance"] = None
    assert "chance" not in Page(render_pilot(data)).text

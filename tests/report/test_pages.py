"""The pages: self-contained, escaped, complete, small; with parts missing."""

import re
from html.parser import HTMLParser
from typing import Any, get_args

import pytest

from clipc.compose.captions.strategies import STRATEGIES
from clipc.compose.layouts import LAYOUTS
from clipc.compose.policy import PARTNERS, Policy
from clipc.report.pilot import render_pilot
from clipc.report.policy import policy_facts
from clipc.report.sheet import render_sheet
from clipc.report.words import words
from report.example import compare, concluded, pilot_example, sheet_example, with_few_captions

HOSTILE = '<script>alert("x")</script>\'"><img src=https://evil.example/x onerror=alert(1)> {{ 7*7 }} {0} {lang}'
VOID = {"meta", "img", "col", "br", "link", "path", "use", "rect"}


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
    kept = (
        "name", "arm", "against", "metric", "key", "verdict", "picture", "left_image", "right_image", "layout",
        "of", "code", "created", "value", "region", "partner",
    )  # fmt: skip
    if isinstance(value, dict):
        return {k: v if k in kept and path != "source" else poisoned(v, k) for k, v in value.items()}
    if isinstance(value, list):
        return [poisoned(v, path) for v in value]
    return HOSTILE if (isinstance(value, str) and path not in kept) or path == "name" else value


PAGES = {"pilot": (render_pilot, pilot_example), "sheet": (render_sheet, sheet_example)}


@pytest.fixture(scope="module", params=[(kind, lang) for lang in ("en", "ja") for kind in PAGES], ids="-".join)
def page(request: pytest.FixtureRequest) -> str:
    kind, lang = request.param
    render, example = PAGES[kind]
    return render(example(japanese=lang == "ja"), lang=lang)


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
            bad["arms"][1]["changes"] = {HOSTILE: HOSTILE}
            bad["not_shown"] += [{"code": "near-chance", "metric": HOSTILE}, HOSTILE]
        else:
            bad["samples"][0]["why"] = {"code": HOSTILE, "pairs": 3, "values": [[HOSTILE, HOSTILE]]}
            bad["samples"][1]["hits"] = [{"code": HOSTILE, "of": HOSTILE, "text": HOSTILE, "why": HOSTILE}]
            bad["samples"][2] |= {"layout": HOSTILE, "parts": [{"of": HOSTILE, "text": HOSTILE}]}
            bad["rules"]["constraints"][0]["examples"][0]["first"]["values"] = {HOSTILE: HOSTILE}
            bad["policy"]["rules"]["name"] = HOSTILE
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
    assert "classification was not evaluated" in text
    assert "it is open whether an effect comes from composing" in text
    assert "No control was run beside CLIP" in text
    assert "Plain augmentation" not in text


def test_arms_are_named_and_explained_in_the_language_of_the_page() -> None:
    data = pilot_example()
    for lang in ("en", "ja"):
        text, say = Page(render_pilot(data, lang=lang)).text, words(lang)
        for arm in data["arms"]:
            assert say.arm(arm["name"]) in text
            assert say(f"arm_what.{arm['name']}") in text
            assert arm["what"] not in text


def test_an_arm_more_is_on_the_page_with_its_own_name_composites_and_cost() -> None:
    data = pilot_example()
    more = {**data["arms"][-1], "name": "nearest", "what": "Composed with a neighbour."}
    data["arms"].append(more)
    data["comparisons"] += [{**c, "arm": "nearest"} for c in data["comparisons"] if c["arm"] == "clip-c"]
    data["composites"].append({**data["composites"][0], "arm": "nearest"})
    data["composing_cost"]["arms"].append({"arm": "nearest", "pairs_per_second": 120.0, "ratio": 0.5})
    data["training"] += [{**curve, "arm": "nearest"} for curve in data["training"] if curve["arm"] == "clip-c"]
    text = Page(render_pilot(concluded(data))).text
    assert "2 of 2 arms gain over CLIP" in text
    assert "Arms by verdict" in text
    assert "Composed with a neighbour." in text
    assert "nearest was 50.0% slower" in text


def test_without_images_curves_costs_rejects_and_notes() -> None:
    data = pilot_example()
    data["composites"][0]["samples"], data["composing_cost"], data["not_shown"], data["training"] = [], None, [], []
    data["source"] |= {"rejects": {"total": 0, "reasons": {}}, "notes": []}
    del data["settings"]["prompts"]
    seen = Page(render_pilot(data))
    assert "--no-pictures" in seen.text
    assert "was not measured in this run" in seen.text
    assert "Everything in the source was read" in seen.text
    assert not any(tag == "img" for tag, _ in seen.tags)


def test_no_comparison_and_a_metric_that_a_trial_lacks() -> None:
    data = pilot_example()
    data["comparisons"] = []
    data["arms"][0]["results"][0]["trials"][0]["metrics"].clear()
    assert "No result yet" in Page(render_pilot(concluded(data))).text


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
    arms, by_key = {arm["name"]: arm for arm in data["arms"]}, {m["key"]: m for m in data["metrics"]}
    data["comparisons"] = [
        compare(by_key[c["metric"]], arms[c["arm"]], arms[c["against"]]) for c in data["comparisons"]
    ]
    text = Page(render_pilot(concluded(data))).text
    assert "the axis is inverted" in text
    assert "better than CLIP on all 2" in text


@pytest.mark.parametrize("lang", ["en", "ja"])
def test_secondary_metrics_stand_apart_and_others_have_no_verdict(lang: str) -> None:
    say, data = words(lang), pilot_example()
    text = Page(render_pilot(data, lang=lang)).text
    assert say("results.secondary_note") in text
    shown = sum(not m["main"] and not m["secondary"] for m in data["metrics"])
    assert text.count(say("verdict.not tested")) >= 2 * shown
    for metric in data["metrics"]:
        metric["secondary"] = False
    assert say("results.secondary_note") not in Page(render_pilot(data, lang=lang)).text


@pytest.mark.parametrize(
    ("lang", "seen"), [("en", ("55.0% of the 1,050", "4 of 210")), ("ja", ("1,050件のうち55.0%", "210枚のうち4枚"))]
)
def test_the_page_says_what_of_the_test_data_training_shows_too(lang: str, seen: tuple[str, str]) -> None:
    text = Page(render_pilot(pilot_example(), lang=lang)).text
    assert all(part in text for part in seen)
    data = pilot_example()
    data["leakage"] = {**data["leakage"], "near": False}
    assert words(lang)("done.leakage_equal", k="4", n="210") in Page(render_pilot(data, lang=lang)).text


def test_generated_pictures_are_marked() -> None:
    assert "Generated pictures" in Page(render_pilot(pilot_example(generated=True))).text
    assert "Generated pictures" not in Page(render_pilot(pilot_example())).text
    assert "生成画像" in Page(render_sheet(sheet_example(generated=True), lang="ja")).text


def test_the_sheet_shows_sources_statistics_and_why() -> None:
    data = sheet_example()
    text = Page(render_sheet(data)).text
    for sample in data["samples"]:
        for part in ("left_key", "right_key", "left_caption", "right_caption"):
            assert sample[part] in text
    for said in (
        "2,620 of 8,734",
        "27 for an unknown value",
        "drawn at random from the 310 pairs with view = PA",
        "number 3 of its 10 nearest",
        "least similar of 4 drawn, similarity −0.12",
        "31% visible · mirrored",
        "breaks none of the 4 rules on what may be composed",
        "Not mirrored (right) mirror: false",
        "a picture could not be read",
    ):
        assert said in text


def test_every_rule_is_shown_with_its_reason_and_what_it_removes() -> None:
    for lang in ("en", "ja"):
        data = sheet_example(japanese=lang == "ja")
        text = Page(render_sheet(data, lang=lang)).text
        for rule in [*data["rules"]["constraints"], *data["rules"]["exclusions"]]:
            assert rule["text"] in text
            assert rule["why"] in text
            for example in rule["examples"]:
                for pair in [example] if "key" in example else example.values():
                    assert pair["key"] in text
        for shown in ("58.0%", "58,000", "51,000", "<0.1%"):
            assert shown in text


def test_the_sheet_warns_of_what_an_expert_should_look_into() -> None:
    data = sheet_example()
    text = Page(render_sheet(data)).text
    assert "2 of 6 rules have no effect on these data" in text
    assert "stay plain" not in text
    data["statistics"]["fallbacks"] = {"never": 5, "unknown": 900, "alone": 10}
    data["statistics"]["shortened_share"] = 0.5
    data["rules"]["constraints"][0]["share"] = 0.995
    data["rules"]["exclusions"][0]["share"] = 0.8
    text = Page(render_sheet(data)).text
    assert "915 of 3,535 examples that were to be composed (26%) stay plain" in text
    assert "a value that a rule needs is unknown" in text
    assert "longer than the model reads" in text
    assert "condition is inverted" not in text  # partners come from the rule's groups, so its share alone means little
    assert "80% of all captions plain" in text
    data["rules"]["groups"] = None
    assert "condition is inverted" in Page(render_sheet(data)).text


@pytest.mark.parametrize(
    ("lang", "said"),
    [
        (
            "en",
            [
                "No effect: no row has a value in box, lot.",
                "Without a value in their columns or fields: 1. Name your columns",
            ],
        ),
        (
            "ja",
            [
                "効果なし：box、lot に値のある行がない。",
                "必要な列やフィールドに値のある行がないもの：1件。",
            ],
        ),
    ],
)
def test_the_sheet_says_why_a_rule_can_have_no_effect(lang: str, said: list[str]) -> None:
    data = sheet_example()
    _, idle, _ = data["rules"]["constraints"]
    idle["no_effect"] = {"code": "empty-columns", "columns": ["box", "lot"]}
    data["rules"]["shapes"][1]["no_effect"] = {"code": "no-match"}
    text = Page(render_sheet(data, lang=lang)).text
    assert all(sentence in text for sentence in said)
    if lang == "en":
        assert "No effect: it applies to no pair." in text
        assert "Applying to no pair of these data: 1." in text
        assert "Rules without effect (2)" in text
        assert "Met by none" not in text


def test_the_pictures_come_before_the_rules_and_idle_rules_are_folded() -> None:
    html = render_sheet(sheet_example())
    pictures, rules, folded = (
        html.index(part) for part in ('class="composites"', "Effect of the rules", "without effect (2)")
    )
    assert pictures < rules < folded
    assert html.index("forbid: word(a.caption") > folded


def test_a_sheet_without_rules_or_composites() -> None:
    data = sheet_example()
    data["rules"], data["samples"] = None, []
    data["policy"] |= {"rules": None, "rho": 0.0}
    data["statistics"] |= {
        "composed": 0, "share": 0.0, "partners": 0, "partners_most": 0, "kept": None, "seen": None,
        "tokens": {"single": {"median": 14, "p95": 25, "max": 60}, "joined": None, "read": None},
        "fallbacks": {"never": 0, "unknown": 0, "alone": 0}, "layouts": {"plain": 8734},
    }  # fmt: skip
    text = Page(render_sheet(data)).text
    assert "None of 8,734 training examples is a composite" in text
    assert "no composites to show" in text
    assert "Effect of the rules" not in text
    data["statistics"] |= {"strong": 300}
    data["policy"]["treatment"] = "augment"
    assert "300 of 8,734" in Page(render_sheet(data)).text


@pytest.mark.parametrize("lang", ["en", "ja"])
def test_both_parts_of_a_joint_caption_are_told_apart_by_more_than_colour(lang: str) -> None:
    data = sheet_example()
    first, _, second = (piece["text"] for piece in data["samples"][0]["parts"])
    html = render_sheet(data, lang=lang)
    assert f'<span class="part first">{first}</span> and <span class="part second">{second}</span>' in html
    assert re.search(r"\.part\.second \{[^}]*text-decoration-style: dotted", html)


@pytest.mark.parametrize("lang", ["en", "ja"])
def test_every_value_of_a_policy_has_words(lang: str) -> None:
    say = words(lang)
    plain = sheet_example()["policy"]
    for change in [
        *({"layout": name, "region": "box"} for name in get_args_of("layout")),
        *({"caption": name} for name in get_args_of("caption")),
        *({"axis": name} for name in get_args_of("axis")),
        *({"partner": name} for name in get_args_of("partner")),
        *({"pairing": name} for name in get_args_of("pairing")),
        *({"partner": "nearest", "embedding": "folder", "embedding_of": of} for of in get_args_of("embedding_of")),
        {"treatment": "augment"},
        {"treatment": "half"},
        {"region": "auto", "layout": "region"},
        {"joiner": None},
        {"template": "{a} beside {b}"},
        {"group": "patient"},
        {"mixing": "batches"},
        {"group": "auto"},
    ]:
        facts = policy_facts(plain | change, say)
        assert all(name and text for name, text in facts)
        assert not {"None", *map(str, change.values())} & {text for _, text in facts}


def test_a_policy_says_what_its_groups_and_rules_come_to() -> None:
    say, plain = words("en"), sheet_example()["policy"]
    auto, name = plain | {"group": "auto"}, say("policy.name.group")

    def said(code: str, **changes: str) -> str:
        return dict(policy_facts(auto | changes, say, {"column": "label", "code": code}))[name]

    assert said("same-class") == "pairs of the same class (equal values of “label”)"
    assert said("no-labels") == "nothing: the data have no labels"
    assert said("single-captions").endswith("only where there is no other")
    assert "mostly from the same class" in said("single-captions", partner="nearest")
    rules = {"name": "x", "pairs": [{}], "never": [{}], "images": [{}], "captions": [{"forbid": "a"}, {"joiner": ";"}]}
    facts = dict(policy_facts(plain | {"rules": rules}, say))
    assert facts[say("policy.name.rules")] == "“x”: 3 on what may be composed, 2 on how it is composed"


def get_args_of(field: str) -> tuple[str, ...]:
    shipped = {"layout": LAYOUTS, "caption": STRATEGIES, "partner": PARTNERS}
    return tuple(shipped.get(field) or get_args(Policy.model_fields[field].annotation))


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
    assert not re.search(r"chance \d", Page(render_pilot(data)).text)


@pytest.mark.parametrize(("lang", "ceiling"), [("en", "ceiling 26.9%"), ("ja", "上限 26.9%")])
def test_a_ceiling_stands_beside_the_chance_level(lang: str, ceiling: str) -> None:
    assert ceiling not in Page(render_pilot(pilot_example(), lang=lang)).text
    data = with_few_captions(pilot_example())
    limited = [m for m in data["metrics"] if m["ceiling"] is not None]
    main = sum(m["main"] for m in limited)
    # In the table of each metric; of the main ones also at a glance and in the plot of effects.
    assert main == 0
    assert Page(render_pilot(data, lang=lang)).text.count(ceiling) == len(limited)
    for metric in limited[:2]:
        metric["main"] = True
    assert Page(render_pilot(data, lang=lang)).text.count(ceiling) == len(limited) + 4
    for metric in limited:
        metric["ceiling"] = 1.0
    assert "100.0%" not in Page(render_pilot(data, lang=lang)).text


def test_the_sheet_says_how_to_judge_models_where_captions_are_few() -> None:
    data = sheet_example()
    text = Page(render_sheet(data)).text
    assert "zero-shot" not in text
    assert "4 of 2,620 composites" in text
    data["few_captions"] = {"ceiling": 0.269, "distinct": 21, "captions": 1210, "class_names": False}
    assert "a ceiling of 26.9%, so judge models by zero-shot" in Page(render_sheet(data)).text
    data["source"]["label_columns"] = []
    assert "count equal captions as right" in Page(render_sheet(data)).text

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from clipc.compose.rules.grammar import RESERVED
from clipc.compose.rules.schema import CaptionRule, Example, ImageRule, PairRule, Rules

texts = st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1, max_size=20).filter(
    lambda t: bool(t.strip())
)
names = st.from_regex(r"[d-z部位左右][a-z0-9_部位]{0,8}", fullmatch=True).filter(
    lambda n: n not in RESERVED and n not in ("caption", "captions", "key") and n.isidentifier()
)
values = st.one_of(texts, st.integers(-999, 999), st.floats(allow_nan=False, allow_infinity=False), st.booleans())
whys = st.fixed_dictionaries({}, optional={"why": texts})


def entry(**parts: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries(parts, optional={"why": texts, "line": st.integers(1, 99)})


def some(*kinds: st.SearchStrategy[Any]) -> st.SearchStrategy[list[Any]]:
    return st.lists(st.one_of(*kinds), max_size=3)


sides = st.one_of(texts, st.dictionaries(names, st.none() | values, min_size=1, max_size=3))
rules = st.fixed_dictionaries(
    {},
    optional={
        "name": texts,
        "columns": st.dictionaries(names.map(lambda n: "c_" + n), st.lists(texts, min_size=1, max_size=3), max_size=2),
        "fields": st.dictionaries(names.map(lambda n: "f_" + n), texts, max_size=2),
        "pairs": some(entry(require=texts), entry(forbid=texts, unknown=st.sampled_from(["refuse", "allow"]))),
        "images": some(
            entry(axis=st.sampled_from(["vertical", "horizontal", "left-right", "top-bottom"]), when=texts),
            entry(whole=st.booleans(), mirror=st.booleans(), region=texts),
        ),
        "captions": some(
            entry(joiner=texts, when=texts), entry(template=st.just("{a} & {b}")), entry(forbid=st.just("x"))
        ),
        "never": some(entry(when=texts)),
        "examples": some(entry(a=sides, b=sides, allowed=st.booleans())),
    },
)


@given(rules)
def test_dumped_rules_are_the_same_rules(raw: dict[str, Any]) -> None:
    made = Rules.model_validate(raw)
    dumped = made.model_dump(mode="json", exclude_none=True)
    again = Rules.model_validate(json.loads(json.dumps(dumped)))
    assert again == made
    assert hash(again) == hash(made)
    assert again.model_dump(mode="json", exclude_none=True) == dumped


def test_where_a_rule_stands_is_no_part_of_what_it_says() -> None:
    one = Rules.model_validate(
        {"pairs": [{"forbid": "a.x = b.x", "line": 3}], "source": "one.yaml", "lines": {"pairs.0": 3}}
    )
    other = Rules.model_validate({"pairs": [{"forbid": "a.x = b.x", "line": 9}]})
    assert one == other
    assert one.model_dump() == other.model_dump()
    assert not {"line", "lines", "source"} & set(json.dumps(one.model_dump()).replace('"', " ").split())
    assert one != Rules.model_validate({"pairs": [{"require": "a.x = b.x"}]})


def test_places_name_file_and_line_or_what_there_is() -> None:
    lines = {"pairs.0": 7, "pairs.0.require": 8, "fields.side": 3}
    rules = Rules(name="chest", source="chest.yaml", lines=lines, pairs=(PairRule(require="x"),))
    assert rules.place("pairs", 0) == "chest.yaml, line 7"
    assert rules.place("pairs", 0, "require") == "chest.yaml, line 8"
    assert rules.place("pairs", 0, "why") == "chest.yaml, line 7"
    assert rules.place("fields", "side") == "chest.yaml, line 3"
    assert rules.place("never", 1) == "rules 'chest', never 2"
    assert Rules(name="chest").place("fields", "side") == "rules 'chest', fields side"


@pytest.mark.parametrize(
    ("rule", "refuses"),
    [
        ({"require": "x"}, True),
        ({"forbid": "x"}, False),
        ({"require": "x", "unknown": "allow"}, False),
        ({"forbid": "x", "unknown": "refuse"}, True),
    ],
)
def test_unknown_values(rule: dict[str, Any], refuses: bool) -> None:
    assert PairRule.model_validate(rule).refuses_unknown is refuses
    assert PairRule.model_validate(rule).expression == "x"


def test_axes_have_two_names_each() -> None:
    def axis(name: str) -> str | None:
        return ImageRule.model_validate({"axis": name}).axis

    assert axis("vertical") == axis("left-right") == "left-right"
    assert axis("horizontal") == axis("top-bottom") == "top-bottom"


def test_one_captions_entry_may_stand_alone() -> None:
    assert Rules.model_validate({"captions": {"joiner": "; "}}) == Rules(captions=(CaptionRule(joiner="; "),))


def test_an_unknown_inline_value_is_one_that_is_not_given() -> None:
    assert Example(a={"view": None, "side": "", "age": 3}, b="k", allowed=True).a == {"age": 3}


def test_columns_are_found_by_the_first_of_their_names() -> None:
    made = Rules.model_validate(
        {"columns": {"patient": ["patient", "patient_id"], "view": "view_position", "部位": ["部位"]}}
    )
    names = ["Patient ID", "PATIENT", "ViewPosition", "caption"]
    assert made.data_columns(names) == {"patient": "PATIENT", "view": "ViewPosition", "部位": None}
    assert made.data_columns(names[:1])["patient"] == "Patient ID"


def test_reserved_words_are_those_of_the_grammar() -> None:
    import duckdb

    words = duckdb.sql(
        "select keyword_name from duckdb_keywords() where keyword_category in ('reserved', 'type_function')"
    ).fetchall()
    assert {name for (name,) in words} == RESERVED


@pytest.mark.parametrize(
    "bad",
    [
        {"pairs": [{"require": "x", "forbid": "y"}]},
        {"pairs": [{"why": "because"}]},
        {"pairs": [{"require": " "}]},
        {"images": [{"when": "x"}]},
        {"captions": [{"joiner": "x", "template": "{a}{b}"}]},
        {"captions": [{"when": "x"}]},
        {"captions": [{"forbid": "x", "when": "y"}]},
        {"captions": [{"forbid": r"\bLEFT\b"}]},
        *({"captions": [{"template": text}]} for text in ("{a}", "{a}{b}{b}", "{a} {b} {c}", "{a} {b} {", "a b")),
        *(
            {section: {name: "lower(caption)"}}
            for section in ("fields", "columns")
            for name in ("a", "B", "__x", "my side", "1st", "order", "Caption", "key", "")
        ),
        {"columns": {"side": "x"}, "fields": {"Side": "y"}},
        {"fields": {"side": "x", "SIDE": "y"}},
        {"columns": {"side": []}},
        {"examples": [{"a": "x", "b": {"y": ["z"]}, "allowed": True}]},
        {"captions": [{"joiner": "x"}] * 256},
    ],
)
def test_what_makes_no_sense_is_refused(bad: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Rules.model_validate(bad)


@pytest.mark.parametrize(
    "pattern", [r"\bleft\b.*\bright\b", r"\S+\D", r"\p{Han}", "[^A-Z]", "(?i)Left", "(?P<Side>left)"]
)
def test_patterns_without_real_capitals_pass(pattern: str) -> None:
    assert CaptionRule(forbid=pattern).forbid == pattern

from typing import Any

import pytest

from clipc.catalog.catalog import Catalog
from clipc.compose.captions.joint import Wording
from clipc.compose.rules import words
from clipc.compose.rules.check import ExampleResult, check
from clipc.compose.rules.schema import Rules
from clipc.errors import UserError

from ..pairs import catalog_of


@pytest.fixture
def films() -> Catalog:
    return catalog_of(
        [["left lung"], ["right lung", "clear"], ["clear"]],
        key=["f1", "f2", "f3"],
        view=["PA", "PA", "AP"],
        age=[40, 50, 60],
        patient_id=["p1", "p2", "p2"],
    )


def checked(catalog: Catalog, *examples: tuple[Any, Any, bool], **more: Any) -> list[ExampleResult]:
    given = [{"a": a, "b": b, "allowed": allowed} for a, b, allowed in examples]
    rules = {
        "columns": {"patient": ["patient", "patient_id"], "dose": ["dose"]},
        "fields": {"side": r"regexp_extract(caption, '\b(left|right)\b', 1)"},
        "pairs": [
            {"require": "a.view = b.view", "why": "views differ"},
            {"forbid": "a.side <> b.side", "why": "two sides"},
            {"forbid": "a.patient = b.patient"},
            {"forbid": "abs(a.age - b.age) > 30"},
        ],
        "never": [{"when": "word(caption, 'collage')", "why": "a collage"}],
        **more,
    }
    return check(Rules.model_validate({**rules, "examples": given}), catalog, Wording())


def test_keys_and_values_are_judged_as_the_rules_say(films: Catalog) -> None:
    results = checked(
        films,
        ("f1", "f2", True),  # f2 may be shown as "clear"
        ("f1", "f3", False),
        ("f2", "f3", False),
        ({"view": "PA", "caption": "left effusion"}, {"view": "PA", "caption": "right effusion"}, False),
        ({"view": "PA", "caption": "left"}, {"view": "PA", "caption": "left"}, True),
        ("f1", {"view": "PA", "caption": "left", "patient": "p1"}, False),
        ({"view": "PA", "age": 20}, {"view": "PA", "age": 60}, False),
        ({"view": "PA", "caption": "a collage"}, {"view": "PA"}, False),
        ({"caption": "left"}, {"caption": "left"}, False),
    )
    assert [one.as_expected for one in results] == [True] * 9
    assert results[1].reasons == ("require: a.view = b.view (views differ)",)
    assert results[3].reasons == ("forbid: a.side <> b.side (two sides)",)
    assert results[5].reasons == ("forbid: a.patient = b.patient",)
    assert "a collage" in results[7].reasons[0]


def test_an_expert_who_expects_otherwise_is_told(films: Catalog) -> None:
    (one,) = checked(films, ("f1", "f3", True))
    assert not one.as_expected
    assert not one.allowed


def test_axes_that_cross_are_a_reason(films: Catalog) -> None:
    axes = [{"when": "age < 45", "axis": "vertical"}, {"axis": "horizontal"}]
    (one,) = checked(films, ("f1", "f2", False), images=axes)
    assert one.as_expected
    assert "axis" in one.reasons[0]


@pytest.mark.parametrize(
    ("example", "message"),
    [
        (("f9", "f1"), r"examples 1: unknown key 'f9'; there are: f1, f2, f3"),
        (({"veiw": "PA"}, "f1"), r"examples 1: unknown column 'veiw'; did you mean 'view'"),
        (({"age": "old"}, "f1"), r"examples 1: age is 'old', but the column 'age' holds int64 values"),
    ],
)
def test_examples_that_name_nothing(films: Catalog, example: tuple[Any, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        checked(films, (*example, True))


def test_japanese_examples_are_left_out_where_their_words_cannot_be_found(
    films: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(_: str) -> list[str]:
        raise UserError("finding words in Japanese text needs SudachiPy")

    monkeypatch.setattr(words, "_morphemes", missing)
    side = {"view": "PA", "caption": "clear"}
    texts = {"clear lungs": True, "右肺": True, "a collage": False}
    results = checked(films, *((side | {"caption": text}, side, allowed) for text, allowed in texts.items()))
    assert [result.allowed for result in results] == [True, False]
    assert all(result.as_expected for result in results)

"""The headline: the words for each outcome, in an experiment with one arm under test."""

from typing import Any

import pytest

from clipc.report.sections.headline import glances, headline_words
from clipc.report.words import words
from report.example import concluded, pilot_example, with_few_captions

SAY = words("en")
N, G, L = "no evidence", "gain", "loss"


def tables(effect: list[str], control: list[str] | None = None, over: list[str] | None = None) -> dict[str, Any]:
    """A pilot of which only the verdicts matter: CLIP-C to CLIP, control to CLIP, CLIP-C to control."""
    rows = [("clip-c", "clip", effect), ("augment", "clip", control or []), ("clip-c", "augment", over or [])]
    keys = [f"m{i}" for i in range(len(effect))]
    data = {
        "source": {"generated": False},
        "baseline": "clip",
        "controls": ["augment"] if control else [],
        "sizes": [100],
        "planned": 9,
        "finished": 9,
        "arms": [{"name": name} for name in ("clip", "augment", "clip-c") if name != "augment" or control],
        "metrics": [{"key": key, "main": True, "ceiling": None, "unit": "share"} for key in keys],
        "comparisons": [
            {
                "metric": f"m{i}", "arm": arm, "against": against, "size": 100, "verdict": said,
                "difference": 0.03, "interval": [0.01, 0.05], "both": [0.005, 0.055], "per_seed": [],
            }
            for arm, against, all_said in rows
            for i, said in enumerate(all_said)
        ],
    }  # fmt: skip
    return concluded(data)


@pytest.mark.parametrize(
    ("effect", "control", "over", "badge", "said", "more"),
    [
        ([G, G], [N, N], [G, G], "gain", "better than clip on all 2", "speaks for composing"),
        ([G, N], [N, N], [G, N], "gain", "on 1 of 2", "speaks for composing"),
        ([G, G], [G, N], [N, G], "gain", "all 2", "holds in 1 of 2 cases"),
        ([G, G], [G, G], [N, N], "shared", "all 2", "is not a gain of composition"),
        ([G, G], [N, N], [N, N], "uncontrolled", "all 2", "is not a gain of composition"),
        ([G, N], None, None, "uncontrolled", "on 1 of 2", "No control was run"),
        ([G], [N], [G], "gain", "the one main metric", "speaks for composing"),
        ([L, N], [N, N], [N, N], "loss", "worse than clip on 1 of 2", "No control gains over clip"),
        ([L, L], [L, N], [N, N], "loss", "worse than clip on all 2", "No control gains over clip"),
        ([G, L], [N, N], [G, L], "mixed", "better than clip on 1 of 2 main metrics, and worse on 1", "speaks for"),
        ([N, N], [N, N], [N, N], "none", "no evidence", "No control gains over clip"),
        ([N, N], [G, N], [N, N], "none", "no evidence", "gain over clip as well: augment"),
        ([N, N], None, None, "none", "no evidence", "No control was run"),
        ([], None, None, "unknown", "No result yet", "No control was run"),
    ],
)
def test_outcomes(effect: Any, control: Any, over: Any, badge: str, said: str, more: str) -> None:
    verdict = headline_words(tables(effect, control, over), SAY)
    assert verdict.badge == (badge, SAY(f"study.class.{badge}"))
    assert said in verdict.sentence
    assert more in " ".join(verdict.more)


def test_a_gain_at_several_sizes_is_counted_in_comparisons() -> None:
    data = tables([G, N])
    data["sizes"] = [50, 100]
    assert "1 of 2 comparisons on main metrics" in headline_words(data, SAY).sentence


def test_what_could_not_have_been_seen_is_said() -> None:
    assert any("is 2.5 points" in text for text in headline_words(tables([N, N]), SAY).limitations)


def test_generated_images_are_said_to_be() -> None:
    limitations = headline_words(pilot_example(generated=True), SAY).limitations
    assert any("drawn by a program" in text for text in limitations)


def test_main_metrics_stand_at_a_glance_where_one_arm_is_under_test() -> None:
    data = pilot_example()
    shown = glances(data, SAY)
    assert [g["key"] for g in shown] == [m["key"] for m in data["metrics"] if m["main"]]
    assert all(g["before"].endswith("%") and g["comparison"]["difference"] > 0 for g in shown)
    another = {**data["arms"][-1], "name": "another"}
    assert glances(concluded({**data, "arms": [*data["arms"], another]}), SAY) == []
    assert glances({**data, "sizes": [100, 1680]}, SAY) == []


def test_very_few_test_pairs_are_named_in_the_headline() -> None:
    data = tables([N])
    code = {"code": "small-test-set", "split": "test", "n": 24, "few": True}
    data["not_shown"] = ["no-labels", code]
    assert any("The test split has only 24 pairs" in sentence for sentence in headline_words(data, SAY).limitations)
    data["not_shown"] = [code | {"n": 240, "few": False}]
    assert not any("test split" in sentence for sentence in headline_words(data, SAY).limitations)


def test_few_captions_are_said_beside_the_metric_that_comes_first() -> None:
    assert not any("distinct" in text for text in headline_words(pilot_example(), SAY).more)
    data = with_few_captions(pilot_example())
    assert [g["ceiling"] for g in glances(data, SAY)] == [None, None]
    said = headline_words(data, SAY).more[-1]
    assert said.startswith("Few captions are distinct (21 of 1,210 in the test split)")
    assert said.endswith(
        "a ceiling of 26.9%. “Mean recall, both directions, equal captions right” is not limited in this way."
    )
    assert headline_words(data, SAY).sentence == headline_words(pilot_example(), SAY).sentence
    data["few_captions"] |= {"ceiling": 1.0, "class_names": True}
    assert "made from class names" in headline_words(data, SAY).more[-1]
    strict = with_few_captions(pilot_example())
    for metric in strict["metrics"]:
        metric["main"] = metric["key"] == "retrieval/mean_recall"
    assert "read the metrics that count equal captions as right" in headline_words(strict, SAY).more[-1]

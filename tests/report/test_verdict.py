"""The verdict: what is said for each outcome, above all what is not said."""

from typing import Any

import pytest

from clipc.report.verdict import verdict
from clipc.report.words import words
from report.example import pilot_example

SAY = words("en")


def tables(effect: list[str], control: list[str] | None = None, over: list[str] | None = None) -> dict[str, Any]:
    """A pilot of which only the verdicts matter: CLIP-C to CLIP, control to CLIP, CLIP-C to control."""
    rows = [("clip-c", "clip", effect), ("augment", "clip", control or []), ("clip-c", "augment", over or [])]
    return {
        "source": {"generated": False},
        "arms": [{"name": name} for name in ("clip", "augment", "clip-c") if name != "augment" or control],
        "metrics": [{"key": f"m{i}", "main": True, "unit": "share"} for i in range(len(effect))],
        "comparisons": [
            {
                "metric": f"m{i}", "arm": arm, "against": against, "verdict": said,
                "difference": 0.03, "interval": [0.01, 0.05], "test_error": 0.01, "per_seed": [],
            }
            for arm, against, all_said in rows
            for i, said in enumerate(all_said)
        ],
    }  # fmt: skip


N, G, L = "no evidence", "gain", "loss"


@pytest.mark.parametrize(
    ("effect", "control", "over", "badge", "said", "of_control"),
    [
        ([G, G], [N, N], [G, G], "gain", "better than CLIP on all 2", "speaks for composing"),
        ([G, N], [N, N], [G, N], "gain", "on 1 of 2", "speaks for composing"),
        ([G, G], [G, N], [N, G], "gain", "all 2", "holds on 1 of these 2"),
        ([G, G], [G, G], [N, N], "gain_unconfirmed", "all 2", "is not a gain of composition"),
        ([G, G], [N, N], [N, N], "gain_unconfirmed", "all 2", "is not a gain of composition"),
        ([G, N], None, None, "gain_uncontrolled", "on 1 of 2", "was not run"),
        ([G], [N], [G], "gain", "the one main measure", "speaks for composing"),
        ([L, N], [N, N], [N, N], "loss", "worse than CLIP on 1 of 2", "of a difference from CLIP."),
        ([L, L], [L, N], [N, N], "loss", "worse than CLIP on all 2", "did worse than CLIP on 1 of 2"),
        ([G, L], [N, N], [G, L], "mixed", "better than CLIP on 1 and worse on 1", "speaks for composing"),
        ([N, N], [N, N], [N, N], "none", "no evidence", "no evidence of a difference from CLIP either"),
        ([N, N], [G, N], [N, N], "none", "no evidence", "did better than CLIP on 1 of 2"),
        ([N, N], None, None, "none", "no evidence", "was not run"),
        ([], None, None, "unknown", "cannot tell", "was not run"),
    ],
)
def test_outcomes(effect: Any, control: Any, over: Any, badge: str, said: str, of_control: str) -> None:
    found = verdict(tables(effect, control, over), SAY)
    assert found.badge == badge
    assert said in found.headline
    assert of_control in found.control


def test_only_main_metrics_count() -> None:
    data = tables([G, N])
    data["metrics"][0]["main"] = False
    assert verdict(data, SAY).badge == "none"


def test_a_gain_on_other_measures_than_the_controls_is_not_confirmed() -> None:
    assert verdict(tables([G, N], [N, N], [N, G]), SAY).badge == "gain_unconfirmed"


def test_what_could_not_have_been_seen_is_said() -> None:
    assert any("reach 2.0 points" in text for text in verdict(tables([N, N]), SAY).cautions)


def test_generated_pictures_are_said_to_be() -> None:
    assert any("drawn by a program" in text for text in verdict(pilot_example(generated=True), SAY).cautions)


def test_comparisons_without_a_verdict_decide_nothing() -> None:
    data = tables([N])
    data["comparisons"][0] |= {"verdict": None, "interval": None, "test_error": None}
    assert verdict(data, SAY).badge == "unknown"

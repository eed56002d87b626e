import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from clipc.errors import UserError
from clipc.study.pilot import rollout
from clipc.study.pilot.options import PilotOptions


def test_a_step_takes_the_next_share_with_the_winner_and_the_rules(
    pilot_options: PilotOptions, done: tuple[Path, dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "pilot"
    shutil.copytree(done[0], folder)
    asked: list[PilotOptions] = []
    outcome = {"meaning": {}, "bias_gate": {}, "verdict": {"arms": {"clip-c-guarded": "none"}}}

    def run(given: PilotOptions, *_: Any, **__: Any) -> dict[str, Any]:
        asked.append(given)
        return outcome

    monkeypatch.setattr(rollout, "run_pilot", run)
    monkeypatch.setattr(rollout, "LEAST_STEP_PAIRS", 10)
    catalog = pilot_options.data.open()
    step = rollout.next_step(pilot_options, folder, catalog=catalog, approved_by="expert")["steps"][-1]
    assert (step["share"], step["pairs"], step["passed"], step["approved_by"]) == (0.3, 12, True, "expert")
    assert (asked[0].arms, asked[0].data.pairs) == (("clip", "clip-c-guarded"), 12)
    other = replace(pilot_options, overrides=(*pilot_options.overrides, "policy.rules=factory"))
    with pytest.raises(UserError, match="the rules are not those that the pilot ran under"):
        rollout.next_step(other, folder, catalog=catalog, approved_by="expert")
    outcome["bias_gate"] = {"amplified": 2}
    assert rollout.next_step(pilot_options, folder, catalog=catalog, approved_by="x")["steps"][-1]["code"] == "bias"
    with pytest.raises(UserError, match="the step of 100% failed"):
        rollout.next_step(pilot_options, folder, catalog=catalog, approved_by="x")
    with pytest.raises(UserError, match="there is no finished pilot"):
        rollout.next_step(pilot_options, tmp_path / "other", catalog=catalog, approved_by="x")


@pytest.mark.parametrize(
    ("verdict", "passed"), [("gain", True), ("none", True), ("loss", False), ("mixed", False), ("waiting", False)]
)
def test_no_evidence_is_no_failure_and_a_loss_is(verdict: str, passed: bool) -> None:
    assert rollout.judged({"verdict": {"arms": {"a": verdict}}}, "a")["passed"] is passed

"""The prompts of a study are one set for all trials, whatever the trials show."""

from typing import Any

import pytest

from clipc.catalog.catalog import Catalog
from clipc.evaluate.prompts import TEMPLATE_SETS
from clipc.study import trials
from clipc.study.design import Study
from clipc.study.pilot.design import pilot_study
from clipc.study.pilot.options import PilotOptions
from clipc.study.run import evaluation_options


def study(**fields: object) -> Study:
    return Study.model_validate({"name": "x", "arms": {"clip": None, "clip-c": None}, **fields})


def test_auto_is_the_general_set_and_a_named_one_stays() -> None:
    assert evaluation_options(study()) == evaluation_options(study(templates="general"))
    for name in TEMPLATE_SETS:
        assert evaluation_options(study(templates=name)).templates == name
    assert evaluation_options(pilot_study(PilotOptions())).templates == "general"


def test_no_trial_chooses_its_templates(tiny_catalog: Catalog, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []
    monkeypatch.setattr(trials, "evaluate", lambda *_, templates, **__: asked.append(templates))
    model: Any = object()
    for one in (study(), study(templates="factory")):
        evaluation_options(one).evaluate(model, tiny_catalog)
    assert asked == ["general", "factory"]

"""A study on kept features computes them once, before its trials; a trial ends as on pixels."""

from pathlib import Path
from typing import Any

import pytest

from clipc.catalog.catalog import Catalog
from clipc.errors import UserError
from clipc.models.model import ClipModel
from clipc.study.design import Study
from clipc.study.run import finished_trials, plan_study, run_and_record, run_pending

from .in_process import in_process


@pytest.fixture
def study(cnn_folder: str, tmp_path: Path) -> Study:
    settings: dict[str, Any] = {
        "model": cnn_folder,
        "renderer": "features",
        "tune": {"image": 1, "text": 1},
        "precision": "fp32",
        "batch_size": 8,
        "samples": 64,
        "threads": 1,
        "validations": 1,
        "device": "cpu",
    }
    return Study.model_validate(
        {
            "name": "kept",
            "data": {"source": "demo", "cache": str(tmp_path / "cache")},
            "recipe": "nano",
            "set": settings,
            "sizes": [16, "all"],
            "seeds": 1,
            "arms": {"clip": {"policy.rho": 0}, "composed": {"policy.rho": 0.5}},
        }
    )


def test_features_are_computed_before_the_trials_and_never_in_them(
    study: Study, tiny_catalog: Catalog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    counts, encode = list[int](), ClipModel.pooled_images

    def count(self: ClipModel, images: Any) -> Any:
        counts.append(len(images))
        return encode(self, images)

    before = list[int]()

    def task(*arguments: Any) -> None:
        before.append(sum(counts))
        run_and_record(*arguments)

    monkeypatch.setattr(ClipModel, "pooled_images", count)
    monkeypatch.setattr("clipc.study.run.run_and_record", task)
    planned = plan_study(study, tiny_catalog, tmp_path / "study", tmp_path / "records")
    with in_process():
        run_pending(study, planned, jobs=1)
    finished = finished_trials(study, planned)
    assert len(finished) == len(planned) == 4
    assert before[0] >= 60 + 3 * 40 * 3
    # A trial encodes nothing but blank images, which show the width, and 64 composites that are compared once.
    assert sum(counts) - before[0] <= 2 * 64 + 40


def test_a_trained_trunk_stops_the_study_before_its_trials(study: Study, tiny_catalog: Catalog, tmp_path: Path) -> None:
    free = study.model_copy(update={"set": {**study.set, "tune": {"text": 1}}})
    planned = plan_study(free, tiny_catalog, tmp_path / "study", tmp_path / "records")
    with pytest.raises(UserError, match="needs an image tower that is locked"):
        run_pending(free, planned, jobs=1)


def test_an_arm_that_has_no_features_stops_the_study_before_its_trials(
    study: Study, tiny_catalog: Catalog, tmp_path: Path
) -> None:
    with_layout = study.model_copy(
        update={"arms": {**study.arms, "cutmix": {"policy.rho": 0.5, "policy.layout": "cutmix"}}}
    )
    planned = plan_study(with_layout, tiny_catalog, tmp_path / "study", tmp_path / "records")
    with pytest.raises(UserError, match=r"policy\.layout=cutmix has none"):
        run_pending(with_layout, planned, jobs=1)

import shutil
from pathlib import Path
from typing import Any

import pytest

from clipc.catalog.catalog import Catalog
from clipc.catalog.open import open_catalog
from clipc.errors import UserError
from clipc.study.checks import check_arms
from clipc.study.design import Study
from clipc.study.study import run_study


def asked(model: str, last: dict[str, Any], **more: Any) -> Study:
    """A study whose last arm is given."""
    arms = {"clip": {"policy.rho": 0}, "last": last}
    shared = {"model": model, "batch_size": 8, "samples": 160}
    return Study.model_validate({"name": "tiny", "recipe": "nano", "set": shared, "arms": arms, **more})


@pytest.mark.parametrize(
    ("last", "more", "told"),
    [
        ({"model": "runs/none"}, {}, "arm 'last': there is no model folder runs/none"),
        ({"model": "smal"}, {}, r"arm 'last': unknown model 'smal'; did you mean 'small'\?"),
        ({"model": "ViT-B-32", "pretrained": "none.pt"}, {}, "arm 'last': there is no weights file none.pt"),
        (
            {"batch_size": 32},
            {"sizes": [16, "all"]},
            "arm 'last': .* 16 training pairs, fewer than one batch of 32; set batch_size=4",
        ),
        ({"policy.group": "nocolumn"}, {}, "arm 'last': unknown column 'nocolumn'"),
        ({"policy.group": "nocolumn", "policy.rho": 0}, {}, "arm 'last': unknown column 'nocolumn'"),
        ({"policy": {"layout": "region", "region": "box"}}, {}, "arm 'last': unknown column 'box'"),
        ({"policy": {"partner": "nearest", "embedding": "column:vec"}}, {}, "arm 'last': unknown column 'vec'"),
        ({"policy": {"partner": "diverse", "embedding": "none"}}, {}, "'last': policy.embedding: .* model folder none"),
        (
            {"policy": {"layout": "region", "region": "auto", "reference": "none"}},
            {},
            "arm 'last': policy.reference: there is no model folder none",
        ),
        ({"policy.rules.pairs": [{"require": "a.kind = b.kind"}]}, {}, "arm 'last': .*kind"),
        ({}, {"templates": "foo"}, "^the study tiny: unknown template set 'foo'"),
    ],
)
def test_what_would_go_wrong_after_hours_is_told_at_once(
    tiny_catalog: Catalog, tiny_model: str, last: dict[str, Any], more: dict[str, Any], told: str
) -> None:
    with pytest.raises(UserError, match=told):
        check_arms(asked(tiny_model, last, **more), tiny_catalog)


def test_only_arms_that_are_going_to_train_are_asked(tiny_catalog: Catalog, tiny_model: str) -> None:
    wrong = asked(tiny_model, {"model": "runs/none"})
    assert list(check_arms(wrong, tiny_catalog, {"clip"})) == ["clip"]
    assert not check_arms(wrong, tiny_catalog, ())


def test_mistakes_of_the_file_are_told_before_the_data_are_read(tiny_model: str, tmp_path: Path) -> None:
    wrong = asked(tiny_model, {"policy.rho": 2}, data={"source": "none.csv"})
    with pytest.raises(UserError, match=r"arm 'last': .*policy.rho"):
        run_study(wrong, tmp_path)


def test_pictures_networks_and_neighbours_are_left_alone(
    tiny_source: Path, tiny_model: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    copy = shutil.copytree(tiny_source.parent, tmp_path / "copy")
    catalog = open_catalog(copy / tiny_source.name)
    shutil.rmtree(copy)

    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("asked for more than names")

    for name in (
        "clipc.prepare.plans.neighbours",
        "clipc.prepare.vectors.partner_vectors",
        "clipc.models.model_config.download_pretrained_from_hf",
        "open_clip.download_pretrained",
    ):
        monkeypatch.setattr(name, refuse)
    for changes in (
        {"policy.group": "label", "policy.partner": "nearest"},
        {"model": "hf-hub:someone/something"},
        {"model": "ViT-B-32", "pretrained": "laion2b_s34b_b79k"},
    ):
        assert list(check_arms(asked(tiny_model, changes), catalog)) == ["clip", "last"]

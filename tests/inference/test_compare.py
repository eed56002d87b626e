"""A comparison says plainly which model is better, and names the classes that got worse."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch

from clipc.catalog.catalog import Catalog
from clipc.cli import main
from clipc.errors import UserError
from clipc.inference.compare import CompareOptions, compare_models, outcome
from clipc.inference.used_model import UsedModel
from clipc.report.sections.use import compare_sentences, threshold_sentences
from clipc.report.use import render_use
from clipc.report.words import words


@pytest.fixture(scope="module")
def tested(tiny_catalog: Catalog) -> Catalog:
    """The tiny set, on whose training split no run is known to be trained: 40 test and 20 validation pairs."""
    split = ["test" if i < 40 else "val" for i in range(60)]
    column = tiny_catalog.table.schema.get_field_index("split")
    table = tiny_catalog.table.set_column(column, "split", pa.array(split))
    return replace(tiny_catalog, table=table, fingerprint="other")


@pytest.fixture(scope="module")
def model(used: UsedModel) -> UsedModel:
    return replace(used, run=None)


@pytest.fixture(scope="module")
def blind(tiny_run: Path) -> UsedModel:
    """The same model, but what it sees of red is turned to blue: worse for one class alone."""
    spoilt = UsedModel.open(str(tiny_run))
    encode = spoilt.clip.encode_image

    def without_red(images: torch.Tensor) -> torch.Tensor:
        is_red = (images[..., 0].float().mean((1, 2)) > 150) & (images[..., 1].float().mean((1, 2)) < 100)
        return encode(torch.where(is_red[:, None, None, None], images.flip(-1), images))

    spoilt.clip.encode_image = without_red  # pyright: ignore
    return replace(spoilt, run=None, fingerprint="blind to red")


def test_a_model_that_is_worse_for_one_class_is_named_with_it(
    model: UsedModel, blind: UsedModel, tested: Catalog
) -> None:
    tables = compare_models(model, blind, tested, CompareOptions(accuracy=0.8))
    assert tables["worse"] == ["red"]
    assert tables["lost"] >= 9
    assert tables["classes"][0]["name"] == "red"
    assert {row["change"] for row in tables["classes"][1:]} == {"unclear"}
    assert {row["label"] for row in tables["examples"]} == {"red"}
    assert all(row["image"].startswith("data:image/jpeg") for row in tables["examples"])
    json.dumps(tables, allow_nan=False)
    first, second, *_ = compare_sentences(tables, words("en"))
    assert first in ("The new model is worse. Keep the old one.", "No difference is proved between the two models.")
    assert "worse: red" in second
    for lang in ("en", "ja"):
        page = render_use(tables, lang=lang)
        assert page.count("data:image/jpeg") == len(tables["examples"])
        for sentence in (*compare_sentences(tables, words(lang)), *threshold_sentences(tables, words(lang))):
            assert sentence in page.replace("&#39;", "'").replace("&#34;", '"')


def test_the_better_model_is_named_too(model: UsedModel, blind: UsedModel, tested: Catalog) -> None:
    tables = compare_models(blind, model, tested)
    assert tables["worse"] == []
    assert tables["gained"] >= 9
    assert [row["name"] for row in tables["classes"] if row["change"] == "better"] == ["red"]


def test_a_model_equals_itself(model: UsedModel, tested: Catalog) -> None:
    tables = compare_models(model, model, tested)
    assert tables["outcome"] == "no evidence"
    assert (tables["lost"], tables["gained"], tables["worse"]) == (0, 0, [])
    assert all(row["difference"]["mean"] == 0 for row in tables["metrics"])


def test_thresholds_are_calibrated_again(model: UsedModel, blind: UsedModel, tested: Catalog) -> None:
    tables = compare_models(model, blind, tested, CompareOptions(accuracy=0.8))
    thresholds = tables["thresholds"]
    assert thresholds["n"] == 20
    assert thresholds["kept"]["answered"]["n"] == 20
    assert threshold_sentences(tables, words("en"))


def test_images_that_a_model_was_trained_on_are_left_out(used: UsedModel, tested: Catalog) -> None:
    with pytest.raises(UserError, match="among those that a model was trained on"):
        compare_models(used, used, tested)  # its test split is what the run was trained on
    rows = np.flatnonzero(tested.split_names == "test")
    mixed = tested.table.set_column(
        tested.table.schema.get_field_index("split"),
        "split",
        pa.array(["test" if i >= 30 else "train" for i in range(len(tested))]),
    )
    tables = compare_models(used, used, replace(tested, table=mixed))
    assert tables["seen"] == 10
    assert tables["n"] == 20
    assert len(rows) == 40


def test_without_labels_classes_are_not_compared(model: UsedModel, tested: Catalog) -> None:
    bare = replace(tested, about=replace(tested.about, label_columns=()))
    tables = compare_models(model, model, bare)
    assert (tables["classes"], tables["thresholds"]) == ([], None)
    assert words("en")("use.compare.no_labels") in compare_sentences(tables, words("en"))


def test_an_unknown_split_is_a_sentence(model: UsedModel, tiny_catalog: Catalog) -> None:
    with pytest.raises(UserError, match="has no holdout split"):
        compare_models(model, model, tiny_catalog, CompareOptions(split="holdout"))


@pytest.mark.parametrize(
    ("ends", "verdict"),
    [
        ([(0.01, 0.02)], "better"),
        ([(-0.02, -0.01), (-1, 1)], "worse"),
        ([(0.01, 0.02), (-0.02, -0.01)], "mixed"),
        ([(-1, 1), (None, None), (0, 0)], "no evidence"),
    ],
)
def test_the_outcome_follows_from_the_intervals(ends: list[tuple[Any, Any]], verdict: str) -> None:
    assert outcome([{"low": low, "high": high} for low, high in ends]) == verdict


def test_the_command_writes_pages(
    capsys: pytest.CaptureFixture[str], tiny_run: Path, tiny_source: Path, tmp_path: Path
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["compare", str(tiny_run), str(tiny_run), str(tiny_source), "--out", str(tmp_path)])
    assert ended.value.code == 0
    out = capsys.readouterr().out
    assert out.splitlines()[0] == "No difference is proved between the two models."
    assert {"compare.html", "compare.ja.html", "compare.json"} <= {path.name for path in tmp_path.iterdir()}

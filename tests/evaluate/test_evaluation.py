"""The evaluator: what it measures, what it leaves out and says so, and what it never looks at."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from clipc.errors import UserError
from clipc.evaluate.evaluation import EVALUATORS, evaluate
from clipc.evaluate.measurement import Measurement
from clipc.evaluate.probe import measure_probe
from clipc.evaluate.statistics.sampling_error import sampling_error
from clipc.evaluate.subject import Subject

from .fake import ColourModel, colour_catalog, with_label_columns

SPLITS = {"train": 32, "val": 8, "test": 12}


def test_all_figures_of_a_model_that_knows_its_colours(tmp_path: Path) -> None:
    found = evaluate(ColourModel(), colour_catalog(tmp_path, SPLITS))
    metrics = found.metrics
    assert metrics["zero_shot/label/top1"] == metrics["probe/label/all/top1"] == 1
    assert metrics["probe/label/8-shot/top1"] == 1
    assert "probe/label/16-shot/top1" not in metrics
    assert metrics["retrieval/text_equal/text_to_image/recall@1"] > metrics["retrieval/text_to_image/recall@1"]
    recall = found.measurements["retrieval/text_to_image/recall@10"]
    assert recall.chance is not None
    assert recall.value > recall.chance
    assert {name for name, one in found.measurements.items() if one.chance is None} == {
        name for name in metrics if name.endswith("median_rank")
    }
    assert found.context["columns"]["label"]["classes"] == ["blue", "dark grey", "green", "red"]
    assert found.context["columns"]["label"]["templates"] == "general"
    assert found.context["columns"]["label"]["majority"] == 0.25
    assert (found.context["images"], found.context["captions"], found.context["distinct_captions"]) == (12, 24, 16)
    assert set(found.context["not_measured"]) == {"swaps"}
    assert found.context["swaps"]["items"] == 0
    assert json.loads(json.dumps(found.context)) == found.context
    assert json.loads(json.dumps(metrics)) == metrics


def test_items_make_the_metrics_and_go_into_the_bootstrap(tmp_path: Path) -> None:
    found = evaluate(ColourModel(), colour_catalog(tmp_path, SPLITS))
    for name, one in found.measurements.items():
        if one.values is None:
            assert name.endswith("median_rank")
            continue
        assert one.values.mean() == pytest.approx(one.value, abs=1e-9)
        error = sampling_error([one.values], [0 * one.values], one.owner)
        assert error.n == 12
        assert error.mean == pytest.approx(one.value)


def test_every_metric_says_what_it_is(tmp_path: Path) -> None:
    found = evaluate(ColourModel(), colour_catalog(tmp_path, SPLITS), shots=(1,)).measurements
    main = [name for name, one in found.items() if one.default_main]
    assert main == ["retrieval/text_equal/mean_recall", "zero_shot/label/top1"]
    assert [name for name, one in found.items() if one.secondary] == ["probe/label/all/top1"]
    for name, one in found.items():
        assert one.n == (24 if "text_to_image" in name else 12)
        assert one.higher_is_better != name.endswith("median_rank")
        assert one.unit == ("ranks" if name.endswith("median_rank") else "share")
        captions = "text_to_image" in name and one.values is not None
        assert (None if one.owner is None else one.owner.tolist()) == (
            [i // 2 for i in range(24)] if captions else None
        )


def test_recall_that_counts_equal_captions_always_has_one_name(tmp_path: Path) -> None:
    catalog = colour_catalog(tmp_path, SPLITS, labelled=False)
    captions = pa.array([[f"{row} a", f"{row} b"] for row in range(len(catalog))], pa.list_(pa.string()))
    index = catalog.table.column_names.index("captions")
    distinct = replace(catalog, table=catalog.table.set_column(index, "captions", captions))
    for one, repeats in ((catalog, True), (distinct, False)):
        found = evaluate(ColourModel(), one).measurements
        assert [name for name, m in found.items() if m.default_main] == ["retrieval/text_equal/mean_recall"]
        equal, strict = found["retrieval/text_equal/mean_recall"], found["retrieval/mean_recall"]
        assert (equal.value > strict.value) == repeats
        assert ("retrieval/text_equal/text_to_image/recall@1" in found) == repeats
        assert equal.ceiling is None
        assert not any(m.secondary for m in found.values())


def test_only_the_first_label_column_is_tested(tmp_path: Path) -> None:
    catalog = colour_catalog(tmp_path, SPLITS, second=["x", "y"] * 26)
    found = evaluate(ColourModel(), with_label_columns(catalog, "second", "label"), shots=()).measurements
    assert [n for n, m in found.items() if m.default_main] == [
        "retrieval/text_equal/mean_recall",
        "zero_shot/second/top1",
    ]
    assert [n for n, m in found.items() if m.secondary] == ["probe/second/all/top1"]


def test_who_writes_an_evaluator_needs_a_function_and_no_more(tmp_path: Path) -> None:
    def brightness(subject: Subject) -> list[Measurement]:
        """How far a caption is from its image, as a made-up distance."""
        own = subject.embeddings
        distance = 1 - (own.image[own.owner] * own.text).sum(1).double().numpy()
        subject.context["not_measured"]["depth/far"] = "nobody looked"
        return [Measurement("depth/near", distance, owner=own.owner, higher_is_better=False, unit="ells")]

    catalog = colour_catalog(tmp_path, SPLITS)
    found = evaluate(ColourModel(), catalog, evaluators=(brightness, measure_probe), shots=())
    assert list(found.metrics) == ["depth/near", "probe/label/all/top1"]
    assert found.context["not_measured"] == {"depth/far": "nobody looked"}
    assert found.measurements["depth/near"].n == 24
    assert json.loads(json.dumps(found.as_json()))["descriptions"]["depth/near"]["unit"] == "ells"
    with pytest.raises(UserError, match="'depth/near' is measured twice"):
        evaluate(ColourModel(), catalog, evaluators=(*EVALUATORS, brightness, brightness))


def test_without_labels_only_retrieval_is_measured_and_that_is_told(tmp_path: Path) -> None:
    model = ColourModel()
    found = evaluate(model, colour_catalog(tmp_path, SPLITS, labelled=False))
    assert all(name.startswith("retrieval/") for name in found.metrics)
    assert set(found.context["not_measured"]) == {"swaps", "zero_shot", "probe"}
    assert model.images == 12


def test_each_split_is_encoded_once_and_only_if_needed(tmp_path: Path) -> None:
    catalog = colour_catalog(tmp_path, SPLITS, state=["ok", "bad"] * 26)
    for options, images in (({}, 52), ({"probe": False}, 20), ({"probe": False, "templates": "factory"}, 12)):
        model = ColourModel()
        evaluate(model, with_label_columns(catalog, "label", "state"), **options)
        assert model.images == images


def test_several_columns_some_of_them_of_no_use(tmp_path: Path) -> None:
    catalog = colour_catalog(
        tmp_path,
        SPLITS,
        number=[i % 2 for i in range(52)],
        one=["x"] * 52,
        many=[["x", "y"]] * 52,
        train_only=["a", "b"] * 16 + [None] * 20,
        test_only=[None] * 40 + ["a", "b"] * 6,
    )
    columns = ["number", "one", "many", "train_only", "test_only"]
    found = evaluate(ColourModel(), catalog, labels=columns)
    assert found.metrics["zero_shot/number/top1"] == pytest.approx(0.5)
    missing = found.context["not_measured"]
    assert set(missing) == {
        "swaps",
        *(f"{kind}/{column}" for kind in ("zero_shot", "probe") for column in ("one", "many", "train_only")),
        "probe/test_only",
    }
    assert "has fewer than two classes" in missing["zero_shot/one"]
    assert "test split" in missing["probe/train_only"]
    assert found.context["columns"]["test_only"]["templates"] == "general"
    assert any("test_only: no labelled validation" in note for note in found.context["notes"])


def test_nothing_is_chosen_or_learnt_on_the_images_that_are_measured(tmp_path: Path) -> None:
    catalog = colour_catalog(tmp_path, SPLITS)
    on_val = evaluate(ColourModel(), catalog, split="val").context
    assert any("choose templates" in note for note in on_val["notes"])
    assert on_val["columns"]["label"]["probe_strengths"]["all"] == [0.1]
    assert "probe/label" in evaluate(ColourModel(), catalog, split="train").context["not_measured"]


def test_own_templates_and_class_names(tmp_path: Path) -> None:
    model = ColourModel()
    names = {"label": {"r": "crimson", "g": "green"}}
    found = evaluate(
        model, colour_catalog(tmp_path, SPLITS), class_names=names, templates=["the {} one"], lang="ja", probe=False
    )
    assert found.context["columns"]["label"]["templates"] == "own"
    assert {"the crimson one", "the dark grey one", "the blue one"} <= set(model.texts)


def test_japanese_prompts(tmp_path: Path) -> None:
    model = ColourModel()
    evaluate(model, colour_catalog(tmp_path, SPLITS), lang="ja", probe=False)
    assert "redの写真" in model.texts


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"split": "tets"}, "'test'"),
        ({"labels": ["lable"]}, "'label'"),
        ({"templates": "satelite"}, "'satellite'"),
        ({"templates": ["a photo"]}, "no {}"),
        ({"lang": "fr"}, "en, ja"),
    ],
)
def test_wrong_names_are_answered_before_any_work(tmp_path: Path, options: dict[str, object], message: str) -> None:
    model = ColourModel()
    with pytest.raises(UserError, match=message):
        evaluate(model, colour_catalog(tmp_path, SPLITS), **options)  # type: ignore[arg-type]
    assert model.images == 0


def test_equal_runs_give_equal_figures(tmp_path: Path) -> None:
    catalog = colour_catalog(tmp_path, SPLITS)
    first, again = (evaluate(ColourModel(), catalog, seed=3) for _ in range(2))
    assert first.metrics == again.metrics
    assert first.context == again.context


def test_the_evaluator_of_the_guide_measures(tmp_path: Path) -> None:
    guide = (Path(__file__).parents[2] / "docs" / "extending.md").read_text("utf-8")
    written: dict[str, Any] = {}
    exec(guide.partition("cat > geometry.py <<'END'\n")[2].partition("\nEND")[0], written)
    found = evaluate(ColourModel(), colour_catalog(tmp_path, SPLITS), evaluators=[written["alignment"]])
    (one,) = found.measurements.values()
    assert (one.name, one.n, one.higher_is_better) == ("geometry/alignment", 24, False)
    assert 0 <= one.value <= 4


def test_importing_the_package_loads_no_torch() -> None:
    import subprocess
    import sys

    code = "import sys, clipc.evaluate, clipc.evaluate.statistics; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clipc.catalog.catalog import Catalog
from clipc.errors import UserError
from clipc.models.model import ClipModel
from clipc.recipe.recipe import make_recipe
from clipc.study.record import _decode, _encode, read_record, write_record  # pyright: ignore[reportPrivateUsage]
from clipc.study.results import Outcome
from clipc.study.trials import EvaluationOptions, Trial, run_trial

MEASURING = EvaluationOptions(shots=())


@pytest.fixture(scope="module")
def trial(tiny_source: Path, tiny_catalog: Catalog, tiny_model: str, tmp_path_factory: pytest.TempPathFactory) -> Trial:
    data = {"source": str(tiny_source)}
    recipe = make_recipe(
        {"data": data, "model": tiny_model, "batch_size": 8, "samples": 160, "validations": 2, "threads": 1}
    )
    trial = Trial("arm", recipe, tmp_path_factory.mktemp("record") / "trial")
    run_trial(trial, tiny_catalog, MEASURING)
    return trial


def test_a_record_tells_what_the_run_told(trial: Trial, tmp_path: Path) -> None:
    file = tmp_path / "records" / "one.json"
    write_record(trial, MEASURING, file)
    one, other = Outcome.read(trial), read_record(trial, MEASURING, file)
    assert other is not None
    assert (one.metrics, one.last_metrics) == (other.metrics, other.last_metrics)
    assert one.core_seconds == other.core_seconds
    for name, again in other.measurements.items():
        first = one.measurements[name]
        assert again.description() == first.description()
        assert (again.values is None) == (first.values is None)
        if again.values is not None and first.values is not None:
            np.testing.assert_allclose(again.values, first.values, atol=1e-3)
            np.testing.assert_array_equal(again.owner, first.owner)  # type: ignore[arg-type]
            assert again.values.mean() == pytest.approx(first.value, abs=1e-3)
    assert other.measurements["retrieval/text_equal/mean_recall"].default_main
    recall = other.measurements["retrieval/text_to_image/recall@10"]
    assert not recall.default_main
    assert recall.values is not None
    assert recall.owner is not None
    assert [r["step"] for r in other.records if "validation" in r] == [10, 20]
    assert file.stat().st_size < 20_000


def test_no_caption_and_no_path_is_in_it(trial: Trial, tiny_catalog: Catalog, tmp_path: Path) -> None:
    file = tmp_path / "one.json"
    write_record(trial, MEASURING, file)
    text = file.read_text("utf-8")
    for row in range(len(tiny_catalog)):
        assert all(caption not in text for caption in tiny_catalog.captions(row))
    assert str(tiny_catalog.root) not in text


def test_other_ways_of_measuring_do_not_count(trial: Trial, tmp_path: Path) -> None:
    file = tmp_path / "one.json"
    assert read_record(trial, MEASURING, file) is None
    write_record(trial, MEASURING, file)
    assert read_record(trial, EvaluationOptions(shots=(1,)), file) is None


@pytest.mark.parametrize("text", ["", "{}", "[]", "no json", "\0"])
def test_broken_records_are_named(trial: Trial, tmp_path: Path, text: str) -> None:
    file = tmp_path / "one.json"
    file.write_text(text)
    with pytest.raises(UserError, match=r"one\.json is not a valid record of a trial"):
        read_record(trial, MEASURING, file)
    write_record(trial, MEASURING, file)
    value = json.loads(file.read_text())
    value["items"]["values/zero_shot/label/top1"]["zlib"] = "AAAA"
    file.write_text(json.dumps(value))
    with pytest.raises(UserError, match=r"is not a valid record of a trial \(its checksum differs\)"):
        read_record(trial, MEASURING, file)
    del value["checksum"]
    file.write_text(json.dumps(value))
    with pytest.raises(UserError, match="is not a valid record"):
        read_record(trial, MEASURING, file)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"unit": 3}, "needs a str as name and unit"),
        ({"chance": "often"}, "has chance = 'often'"),
        ({"owner": "owner/9"}, "'owner/9'"),
        ({"n": 3}, "needs an array of 3 finite floats"),
        (None, "'zero_shot/label/top1'"),
    ],
)
def test_a_record_whose_metrics_are_not_described_is_named(
    trial: Trial, tmp_path: Path, change: dict[str, object] | None, message: str
) -> None:
    file = tmp_path / "one.json"
    write_record(trial, MEASURING, file)
    value = json.loads(file.read_text())
    del value["checksum"]  # as if it was written so
    if change is None:
        del value["descriptions"]["zero_shot/label/top1"]
    else:
        value["descriptions"]["zero_shot/label/top1"] |= change
    file.write_text(json.dumps(value))
    with pytest.raises(UserError, match=rf"one\.json is not a valid record of a trial \(.*{message}.*\); remove it"):
        read_record(trial, MEASURING, file)


@given(st.lists(st.sampled_from([0.0, 1.0, 0.5, 0.25]), max_size=50), st.lists(st.integers(0, 2**31 - 1), max_size=50))
def test_items_survive(shares: list[float], owners: list[int]) -> None:
    np.testing.assert_array_equal(_decode(_encode(np.array(shares, dtype=np.float64))), shares)
    np.testing.assert_array_equal(_decode(_encode(np.array(owners, dtype=np.int64))), owners)
    for large in (np.array([-3.5e5, 1e9]), np.array([2**40, -1])):
        np.testing.assert_array_equal(_decode(_encode(large)), large)


def test_a_study_measures_on_the_split_that_it_names(tiny_catalog: Catalog, tiny_model: str) -> None:
    model = ClipModel.create(tiny_model).eval()
    options = EvaluationOptions(shots=(), split="val")
    assert options.evaluate(model, tiny_catalog, probe=False).context["split"] == "val"
    assert options.as_json() != EvaluationOptions(shots=()).as_json()

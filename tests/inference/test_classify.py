"""Classes named in words, calibrated on labelled validation images."""

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from clipc.catalog.catalog import Catalog
from clipc.cli import main
from clipc.cli.classify import read_classes, read_share
from clipc.errors import UserError
from clipc.inference import calibration, classify
from clipc.inference.classify import ClassifierOptions, ClassLabels, make_classifier, measure_classifier
from clipc.inference.image_index import ImageIndex
from clipc.inference.tables import classify_tables
from clipc.report.sections.use import classify_sentences
from clipc.report.words import words


@pytest.fixture
def enough(monkeypatch: pytest.MonkeyPatch) -> None:
    """The ten validation images of the tiny set are enough to calibrate."""
    monkeypatch.setattr(calibration, "LEAST", 10)
    monkeypatch.setattr(classify, "LEAST", 10)


def run(capsys: pytest.CaptureFixture[str], *words: object) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as ended:
        main([str(word) for word in words])
    out, err = capsys.readouterr()
    return int(ended.value.code or 0), out, err


@pytest.mark.usefixtures("enough")
def test_it_is_calibrated_on_validation_and_measured_on_test(index: ImageIndex) -> None:
    model = make_classifier(index, ClassifierOptions(accuracy=0.9))
    facts = model.calibration
    assert model.names == ("blue", "green", "red", "white")
    assert (facts.n, facts.few) == (10, True)
    assert facts.accuracy is not None
    assert facts.accuracy.mean >= 0.9
    assert [row["n"] for row in facts.classes] == [2, 3, 3, 2]
    measured = measure_classifier(model, index)
    assert measured is not None
    assert measured["n"] == 10
    assert measured["accuracy"]["mean"] >= 0.9
    sentences = classify_sentences(classify_tables(model, index), words("en"))
    assert any("Calibrated on 10" in sentence for sentence in sentences)
    assert any("intervals are wide" in sentence for sentence in sentences)


def test_too_few_validation_images_calibrate_nothing(index: ImageIndex) -> None:
    model = make_classifier(index, ClassifierOptions())
    assert model.calibration.abstention is None
    assert model(index.features()).answered.all()
    sentences = classify_sentences(classify_tables(model, index), words("en"))
    assert any("Only 10 labelled validation images" in sentence for sentence in sentences)


@pytest.mark.usefixtures("enough")
def test_classes_of_the_user_are_matched_with_labels_whatever_their_case(index: ImageIndex) -> None:
    model = make_classifier(index, ClassifierOptions(classes=("Red", "WHITE")))
    assert model.names == ("Red", "WHITE")
    assert model.calibration.n < 10  # of the ten, those of both classes


def test_unknown_classes_are_not_calibrated(index: ImageIndex) -> None:
    model = make_classifier(index, ClassifierOptions(classes=("a dog", "a cat")))
    assert model.calibration.n == 0
    sentences = classify_sentences(classify_tables(model, index), words("en"))
    assert any("nothing is known about the accuracy" in sentence for sentence in sentences)


@pytest.mark.usefixtures("enough")
def test_the_data_of_the_run_calibrate_where_the_source_has_no_labels(index: ImageIndex, tiny_catalog: Catalog) -> None:
    from dataclasses import replace

    bare = replace(tiny_catalog, about=replace(tiny_catalog.about, label_columns=(), name="bare"))
    without = ImageIndex.of(index.model, bare)
    model = make_classifier(without, ClassifierOptions(), index)
    assert model.names == ("blue", "green", "red", "white")
    assert (model.calibration.n, model.calibration.source) == (10, tiny_catalog.about.name)
    with pytest.raises(UserError, match="name the classes"):
        make_classifier(without, ClassifierOptions())


@pytest.mark.usefixtures("enough")
def test_alarms(index: ImageIndex) -> None:
    model = make_classifier(index, ClassifierOptions(false_alarms=0.2, alarms=("RED",)))
    (alarm,) = model.calibration.alarms
    assert alarm.name == "red"
    raised = model(index.features()).alarms[:, 0]
    assert raised.shape == (60,)
    with pytest.raises(UserError, match="unknown class 'purple'"):
        make_classifier(index, ClassifierOptions(false_alarms=0.2, alarms=("purple",)))
    with pytest.raises(UserError, match="no class is rare"):
        make_classifier(index, ClassifierOptions(false_alarms=0.2))


def test_labels_are_found_by_readable_names(tiny_catalog: Catalog) -> None:
    labels = ClassLabels.of(tiny_catalog)
    assert labels.names == ("blue", "green", "red", "white")
    assert labels.ids[:4].tolist() == [2, 1, 0, 3]
    assert set(ClassLabels.of(tiny_catalog, ("x", "red")).ids.tolist()) == {-1, 1}


def test_one_class_is_no_classification(index: ImageIndex) -> None:
    with pytest.raises(UserError, match="two classes or more"):
        make_classifier(index, ClassifierOptions(classes=("red",)))


@pytest.mark.parametrize(("text", "value"), [("1%", 0.01), ("0.5%", 0.005), ("0.02", 0.02)])
def test_a_share(text: str, value: float) -> None:
    assert read_share(text, "--false-alarms") == pytest.approx(value)


@pytest.mark.parametrize("text", ["", "1", "0", "many", "100%", "nan", "-1%"])
def test_no_share(text: str) -> None:
    with pytest.raises(UserError, match="is no share"):
        read_share(text, "--false-alarms")


def test_classes_from_a_file_or_the_command_line(tmp_path: Path) -> None:
    (tmp_path / "classes.txt").write_text("傷\n\n へこみ \n", "utf-8")
    assert read_classes(str(tmp_path / "classes.txt")) == ("傷", "へこみ")
    assert read_classes("a, b c ,") == ("a", "b c")
    with pytest.raises(UserError, match="named twice"):
        read_classes("a,A")


def test_the_command_writes_answers_and_pages(
    capsys: pytest.CaptureFixture[str], tiny_run: Path, tiny_source: Path, tmp_path: Path
) -> None:
    code, out, _ = run(capsys, "classify", tiny_run, tiny_source, "--split", "test", "--out", tmp_path, "--json")
    assert code == 0
    tables: dict[str, Any] = json.loads(out)
    assert tables["counts"]["n"] == 10
    with (tmp_path / "classes.csv").open(encoding="utf-8-sig") as file:
        rows = list(csv.DictReader(file))
    assert [row["key"] for row in rows] == [row["key"] for row in tables["rows"]]
    for name in ("classes.html", "classes.ja.html"):
        assert (tmp_path / name).read_text("utf-8").count("data:image/jpeg") == 10
    right = np.mean([row["class"] == ["red", "blue", "green", "white"][0] for row in rows])
    assert 0 <= right <= 1
    assert run(capsys, "classify", tiny_run, tiny_source, "--alarm", "red")[0] == 2

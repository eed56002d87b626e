"""Each check on a small set that has just what it looks for, and on one that has not."""

import json
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from clipc.audit.checks.captions import alike_captions, languages
from clipc.audit.checks.classes import classes, splits
from clipc.audit.checks.context import long_captions
from clipc.audit.checks.duplicates import equal_images, near_images
from clipc.audit.checks.pixels import small_regions, small_structures, tones
from clipc.audit.checks.repeats import leaked_captions, repeated_captions
from clipc.audit.checks.shapes import shapes
from clipc.audit.doctor_data import DoctorData
from clipc.audit.doctor_finding import Finding
from clipc.catalog.open import open_catalog
from clipc.models.tokenizer import load_tokenizer
from clipc.progress import silent
from clipc.recipe.recipe import read_recipe

Make = Callable[..., DoctorData]


def image(seed: int, size: tuple[int, int] = (32, 32)) -> np.ndarray:
    """A smooth image, another for each seed."""
    coarse = np.random.default_rng(seed).integers(0, 256, (6, 6, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC))


@pytest.fixture
def make(tmp_path: Path, tiny_model: str) -> Make:
    """Makes the data of a doctor from rows, each with an ``array`` of pixels or a seed."""

    def of(rows: Iterable[dict[str, Any]], **settings: Any) -> DoctorData:
        lines: list[str] = []
        for number, row in enumerate(rows):
            fields = {"image": f"{number:03d}.png", "caption": f"a plate with number {number}", "split": "train", **row}
            pixels = fields.pop("array", None)
            Image.fromarray(image(number) if pixels is None else pixels).save(tmp_path / fields["image"])
            lines.append(json.dumps(fields))
        (tmp_path / "pairs.jsonl").write_text("\n".join(lines), "utf-8")
        recipe = read_recipe("nano", {"model": tiny_model, "batch_size": 16})
        size = settings.pop("image_size", 16)
        tokenizer = load_tokenizer(tiny_model)
        catalog = open_catalog(tmp_path / "pairs.jsonl")
        return DoctorData(catalog, recipe, tokenizer, size, settings.pop("pixels", True), silent)

    return of


def codes(findings: Iterable[Finding]) -> dict[str, Finding]:
    return {finding.code: finding for finding in findings}


def test_sound_data_have_no_findings(make: Make) -> None:
    data = make({"split": "train" if i < 40 else "test"} for i in range(60))
    for check in (equal_images, near_images, alike_captions, languages, classes, shapes, tones, small_structures):
        found = list(check(data))
        assert [f.code for f in found if f.code != "template"] == [], check


def test_copies_and_labels(make: Make) -> None:
    rows: list[dict[str, Any]] = [{"label": "ab"[i % 2]} for i in range(24)]
    rows[5] |= {"array": image(4), "caption": "a plate with number 4"}  # a copy that adds nothing, under another label
    rows[7] |= {"array": image(6), "caption": "a plate seen anew", "label": "a"}  # a copy with its own caption
    rows[9] |= {"array": image(8), "split": "test"}
    found = codes(equal_images(make(rows)))
    assert found["leaked-images"].count == 1
    assert found["leaked-images"].severity == "stop"
    assert found["leaked-images"].remove.tolist() == [8]
    assert found["leaked-images"].examples[0].rows == (8, 9)
    assert found["equal-images"].count == 2
    assert found["equal-images"].remove.tolist() == [5]
    assert found["label-conflicts"].count == 2
    assert found["label-conflicts"].examples[0].rows == (4, 5)


def test_near_copies_across_and_within_splits(make: Make) -> None:
    rows: list[dict[str, Any]] = [{} for _ in range(30)]
    for number, (source, split) in {10: (0, "train"), 11: (1, "test")}.items():
        larger = Image.fromarray(image(source)).resize((48, 48), Image.Resampling.LANCZOS)
        rows[number] = {"array": np.asarray(larger), "split": split}
    found = codes(near_images(make(rows)))
    assert found["near-images"].count == 2
    assert found["near-images"].examples[0].rows in ((0, 10), (10, 0))
    assert found["near-leaks"].count == 1
    assert found["near-leaks"].remove.tolist() == [1]
    assert found["near-leaks"].examples[0].rows == (1, 11)


@pytest.mark.parametrize(
    ("captions", "code", "severity"),
    [
        (["a photo of an images"] * 30, "constant", "stop"),
        ([f"a photo of a gear{i}" for i in range(30)], "template", "note"),
        ([f"{i}番の部品の写真" for i in range(30)], "template", "note"),
    ],
)
def test_captions_that_are_alike(make: Make, captions: list[str], code: str, severity: str) -> None:
    (finding,) = alike_captions(make({"caption": caption} for caption in captions))
    assert (finding.code, finding.severity) == (code, severity)


def test_another_language(make: Make) -> None:
    rows = [{"caption": f"歯車の写真{i}"} for i in range(28)] + [{"caption": f"a gear number {i}"} for i in range(2)]
    (finding,) = languages(make(rows))
    assert finding.count == 2
    assert finding.severity == "warning"
    assert finding.values["most"] == "ja"


def test_repeated_captions_and_their_false_negatives(make: Make) -> None:
    rows = [{"caption": "a gear on a table" if i < 10 else f"plate {i} on a shelf"} for i in range(40)]
    (finding,) = repeated_captions(make(rows))
    assert finding.count == 9
    assert finding.values["most"] == 10
    assert finding.values["false_negatives"] == pytest.approx(15 * 90 / (40 * 39), abs=1e-3)
    assert finding.examples[0].count == 10


def test_captions_made_from_class_names_are_one_note(make: Make) -> None:
    rows = [
        {"caption": f"a photo of {('scratches', 'crazing')[i % 2]}", "split": ("train", "test")[i > 30]}
        for i in range(40)
    ]
    data = make(rows)
    checks = (alike_captions, repeated_captions, leaked_captions)
    assert {f.code for check in checks for f in check(data)} == {"template", "repeated-captions", "leaked-captions"}
    about = replace(data.catalog.about, class_captions=True)
    made = replace(data, catalog=replace(data.catalog, about=about))
    (finding,) = (f for check in checks for f in check(made))
    assert (finding.code, finding.severity, finding.count) == ("class-captions", "note", 40)
    assert finding.values == {"distinct": 2}
    assert [example.count for example in finding.examples] == [20, 20]


def test_leaked_captions(make: Make) -> None:
    rows: list[dict[str, Any]] = [
        {"caption": f"A part with number {i} lies on a green mat beside the ruler."} for i in range(30)
    ]
    rows += [
        {"caption": "a part with number 3 lies on a green mat beside the ruler", "split": "test"},
        {"caption": "A part with number 77 lies on a green mat beside the ruler.", "split": "test"},
        {"caption": "Something else entirely", "split": "test"},
        {"caption": "A bridge over water", "split": "test"},
    ]
    (finding,) = leaked_captions(make(rows))
    assert finding.count == 1
    assert finding.total == 4
    assert finding.severity == "warning"
    assert finding.values["near"] == pytest.approx(0.25)
    assert finding.examples[0].rows == (3, 30)


def test_captions_longer_than_the_context(make: Make) -> None:
    rows = [
        {"caption": f"a plate with number {i}" + " and a long scratch at the left" * (8 * (i < 3))} for i in range(30)
    ]
    found = codes(long_captions(make(rows)))
    assert found["long-captions"].count == 3
    assert found["long-captions"].values["limit"] == 30
    assert found["long-captions"].values["longest"] > 30


def test_classes_and_splits(make: Make) -> None:
    labels = ["gear"] * 250 + ["bolt"] * 11 + ["nut"] * 3
    rows: list[dict[str, Any]] = [{"label": label, "array": image(i % 9, (8, 8))} for i, label in enumerate(labels)]
    rows += [{"label": "pipe", "split": "test"} for _ in range(4)]
    data = make(rows)
    found = codes(classes(data))
    assert found["unseen-classes"].examples[0].text == "pipe"
    assert found["rare-classes"].examples[0].text == "nut"
    assert found["imbalance"].values["ratio"] == pytest.approx(250 / 11, abs=0.1)
    sizes = codes(splits(data))
    assert sizes["small-test"].severity == "warning"
    assert sizes["small-test"].values["points"] == 49


def test_numbered_classes(make: Make) -> None:
    found = codes(classes(make({"label": str(i % 2)} for i in range(20))))
    assert found["numeric-classes"].values["column"] == "label"


def test_long_small_and_tiny_images(make: Make) -> None:
    rows: list[dict[str, Any]] = [{"array": image(i, (100, 40))} for i in range(5)]
    rows += [{"array": image(i, (20, 20))} for i in range(5, 12)] + [{"array": image(20, (4, 4))}]
    found = codes(shapes(make(rows, image_size=32)))
    assert found["cut-images"].count == 5
    assert found["cut-images"].severity == "warning"
    assert found["cut-images"].values["worst"] == pytest.approx(0.6)
    assert found["small-images"].count == 7
    assert found["tiny-images"].count == 1


def test_dark_light_and_blank_images(make: Make) -> None:
    dark = [{"array": (np.random.default_rng(i).integers(0, 4096, (24, 24))).astype(np.uint16)} for i in range(8)]
    ordinary: list[dict[str, Any]] = [{} for _ in range(8)]
    ordinary[2] = {"array": np.full((24, 24, 3), 77, np.uint8)}
    found = codes(tones(make([*dark, *ordinary])))
    assert found["dark-set"].count == 8
    assert found["dark-set"].values == {"kind": "uint16", "reached": pytest.approx(15, abs=1)}
    assert [example.rows for example in found["blank-images"].examples] == [(10,)]
    light = codes(tones(make({"array": 230 + image(i) // 16} for i in range(8))))
    assert light["light-set"].severity == "stop"


def test_regions_and_structures_that_are_too_small(make: Make) -> None:
    generator = np.random.default_rng(0)
    rows: list[dict[str, Any]] = []
    for i in range(10):
        plate = np.clip(generator.normal(120, 4, (200, 200, 3)), 0, 255).astype(np.uint8)
        x, y = int(generator.integers(20, 170)), int(generator.integers(20, 170))
        plate[y : y + 8, x : x + 8] = 30
        rows.append({"array": plate, "bbox": [x, y, x + 8, y + 8] if i else [0, 0, 100, 100]})
    data = make(rows)
    (regions,) = small_regions(data)
    assert regions.count == 9
    assert regions.total == 10
    assert regions.values["extent"] == pytest.approx(8 * 16 / 200, abs=0.1)
    assert regions.values["needed"] >= 16 * 8 * 200 // (8 * 16)
    found = codes(small_structures(data))
    assert found["small-structures"].count >= 8
    assert found["small-structures"].severity == "warning"


def test_without_pixels_nothing_is_looked_at(make: Make) -> None:
    data = make(({} for _ in range(12)), pixels=False)
    assert list(tones(data)) == []
    assert list(small_structures(data)) == []

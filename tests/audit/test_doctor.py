import json
from pathlib import Path
from typing import Any

import pytest

from audit.damaged import constant_copy, damaged_copy, sound_copy
from clipc.audit.doctor import doctor, kept_keys, stops, without_images
from clipc.catalog.catalog import Catalog
from clipc.catalog.open import open_catalog
from clipc.recipe.recipe import Data, read_recipe


@pytest.fixture(scope="module")
def sound(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return sound_copy(open_catalog(shared_data / "rsicd"), tmp_path_factory.mktemp("sound") / "set")


def examined(source: Path, **options: Any) -> tuple[Catalog, dict[str, Any]]:
    catalog = Data(source=str(source)).open()
    return catalog, doctor(catalog, speed=False, **options)


def by_code(tables: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {finding["code"]: finding for finding in tables["findings"]}


def test_all_that_was_planted_is_found_and_nothing_else(sound: Path, tmp_path: Path) -> None:
    _, before = examined(sound)
    damaged, planted = damaged_copy(sound, tmp_path / "damaged")
    catalog, after = examined(damaged)
    counts = {code: finding["count"] for code, finding in by_code(after).items()}
    assert {code: counts.get(code) for code in planted} == planted
    # What hides behind another finding: a dark image of 16 bits is small, and long captions repeat their words.
    assert counts.keys() - planted.keys() <= by_code(before).keys() | {"long-composites"}, counts
    assert not planted.keys() & by_code(before).keys()
    for finding in after["findings"]:
        assert 0 < finding["count"] <= finding["total"]
        assert len(finding["examples"]) <= 20
    assert json.loads(json.dumps(after)) == after

    cleaned = kept_keys(catalog, after)
    removed = {row["key"]: row["code"] for row in after["removed"]}
    assert len(cleaned) + len(removed) == len(catalog)
    assert sum(code == "leaked-images" for code in removed.values()) == 5
    assert sum(code == "near-leaks" for code in removed.values()) == 5
    assert sum(code == "mirrored-leaks" for code in removed.values()) == 3
    keys = tmp_path / "keys.csv"
    keys.write_text("key\n" + "\n".join(cleaned), "utf-8")
    again = by_code(doctor(Data(source=str(damaged), keys=keys).open(), speed=False))
    gone = {"leaked-images", "near-leaks", "mirrored-leaks", "caption-numbers", "caption-missing", "caption-file-name"}
    assert not again.keys() & gone


def test_constant_captions_stop(sound: Path) -> None:
    _, tables = examined(constant_copy(sound))
    assert [finding["code"] for finding in stops(tables)] == ["constant"]
    assert stops(tables)[0]["values"]["caption"] == "a photo of an images"


def test_without_pixels_nothing_is_decoded(sound: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    catalog = Data(source=str(sound)).open()

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("an image was decoded")

    monkeypatch.setattr(Catalog, "image", refuse)
    monkeypatch.setattr(Catalog, "encoded", refuse)
    tables = doctor(catalog, pixels=False)
    assert tables["views"] == []
    assert tables["speed"] is None
    assert not tables["examined"]["pixels"]


def test_one_sentence_of_rsicd_occurs_hundreds_of_times(shared_data: Path) -> None:
    tables = doctor(open_catalog(shared_data / "rsicd"), pixels=False)
    repeated = by_code(tables)["repeated-captions"]
    assert repeated["values"]["most"] >= 200
    assert repeated["examples"][0]["count"] == repeated["values"]["most"]


def test_the_captions_of_ucm_leak(shared_data: Path) -> None:
    leaked = by_code(doctor(open_catalog(shared_data / "ucm-captions"), pixels=False))["leaked-captions"]
    assert leaked["share"] == pytest.approx(0.55, abs=0.01)
    for example in leaked["examples"]:
        assert example["splits"] == ["train", "test"]


def test_a_recipe_decides_size_context_and_batch(tiny_catalog: Catalog, tiny_model: str) -> None:
    recipe = read_recipe("nano", {"model": tiny_model, "batch_size": 16})
    tables = doctor(tiny_catalog, recipe)
    assert tables["model"] == {"name": tiny_model, "image_size": 16, "context": 30, "batch": 16, "suggested": False}
    assert tables["loss"]["untrained"] == pytest.approx(2.7726, abs=1e-4)
    assert tables["speed"]["images"] == 60
    assert tables["speed"]["decode"] > 0
    assert len(tables["views"]) == 6
    light = without_images(tables)
    assert "data:image" not in json.dumps(light)
    assert "data:image" in json.dumps(tables)


def test_too_few_pairs_for_a_batch_stop(tiny_catalog: Catalog, tiny_model: str) -> None:
    recipe = read_recipe("nano", {"model": tiny_model, "batch_size": 64})
    assert [finding["code"] for finding in stops(doctor(tiny_catalog, recipe, pixels=False))] == ["few-pairs"]

"""A run knows the runs that it goes on from, and the images that they have seen."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa

from clipc.catalog.catalog import Catalog
from clipc.recipe.ancestors import ancestors, parent_run, record_ancestors, seen_images
from clipc.recipe.recipe import Recipe, make_recipe, write_recipe
from clipc.recipe.run import Run


def begun(folder: Path, model: str, catalog: Catalog) -> tuple[Run, Recipe]:
    recipe, run = make_recipe({"model": model, "samples": 64}), Run(folder)
    write_recipe(recipe, folder / "recipe.yaml")
    run.write_json("environment.json", {"clipc": "9.9", "run": "0123456789"})
    data = {"name": catalog.about.name, "fingerprint": catalog.fingerprint, "pairs": catalog.splits}
    run.write_json("data.json", {**data, "captions": {"train": 80}})
    record_ancestors(run, recipe, catalog)
    return run, recipe


def test_a_line_of_runs(tmp_path: Path, tiny_catalog: Catalog) -> None:
    first, recipe = begun(tmp_path / "first", "nano", tiny_catalog)
    assert parent_run(recipe) is None
    assert ancestors(first) == []
    contents = tiny_catalog.table["content"].to_numpy()
    trained = contents[tiny_catalog.split_names == "train"]
    assert seen_images(first).tolist() == np.unique(trained).tolist()  # pyright: ignore

    others = ["val" if i < 50 else "train" for i in range(60)]
    column = tiny_catalog.table.schema.get_field_index("split")
    changed = replace(tiny_catalog, table=tiny_catalog.table.set_column(column, "split", pa.array(others)))
    second, recipe = begun(tmp_path / "second", str(tmp_path / "first"), changed)
    assert parent_run(recipe) == first
    assert seen_images(second).tolist() == np.unique(np.concatenate([trained, contents[50:]])).tolist()  # pyright: ignore
    third, _ = begun(tmp_path / "third", f"local-dir:{tmp_path / 'second' / 'model'}", changed)
    (tmp_path / "second" / "model").mkdir()
    assert ancestors(third) == []  # its folder was not there yet
    fourth, _ = begun(tmp_path / "fourth", f"local-dir:{tmp_path / 'second' / 'model'}", changed)
    assert [one["name"] for one in ancestors(fourth)] == ["first", "second"]
    assert ancestors(fourth)[0]["clipc"] == "9.9"
    assert ancestors(fourth)[0]["data"]["pairs"] == {"test": 10, "train": 40, "val": 10}
    assert str(tmp_path) not in json.dumps(ancestors(fourth))


def test_what_is_recorded_stays(tmp_path: Path, tiny_catalog: Catalog) -> None:
    run, recipe = begun(tmp_path / "run", "nano", tiny_catalog)
    before = seen_images(run)
    record_ancestors(run, recipe, tiny_catalog.take(np.arange(3)))
    assert np.array_equal(seen_images(run), before)  # pyright: ignore
    assert seen_images(Run(tmp_path)) is None

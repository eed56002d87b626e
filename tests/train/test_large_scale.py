"""Recipes of the paper's scale take a step on stand-in shards as img2dataset writes them."""

import io
import json
import shutil
import tarfile
from pathlib import Path

import numpy as np
import open_clip
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from clipc.catalog.open import open_catalog
from clipc.catalog.split import with_splits
from clipc.errors import UserError
from clipc.recipe.recipe import read_recipe
from clipc.recipe.yaml_table import built_in
from clipc.train.train import train

RECIPES = [f"{data}-vit-{size}-16" for data in ("cc3m", "cc12m", "redcaps") for size in "sb"]
TINY = ["batch_size=4", "samples=4", "image_size=32", "threads=1", "device=cpu", "precision=fp32", "validations=1"]


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two shards, with a row that failed and what img2dataset leaves beside them."""
    folder = tmp_path_factory.mktemp("cc3m")
    rng = np.random.Generator(np.random.Philox(0))
    for shard in range(2):
        rows: list[dict[str, object]] = []
        with tarfile.open(folder / f"{shard:05d}.tar", "w") as tar:
            for number in range(9):
                key, failed = f"{shard:05d}{number:04d}", number == 4
                pixels = io.BytesIO()
                Image.fromarray(rng.integers(0, 256, (40, 48, 3), dtype=np.uint8)).save(pixels, "JPEG")
                caption = f"a picture of thing {number} in shard {shard}"
                row: dict[str, object] = {
                    "caption": caption,
                    "url": f"https://example.org/{key}.jpg",
                    "key": key,
                    "status": "failed_to_download" if failed else "success",
                    "error_message": "HTTP Error 404: Not Found" if failed else None,
                    "width": None if failed else 48,
                    "height": None if failed else 40,
                    "original_width": None if failed else 640,
                    "original_height": None if failed else 480,
                    "exif": None if failed else "{}",
                    "sha256": None if failed else "0" * 64,
                }
                rows.append(row)
                if failed:
                    continue
                parts = {"jpg": pixels.getvalue(), "txt": caption.encode(), "json": json.dumps(row).encode()}
                for ending, data in parts.items():
                    member = tarfile.TarInfo(f"{key}.{ending}")
                    member.size = len(data)
                    tar.addfile(member, io.BytesIO(data))
        pq.write_table(pa.Table.from_pylist(rows), folder / f"{shard:05d}.parquet")
        (folder / f"{shard:05d}_stats.json").write_text(json.dumps({"count": 9, "successes": 8}), "utf-8")
    return folder


def one_layer(name: str, folder: Path) -> Path:
    """open_clip's model of that name with one layer in each tower, as a file."""
    config = open_clip.get_model_config(name)
    assert config is not None
    for tower in ("vision_cfg", "text_cfg"):
        config[tower]["layers"] = 1
    (folder / "model.json").write_text(json.dumps(config), "utf-8")
    return folder / "model.json"


def test_the_recipes_ship() -> None:
    assert set(RECIPES) < set(built_in("recipe"))


@pytest.mark.parametrize("name", RECIPES)
def test_settings_are_those_of_the_field(name: str) -> None:
    recipe = read_recipe(name)
    assert recipe.data.source == f"/data/{name.split('-')[0]}"
    assert open_clip.get_model_config(recipe.model)["vision_cfg"]["patch_size"] == 16
    assert 1024 <= recipe.batch_size <= 4096
    assert 5e-4 <= recipe.learning_rate <= 1e-3
    assert 0.1 <= recipe.weight_decay <= 0.5
    assert recipe.epochs is not None
    assert 30 <= recipe.epochs <= 40
    assert recipe.warmup == pytest.approx(1 / recipe.epochs, abs=1e-4)
    assert recipe.augmentation.crop_scale == (0.5, 1.0)
    plain = read_recipe(name, ["policy.rho=0"])
    assert plain.model_dump(exclude={"policy"}) == recipe.model_dump(exclude={"policy"})


def test_shards_are_read_as_they_are(shards: Path) -> None:
    catalog = open_catalog(shards)
    assert len(catalog) == 16
    assert len(catalog.rejects) == 0
    assert catalog.column("captions")[0] == ["a picture of thing 0 in shard 0"]
    assert catalog.column("url")[0] == "https://example.org/000000000.jpg"
    assert set(catalog.column("width")) == {48}
    assert open_catalog(f"{shards}/*.tar").column("key") == catalog.column("key")
    with pytest.raises(UserError, match="there is no"):
        open_catalog(f"{shards}/{{00000..00001}}.tar")


def test_folders_are_the_splits(shards: Path, tmp_path: Path) -> None:
    for split, shard in (("train", 0), ("val", 1), ("test", 1)):
        (tmp_path / split).mkdir()
        shutil.copy(shards / f"{shard:05d}.tar", tmp_path / split)
    assert with_splits(open_catalog(tmp_path)).splits == {"train": 8, "val": 8, "test": 8}


@pytest.mark.parametrize("name", RECIPES)
def test_one_step_with_a_layer_in_each_tower(name: str, shards: Path, tmp_path: Path) -> None:
    model = one_layer(read_recipe(name).model, tmp_path)
    changes = [f"data.source={shards}", f"model={model}", "vocabulary=300", "num_workers=0", "track=[]"]
    run = train(read_recipe(name, [*TINY, *changes]), tmp_path / "run")
    assert run.finished is not None
    assert (run.finished["steps"], run.finished["image_size"]) == (1, 32)
    assert (run.folder / "model").is_dir()


@pytest.mark.soak
@pytest.mark.parametrize("name", RECIPES)
def test_one_step(name: str, shards: Path, tmp_path: Path) -> None:
    """As it ships, with its own model, two workers and composites; needs a few GB of memory."""
    changes = [f"data.source={shards}", "num_workers=2", "policy.rho=1", "validations=0"]
    run = train(read_recipe(name, [*TINY, *changes]), tmp_path / "run")
    assert run.finished is not None
    assert (run.finished["steps"], run.finished["unreadable"]) == (1, 0)
    assert run.finished["composite_share"] > 0
    assert run.finished["parameters"] > 60e6
    shutil.rmtree(run.folder)  # More than a gigabyte.

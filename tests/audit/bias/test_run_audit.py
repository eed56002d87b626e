"""A run is audited with its data, its plans and its model; what failed is kept for the model card."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from clipc.audit.bias.audit import BiasOptions, Lists
from clipc.audit.bias.run_audit import _biased, audit_run  # pyright: ignore[reportPrivateUsage]
from clipc.audit.bias.summary import card_sentences
from clipc.errors import UserError
from clipc.export.model_card import model_card
from clipc.models.model import ClipModel
from clipc.recipe.recipe import make_recipe, write_recipe
from clipc.recipe.run import Run
from compose.pairs import catalog_of


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory: pytest.TempPathFactory, tiny_model: str) -> Path:
    """An untrained run on 200 pairs with two cameras; of the 120 for training clipc takes 12 for validation."""
    folder = tmp_path_factory.mktemp("bias-run")
    rng = np.random.default_rng(0)
    rows = ["image,caption,colour,camera,split"]
    for i in range(200):
        colour = ("red", "blue")[i % 2]
        pixels = np.clip(
            np.array((200, 40, 40) if colour == "red" else (40, 40, 200)) + rng.normal(0, 9, (16, 16, 3)), 0, 255
        )
        Image.fromarray(pixels.astype(np.uint8)).save(folder / f"{i}.png")
        camera = "A" if rng.random() < (0.8 if colour == "red" else 0.3) else "B"
        rows.append(f"{i}.png,a {colour} plate {i},{colour},{camera},{'train' if i < 120 else 'test'}")
    (folder / "pairs.csv").write_text("\n".join(rows))
    run = folder / "run"
    run.mkdir()
    recipe = make_recipe({"model": tiny_model, "samples": 64, "data": {"source": str(folder / "pairs.csv")}})
    write_recipe(recipe, run / "recipe.yaml")
    ClipModel.create(tiny_model).save(run / "model")
    return run


OPTIONS = BiasOptions(attributes=("column:camera",), concepts="column:colour")


def test_a_run_is_audited_and_its_card_says_so(run_folder: Path) -> None:
    pytest.importorskip("fairlearn")
    tables = audit_run(run_folder, OPTIONS, against=run_folder)
    (camera,) = tables["model"]["attributes"]
    assert camera["images"] == 80
    assert camera["models"]["model"] == camera["models"]["against"]
    (skew, gaps) = (camera["models"]["model"][key] for key in ("skew", "gaps"))
    assert skew["k"] == 8
    assert {gap["metric"] for gap in gaps} >= {"retrieval/image_to_text/recall@10"}
    for gap in gaps:
        values = [row["value"] for row in gap["groups"]]
        assert gap["gap"] == pytest.approx(max(values) - min(values))
    amplified = camera["amplification"]
    assert amplified["images"] == 80
    assert amplified["models"]["model"] == amplified["models"]["against"]
    assert amplified["models"]["model"]["to_group"] is None  # a camera is no word
    assert amplified["difference"]["to_concept"] == {"value": 0, "low": 0, "high": 0}
    assert "amplify the associations of the pairs by" in " ".join(card_sentences(tables))
    stored: dict[str, Any] = json.loads((run_folder / "audit" / "bias.json").read_text())
    assert "failed" not in stored
    card = model_card(ClipModel.load(run_folder), "x", Run(run_folder))
    assert "Audited: camera against 2 concepts in 108 training pairs." in card
    assert "the largest gap between groups is" in card


def test_a_failed_audit_is_kept_as_such(run_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "fairlearn", None)
    monkeypatch.setitem(sys.modules, "fairlearn.metrics", None)
    with pytest.raises(UserError, match="fairlearn"):
        audit_run(run_folder, OPTIONS)
    assert "the audit failed" in model_card(ClipModel.load(run_folder), "x", Run(run_folder))


def test_the_direction_is_that_among_pairs_of_one_group() -> None:
    """Both genders play tennis oftener than pictures without people do; women more than men."""
    captions = ["a dog in a park"] * 60 + ["a woman plays tennis"] * 20 + ["a woman reads a book"] * 10
    captions += ["a man plays tennis"] * 12 + ["a man reads a book"] * 18 + ["a man and a woman play tennis"] * 9
    pairs = catalog_of([[caption] for caption in captions])
    lists = Lists(pairs, None)
    groups = lists.words.mentions("gender", lists.lists.attributes["gender"])
    concepts = lists.words.mentions("given", {"tennis": ("tennis",), "book": ("book",)})
    assert groups.names == ("female", "male")
    assert _biased(pairs, lists, groups, concepts).tolist() == [[True, False], [False, True]]

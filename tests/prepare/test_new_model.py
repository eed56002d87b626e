from pathlib import Path

import open_clip
import pytest
import torch

from clipc.catalog.catalog import Catalog
from clipc.errors import UserError
from clipc.models.model import ClipModel
from clipc.models.tokenizer import load_tokenizer
from clipc.prepare.new_model import tokenizer_for
from clipc.recipe.recipe import Recipe
from clipc.train.train import train

ENGLISH = ["a red plate on the table.", "two red bolts, rusty", "the plate is blue", "a blue bolt on the plate"] * 3


def test_two_steps_and_back_through_open_clip(tiny_catalog: Catalog, tiny_model: str, tmp_path: Path) -> None:
    recipe = Recipe(model=tiny_model, vocabulary=300, samples=16, batch_size=8, validations=1, device="cpu", threads=1)
    run = train(recipe, tmp_path / "run", catalog=tiny_catalog)
    ours = ClipModel.load(run.model)
    assert ours.config["text_cfg"]["vocab_size"] == ours.clip.token_embedding.num_embeddings <= 300  # pyright: ignore
    theirs = open_clip.create_model(f"local-dir:{run.model}").eval()
    tokenizer = open_clip.get_tokenizer(f"local-dir:{run.model}")
    texts = ["a red plate, number 3.", "plate 7 is blue", "", "plate " * 60, "皿"]
    expected = tokenizer_for(recipe, tiny_catalog)(texts)
    assert torch.equal(tokenizer(texts), expected)
    assert torch.equal(ours.tokenizer(texts), expected)
    with torch.inference_mode():
        torch.testing.assert_close(
            ours.encode_text(texts), theirs.encode_text(tokenizer(texts), normalize=True), atol=1e-5, rtol=1e-5
        )
        ends = theirs.encode_text(tokenizer(["plate", "plate number"]), normalize=True)
    assert not torch.allclose(ends[0], ends[1])
    ours.save(tmp_path / "again")
    assert torch.equal(ClipModel.load(tmp_path / "again").tokenizer(texts), expected)


def test_only_training_captions_are_learnt(tiny_catalog: Catalog, tiny_model: str) -> None:
    recipe = Recipe(model=tiny_model, vocabulary=300, samples=16)
    whole, training = (tokenizer_for(recipe, each) for each in (tiny_catalog, tiny_catalog.split("train")))
    texts = [caption for row in range(len(tiny_catalog)) for caption in tiny_catalog.captions(row)]
    assert torch.equal(whole(texts), training(texts))


def test_without_a_vocabulary_nothing_changes(tiny_catalog: Catalog, tiny_model: str) -> None:
    recipe = Recipe(model=tiny_model, samples=16)
    tokenizer = tokenizer_for(recipe, tiny_catalog)
    assert tokenizer.text_config == {}
    assert tokenizer.count("a red plate") == load_tokenizer(tiny_model).count("a red plate")
    assert "vocabulary" in recipe.model_dump()
    assert recipe.identity("d") != recipe.model_copy(update={"vocabulary": 300}).identity("d")


def test_a_broken_tokenizer_beside_a_model_is_named(tiny_catalog: Catalog, tiny_model: str, tmp_path: Path) -> None:
    tokenizer = tokenizer_for(Recipe(model=tiny_model, vocabulary=300, samples=16), tiny_catalog)
    ClipModel.create(tiny_model, tokenizer=tokenizer).save(tmp_path)
    (tmp_path / "tokenizer.json").write_text("{")
    with pytest.raises(UserError, match=f"the tokenizer in {tmp_path} cannot be read"):
        ClipModel.load(tmp_path)

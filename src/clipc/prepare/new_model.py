"""The model and the tokenizer that a run starts with."""

from pathlib import Path
from tempfile import TemporaryDirectory

from clipc.catalog.catalog import Catalog
from clipc.errors import UserError
from clipc.models.fingerprints import weights_fingerprint
from clipc.models.model import ClipModel
from clipc.models.model_config import model_config
from clipc.models.tokenizer import Tokenizer, load_tokenizer, local_tokenizer
from clipc.models.vocabulary import learn_vocabulary, save_vocabulary
from clipc.recipe.recipe import Recipe


def new_model(recipe: Recipe, tokenizer: Tokenizer | None = None) -> ClipModel:
    """The model that a recipe starts from, on the CPU; its weights are equal at each call.

    Args:
        recipe: The recipe, with the model, its pretrained weights, image size and seed.
        tokenizer: A learnt tokenizer, or None for the model's own.

    Raises:
        UserError: There is no such model, or a tower with fresh random weights is locked.
    """
    locked_tower = next((tower for tower in ("image", "text") if getattr(recipe.tune, tower) == "locked"), None)
    if locked_tower and weights_fingerprint(recipe.model, recipe.pretrained) is None:
        raise UserError(
            f"tune.{locked_tower}=locked would keep fresh random weights: the model {recipe.model} comes without any; "
            "set pretrained, or model to a folder, a run, or hf-hub:OWNER/NAME."
        )
    return ClipModel.create(
        recipe.model,
        pretrained=recipe.pretrained,
        image_size=recipe.image_size,
        seed=recipe.seed,
        tokenizer=tokenizer,
        sigmoid=recipe.loss == "siglip",
    )


def tokenizer_for(recipe: Recipe, catalog: Catalog) -> Tokenizer:
    """The tokenizer of a run of this recipe on these data.

    Args:
        recipe: The recipe; with ``vocabulary`` a tokenizer is learnt, otherwise it is the model's own.
        catalog: The data; only the training split's captions are read.
    """
    if recipe.vocabulary is None:
        return load_tokenizer(recipe.model)
    pairs = catalog.split("train")
    captions = (caption for row in range(len(pairs)) for caption in pairs.captions(row))
    length = model_config(recipe.model)["text_cfg"].get("context_length", 77)
    with TemporaryDirectory() as folder:
        save_vocabulary(learn_vocabulary(captions, recipe.vocabulary), Path(folder))
        return local_tokenizer(Path(folder), length)

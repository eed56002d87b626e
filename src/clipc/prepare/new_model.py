"""The model and the tokenizer that a run starts with."""

import logging
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from clipc.catalog.catalog import Catalog
from clipc.errors import UserError
from clipc.models.layers import TOWERS, Tower
from clipc.models.model import ClipModel
from clipc.models.model_config import HUB_PREFIX, is_folder, model_config
from clipc.models.starter import TEXT_TRUNK, packaged_trunks, trunk_towers
from clipc.models.tokenizer import Tokenizer, load_tokenizer, local_tokenizer
from clipc.models.vocabulary import learn_vocabulary, save_vocabulary
from clipc.recipe.recipe import Recipe

logger = logging.getLogger(__name__)

_SAMPLE: Final = 200


def new_model(recipe: Recipe, tokenizer: Tokenizer | None = None) -> ClipModel:
    """The model that a recipe starts from, on the CPU; its weights are equal at each call.

    Args:
        recipe: The recipe, with the model, its pretrained weights, image size and seed.
        tokenizer: A learnt tokenizer, or None for the model's own.

    Raises:
        UserError: There is no such model, or a tower with fresh random weights is locked.
    """
    for tower in TOWERS:
        if getattr(recipe.tune, tower) == "locked":
            _check_locked(recipe, tower)
    return ClipModel.create(
        recipe.model,
        pretrained=recipe.pretrained,
        image_size=recipe.image_size,
        seed=recipe.seed,
        tokenizer=tokenizer,
        sigmoid=recipe.loss == "siglip",
    )


def _check_locked(recipe: Recipe, tower: Tower) -> None:
    """Raises an error if the locked tower has random weights, and warns if its projection has."""
    whole = recipe.pretrained is not None or recipe.model.startswith(HUB_PREFIX) or is_folder(recipe.model)
    if whole:
        return
    if tower not in trunk_towers(model_config(recipe.model)):
        raise UserError(
            f"tune.{tower}=locked would keep fresh random weights: the {tower} tower of {recipe.model} comes without "
            "any; set pretrained, or model to starter, a folder, a run, or hf-hub:OWNER/NAME."
        )
    logger.warning(
        "tune.%s=locked keeps the random projection of the %s tower; tune.%s=1 trains the projection alone.",
        *(tower, tower, tower),
    )


def tokenizer_for(recipe: Recipe, catalog: Catalog) -> Tokenizer:
    """The tokenizer of a run of this recipe on these data.

    Args:
        recipe: The recipe; with ``vocabulary`` a tokenizer is learnt, otherwise it is the model's own.
        catalog: The data; only the training split's captions are read.
    """
    pairs, config = catalog.split("train"), model_config(recipe.model)
    captions = (caption for row in range(len(pairs)) for caption in pairs.captions(row))
    if recipe.vocabulary is None:
        if TEXT_TRUNK in packaged_trunks(config) and not _latin("".join(islice(captions, _SAMPLE))):
            logger.warning(
                "the text tower of %s reads English, but these captions are in another script; "
                "use model=starter-image with vocabulary=8000.",
                recipe.model,
            )
        return load_tokenizer(recipe.model)
    length = config["text_cfg"].get("context_length", 77)
    with TemporaryDirectory() as folder:
        save_vocabulary(learn_vocabulary(captions, recipe.vocabulary), Path(folder))
        return local_tokenizer(Path(folder), length)


def _latin(text: str) -> bool:
    """Whether most letters of a text are Latin ones, accents included."""
    letters = [character for character in text if character.isalpha()]
    return sum(character < "\u0250" for character in letters) >= len(letters) / 2

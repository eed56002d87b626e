"""What happens to a model once its last step is done: it is written, mixed with its start, and asked what it forgot."""

from collections.abc import Callable
from typing import Any

import torch

from clipc.catalog import Catalog
from clipc.errors import UserError
from clipc.progress import Progress, silent
from clipc.train.device import choose_device
from clipc.train.forgetting import forgetting
from clipc.train.lora import merged_state_dict
from clipc.train.model import ClipModel
from clipc.train.recipe import Recipe
from clipc.train.run import Run
from clipc.train.tokenizer import Tokenizer
from clipc.train.validation import CHOSEN_BY, Validation, validate
from clipc.train.vocabulary import tokenizer_for
from clipc.train.weights_mark import weights_mark
from clipc.train.wise_ft import choose_alpha


def new_model(recipe: Recipe, tokenizer: Tokenizer | None = None) -> ClipModel:
    """The model that a recipe starts from, on the CPU; the same whenever it is asked for.

    Args:
        recipe: Says which.
        tokenizer: A learnt one, or None for the model's own.

    Raises:
        UserError: There is no such model, or a tower is locked that has learnt nothing yet.
    """
    locked = next((tower for tower in ("image", "text") if getattr(recipe.tune, tower) == "locked"), None)
    if locked and weights_mark(recipe.model, recipe.pretrained) is None:
        raise UserError(
            f"tune.{locked}=locked would keep fresh random weights: the model {recipe.model} comes without any; set "
            "pretrained, or model to a folder, a run, or hf-hub:OWNER/NAME."
        )
    return ClipModel.create(
        recipe.model,
        pretrained=recipe.pretrained,
        image_size=recipe.image_size,
        seed=recipe.seed,
        tokenizer=tokenizer,
        sigmoid=recipe.loss == "siglip",
    )


def write_models(
    recipe: Recipe, run: Run, model: ClipModel, validation: Validation | None, precision: torch.dtype, *, chosen: bool
) -> dict[str, Any]:
    """Writes ``model-last/`` and, where none is chosen yet, ``model/``; measures what the recipe asks for.

    Args:
        recipe: Whether weights are mixed and forgetting is measured.
        run: Where to write.
        model: After the last step.
        validation: The pairs that the mixture is chosen on.
        precision: That of validation.
        chosen: Whether ``model/`` holds the best of validation already.

    Returns:
        For ``finished.json``: ``wise_ft`` and ``forgetting``, where asked for.

    Raises:
        UserError: There is nothing to choose the mixture on.
    """
    weights = merged_state_dict(model.clip)
    model.save(run.last_model, weights)
    if not (recipe.wise_ft or chosen):
        model.save(run.model, weights)
    if not recipe.wise_ft and recipe.forgetting is None:
        return {}
    facts: dict[str, Any] = {}
    start = new_model(recipe, model.tokenizer if recipe.vocabulary else None).to(model.device).eval()
    if recipe.wise_ft:
        if validation is None:
            raise UserError("wise_ft chooses its weights on the split val, which these data have not; leave it out.")
        mixed = ClipModel.load(run.last_model).to(model.device)
        before = {name: tensor.clone() for name, tensor in start.clip.state_dict().items()}
        found = choose_alpha(mixed.clip, before, weights, lambda _: validate(mixed, validation, precision)[CHOSEN_BY])
        mixed.save(run.model)
        facts["wise_ft"] = found.as_dict()
    if recipe.forgetting is not None:
        tuned = ClipModel.load(run.model).to(model.device)
        facts["forgetting"] = forgetting(start, tuned, recipe.forgetting.open(), recipe.forgetting.lang)
    return facts


def measure_later(
    recipe: Recipe,
    run: Run,
    catalog: Catalog,
    progress: Progress = silent,
    tell: Callable[[str], None] = lambda _: None,
) -> None:
    """Measures what a run forgot that was not asked for it before it finished, and adds it to ``finished.json``.

    Args:
        recipe: That of the run, with the set.
        run: A finished run; nothing happens where it is not, or was measured.
        catalog: What it was trained on.
        progress: Told how far the encoding is.
        tell: Told that it is measured now.
    """
    finished = run.finished
    if recipe.forgetting is None or finished is None or "forgetting" in finished:
        return
    tell(f"what {run.folder} forgot was not measured when it finished; it is measured now.")
    remembered = recipe.forgetting.open(progress)
    tuned = ClipModel.load(run.model).to(choose_device(recipe.device))
    start = new_model(recipe, tokenizer_for(recipe, catalog)).to(tuned.device).eval()
    found = forgetting(start, tuned, remembered, recipe.forgetting.lang, progress)
    run.write_json("finished.json", {**finished, "forgetting": found})

"""What happens to a model once its last step is done: it is written, and mixed with its start."""

import logging
from typing import Any

import torch
from torch import nn

from clipc.errors import UserError
from clipc.models.lora import merged_state_dict
from clipc.models.model import ClipModel
from clipc.prepare.new_model import new_model
from clipc.recipe.recipe import Recipe
from clipc.recipe.run import Run
from clipc.train.interrupt import Interrupted, StopFlag
from clipc.train.validation import CHOSEN_BY, Validation, validate
from clipc.train.wise_ft import choose_alpha

logger = logging.getLogger(__name__)


def write_models(
    recipe: Recipe,
    run: Run,
    model: ClipModel,
    validation: Validation | None,
    precision: torch.dtype,
    best: dict[str, float] | None,
    stop: StopFlag,
) -> tuple[dict[str, float] | None, dict[str, Any]]:
    """Writes ``model-last/`` and, where none is chosen yet, ``model/``; mixes them where the recipe asks for it.

    A mixture with the start's weights becomes ``model/`` unless an earlier step did better on validation.

    Args:
        recipe: Whether weights are mixed.
        run: Where to write.
        model: After the last step.
        validation: The pairs that the mixture is chosen on.
        precision: That of validation.
        best: What is known of ``model/`` if it holds the best of validation already: its step and figures.
        stop: Read before each measurement.

    Returns:
        What is known of ``model/`` now: as before, or the ``alpha`` of a mixture with its figures; and for
        ``finished.json`` the field ``wise_ft``, where asked for.

    Raises:
        UserError: There is nothing to choose the mixture on.
        Interrupted: A stop was asked for before all was measured.
    """
    weights = merged_state_dict(model.clip)
    model.save(run.last_model, weights)
    if best is None and not recipe.wise_ft:
        model.save(run.model, weights)
    if not recipe.wise_ft:
        return best, {}
    if validation is None:
        raise UserError("wise_ft chooses its weights on the split val, which these data have not; leave it out.")
    start = new_model(recipe, model.tokenizer if recipe.vocabulary else None).to(model.device).eval()
    mixed = ClipModel.load(run.last_model).to(model.device)
    before = {name: tensor.clone() for name, tensor in start.clip.state_dict().items()}
    measured: list[dict[str, float]] = []

    def figure(_: nn.Module) -> float:
        if stop.asked:
            raise Interrupted(f"{run.folder} is trained, but not all was measured; the same command measures the rest.")
        measured.append(validate(mixed, validation, precision))
        return measured[-1][CHOSEN_BY]

    found = choose_alpha(mixed.clip, before, weights, figure)
    reached = measured[list(found.curve).index(found.alpha)]
    facts = found.as_dict()
    said = f"mixed with the start's weights ({found.alpha:.0%} tuned), mean recall {reached[CHOSEN_BY]:.1%}"
    if best is not None and best[CHOSEN_BY] > reached[CHOSEN_BY]:
        logger.info("%s on validation; step %s did better and stays the model.", said, f"{best['step']:,}")
        return best, {"wise_ft": {**facts, "taken": False}}
    logger.info("%s on validation: that is the model.", said)
    mixed.save(run.model)
    return {"alpha": found.alpha, **reached}, {"wise_ft": facts}

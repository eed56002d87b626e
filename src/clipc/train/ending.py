"""What happens to a model once its last step is done: it is written, mixed with its start, and asked what it forgot."""

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from clipc.catalog import Catalog
from clipc.errors import UserError
from clipc.models.device import choose_device
from clipc.models.lora import merged_state_dict
from clipc.models.model import ClipModel
from clipc.models.tokenizer import Tokenizer
from clipc.models.vocabulary import tokenizer_for
from clipc.models.weights_mark import weights_mark
from clipc.progress import Progress, silent
from clipc.recipe.recipe import Recipe
from clipc.recipe.run import Run
from clipc.train.forgetting import forgetting
from clipc.train.interrupt import Interrupted, StopFlag
from clipc.train.validation import CHOSEN_BY, Validation, validate
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
    recipe: Recipe,
    run: Run,
    model: ClipModel,
    validation: Validation | None,
    precision: torch.dtype,
    best: dict[str, float] | None,
    stop: StopFlag,
    tell: Callable[[str], None] = lambda _: None,
) -> tuple[dict[str, float] | None, dict[str, Any]]:
    """Writes ``model-last/`` and, where none is chosen yet, ``model/``; measures what the recipe asks for.

    A mixture with the start's weights becomes ``model/`` unless an earlier step did better on validation.

    Args:
        recipe: Whether weights are mixed and forgetting is measured.
        run: Where to write.
        model: After the last step.
        validation: The pairs that the mixture is chosen on.
        precision: That of validation.
        best: What is known of ``model/`` if it holds the best of validation already: its step and figures.
        stop: Read before each measurement.
        tell: Told which model was chosen, where there was a choice.

    Returns:
        What is known of ``model/`` now: as before, or the ``alpha`` of a mixture with its figures; and for
        ``finished.json`` the fields ``wise_ft`` and ``forgetting``, where asked for.

    Raises:
        UserError: There is nothing to choose the mixture on.
        Interrupted: A stop was asked for before all was measured.
    """
    weights = merged_state_dict(model.clip)
    model.save(run.last_model, weights)
    if best is None and not recipe.wise_ft:
        model.save(run.model, weights)
    if not recipe.measures_at_the_end:
        return best, {}
    facts: dict[str, Any] = {}
    mixture: ClipModel | None = None
    start = new_model(recipe, model.tokenizer if recipe.vocabulary else None).to(model.device).eval()
    if recipe.wise_ft:
        if validation is None:
            raise UserError("wise_ft chooses its weights on the split val, which these data have not; leave it out.")
        mixed = ClipModel.load(run.last_model).to(model.device)
        before = {name: tensor.clone() for name, tensor in start.clip.state_dict().items()}
        measured: list[dict[str, float]] = []

        def figure(_: nn.Module) -> float:
            _go_on_unless(stop, run)
            measured.append(validate(mixed, validation, precision))
            return measured[-1][CHOSEN_BY]

        found = choose_alpha(mixed.clip, before, weights, figure)
        reached = measured[list(found.curve).index(found.alpha)]
        said = f"mixed with the start's weights ({found.alpha:.0%} tuned), mean recall {reached[CHOSEN_BY]:.1%}"
        facts["wise_ft"] = found.as_dict()
        if best is not None and best[CHOSEN_BY] > reached[CHOSEN_BY]:
            facts["wise_ft"]["taken"] = False
            tell(f"{said} on validation; step {best['step']:,} did better and stays the model.")
        else:
            mixture = mixed
            best = {"alpha": found.alpha, **reached}
            tell(f"{said} on validation: that is the model.")
    if recipe.forgetting is not None:
        _go_on_unless(stop, run)
        tuned = mixture or ClipModel.load(run.model).to(model.device)
        facts["forgetting"] = forgetting(start, tuned, recipe.forgetting.open(), recipe.forgetting.lang)
    if mixture is not None:
        mixture.save(run.model)  # Last: what is stopped before is done again from the same models.
    return best, facts


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


def _go_on_unless(stop: StopFlag, run: Run) -> None:
    if stop.asked:
        raise Interrupted(f"{run.folder} is trained, but not all was measured; the same command measures the rest.")

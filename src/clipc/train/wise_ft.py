"""WiSE-FT: interpolates initial and fine-tuned weights, which often gives a better model than either."""

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeVar

import torch
from torch import Tensor, nn

from clipc.errors import UserError
from clipc.models.model import ClipModel
from clipc.models.projection import plain_state_dict
from clipc.prepare.new_model import new_model
from clipc.recipe.recipe import Recipe
from clipc.recipe.run import Run
from clipc.train.average import WeightAverage
from clipc.train.interrupt import Interrupted, StopFlag
from clipc.train.validation import SELECTION_METRIC, Validation, validate

logger = logging.getLogger(__name__)

Model = TypeVar("Model", bound=nn.Module)
ALPHAS: Final = tuple(i / 10 for i in range(11))


def write_models(
    recipe: Recipe,
    run: Run,
    model: ClipModel,
    validation: Validation | None,
    precision: torch.dtype,
    best: dict[str, float] | None,
    stop: StopFlag,
    average: WeightAverage | None = None,
) -> tuple[dict[str, float] | None, dict[str, Any]]:
    """Writes ``model-last/`` and, where needed, ``model/``; applies WiSE-FT if the recipe says so.

    Without WiSE-FT, ``model/`` holds the weights of the recipe's ``selection``: averaged ones, those of the best step,
    which validation has stored there, or the last ones. With WiSE-FT the averaged or last weights are interpolated with
    the initial ones, and written to ``model/`` unless an earlier step had a better validation metric.

    Args:
        recipe: The recipe, with ``wise_ft``.
        run: The run folder.
        model: The model after the last step.
        validation: The pairs on which the interpolation is chosen.
        precision: The precision of validation.
        best: The step and metrics of a validation; None if there was none.
        stop: The flag that requests a stop, read before each validation.
        average: The averaged weights with selection ``ema``.

    Returns:
        Two dictionaries: the validation metrics of ``model/`` with its ``step`` or, if it is interpolated, its
        ``alpha``; and, with WiSE-FT, the field ``wise_ft`` for ``finished.json``.

    Raises:
        UserError: There is no validation split to choose the interpolation on.
        Interrupted: A stop was requested before all validations were done.
    """
    weights = plain_state_dict(model.clip)
    model.save(run.last_model, weights)
    if average is not None:
        with average.applied(model.clip):
            weights = {name: tensor.clone() for name, tensor in plain_state_dict(model.clip).items()}
    if not recipe.wise_ft:
        if best is None or recipe.selection != "best":
            model.save(run.model, weights)
        return best, {}
    if validation is None:
        raise UserError("wise_ft chooses its weights on the split val, which these data do not have; leave it out.")
    start = new_model(recipe, model.tokenizer if recipe.vocabulary else None).to(model.device)
    candidate = ClipModel.load(run.last_model).to(model.device)
    metrics: list[dict[str, float]] = []

    def measure(_: nn.Module) -> float:
        if stop.requested:
            raise Interrupted(f"{run.folder} is trained, but WiSE-FT was interrupted; the same command repeats it.")
        metrics.append(validate(candidate, validation, precision))
        return metrics[-1][SELECTION_METRIC]

    initial = {name: tensor.clone() for name, tensor in start.clip.state_dict().items()}
    alpha, curve = choose_alpha(candidate.clip, initial, weights, measure)
    metrics_of_best = metrics[list(curve).index(alpha)]
    facts: dict[str, Any] = {"alpha": alpha, "curve": [list(point) for point in curve.items()]}
    result = f"interpolated with the initial weights ({alpha:.0%} tuned), mean recall {curve[alpha]:.1%}"
    if recipe.selection == "best" and best is not None and best[SELECTION_METRIC] > curve[alpha]:
        logger.info("%s on validation; step %s did better and stays the model.", result, f"{best['step']:,}")
        return best, {"wise_ft": {**facts, "taken": False}}
    logger.info("%s on validation: this is the model.", result)
    candidate.save(run.model)
    return {"alpha": alpha, **metrics_of_best}, {"wise_ft": facts}


def interpolate(start: Mapping[str, Tensor], tuned: Mapping[str, Tensor], alpha: float) -> dict[str, Tensor]:
    """``(1 - alpha) * start + alpha * tuned``, weight by weight (Wortsman et al., arXiv 2109.01903).

    Running statistics of batch norm are interpolated too: variances stay positive, and frozen statistics stay equal.
    Integers (the batch count of batch norm) are those of the tuned model. At 0 and 1 the floating-point weights are
    exactly those of the start and of the tuned model.

    Args:
        start: A model's ``state_dict``.
        tuned: The ``state_dict`` of the same model after fine-tuning, without adapters
            (:func:`clipc.models.projection.plain_state_dict`).
        alpha: In [0, 1].

    Returns:
        New tensors by name, with the shapes and dtypes of ``tuned``.

    Raises:
        ValueError: The names or shapes differ, or alpha is out of range.
    """
    if not 0 <= alpha <= 1:
        raise ValueError(f"alpha must be in [0, 1], not {alpha}.")
    shapes = ({name: tensor.shape for name, tensor in weights.items()} for weights in (start, tuned))
    if next(shapes) != next(shapes):
        raise ValueError("the start's and the tuned model's weights have different names or shapes.")
    return {name: _lerp(start[name], tensor, alpha) for name, tensor in tuned.items()}


def _lerp(start: Tensor, tuned: Tensor, alpha: float) -> Tensor:
    tuned = tuned.detach()
    if not tuned.is_floating_point():
        return tuned.clone()
    # Half precision would round twice, and lerp is exact at both ends.
    wide = torch.promote_types(tuned.dtype, torch.float32)
    start = start.detach().to(tuned.device, wide)
    return torch.lerp(start, tuned.to(wide), alpha).to(tuned.dtype)


def choose_alpha(
    model: Model,
    start: Mapping[str, Tensor],
    tuned: Mapping[str, Tensor],
    measure: Callable[[Model], float],
    alphas: Sequence[float] = ALPHAS,
) -> tuple[float, dict[float, float]]:
    """Tries several interpolations of start and tuned weights, and loads the one with the best metric into a model.

    Args:
        model: A model without adapters, into which the interpolated weights are loaded.
        start: A copy of the ``state_dict`` before fine-tuning.
        tuned: A copy of the ``state_dict`` after fine-tuning.
        measure: Returns a metric of the model on validation pairs (never on the test split); higher is better.
        alphas: Shares of the tuned weights to try, each in [0, 1]. If several have the best metric, the smallest is
            chosen.

    Returns:
        The chosen alpha, and the metric by alpha, in ascending order of alpha.
    """
    curve: dict[float, float] = {}
    for alpha in sorted(alphas):
        model.load_state_dict(interpolate(start, tuned, alpha))
        curve[alpha] = measure(model)
    best = max(curve, key=curve.__getitem__)
    model.load_state_dict(interpolate(start, tuned, best))
    return best, curve

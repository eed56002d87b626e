"""Weights between a start and what was tuned from it (WiSE-FT): often better than either, and less is forgotten."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import torch
from torch import Tensor, nn

Model = TypeVar("Model", bound=nn.Module)
ALPHAS: Final = tuple(i / 10 for i in range(11))


@dataclass(frozen=True)
class WiseFt:
    """Which weights between start (0) and tuned (1) were chosen, and what each choice would have given.

    Attributes:
        alpha: The chosen share of the tuned weights, in [0, 1].
        curve: The figure measured at each alpha, ascending.
    """

    alpha: float
    curve: dict[float, float]

    def as_dict(self) -> dict[str, Any]:
        """The fields for JSON: the curve as pairs of alpha and figure."""
        return {"alpha": self.alpha, "curve": [[alpha, figure] for alpha, figure in self.curve.items()]}


def interpolate(start: Mapping[str, Tensor], tuned: Mapping[str, Tensor], alpha: float) -> dict[str, Tensor]:
    """``(1 - alpha) * start + alpha * tuned``, weight by weight (Wortsman et al., arXiv 2109.01903).

    The statistics of batch norms go the same way: variances stay positive, and where the statistics were held while
    tuning they stay what they were. Integers (a batch norm's count) are the tuned model's. At 0 and 1 every
    weight is the start's or the tuned one's to the last bit.

    Args:
        start: A model's ``state_dict``.
        tuned: That of the same model after tuning, without adapters (:func:`clipc.models.lora.merged_state_dict`).
        alpha: In [0, 1].

    Returns:
        New tensors of the same names, shapes and types.

    Raises:
        ValueError: The names or shapes differ, or alpha is out of range.
    """
    if not 0 <= alpha <= 1:
        raise ValueError(f"alpha must be in [0, 1], not {alpha}.")
    shapes = ({name: tensor.shape for name, tensor in weights.items()} for weights in (start, tuned))
    if next(shapes) != next(shapes):
        raise ValueError("the start's and the tuned model's weights have different names or shapes.")
    return {name: _between(start[name], tensor, alpha) for name, tensor in tuned.items()}


def _between(start: Tensor, tuned: Tensor, alpha: float) -> Tensor:
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
) -> WiseFt:
    """Gives a model the weights on the way from start to tuned that do best.

    Args:
        model: A model without adapters that loads these weights; it ends with the chosen ones.
        start: The ``state_dict`` that tuning began with, copied then: a live one would have changed with the model.
        tuned: The one that it ended with, copied too.
        measure: A figure of the model, more is better, on validation pairs: never on those of the test split.
        alphas: What to try, one or more shares in [0, 1]. Of equally good ones the smallest is taken, which is
            nearest to the start.
    """
    curve: dict[float, float] = {}
    for alpha in sorted(alphas):
        model.load_state_dict(interpolate(start, tuned, alpha))
        curve[alpha] = measure(model)
    chosen = max(curve, key=curve.__getitem__)
    model.load_state_dict(interpolate(start, tuned, chosen))
    return WiseFt(chosen, curve)

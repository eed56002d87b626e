"""The running average of a model's weights over the last part of a run."""

from collections.abc import Generator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm  # pyright: ignore[reportPrivateUsage]
from torch.optim.swa_utils import get_ema_multi_avg_fn


class WeightAverage:
    """An exponential moving average of all trainable weights and of the statistics of batch norm.

    After each step ``average = decay * average + (1 - decay) * weights`` with ``decay = 1 - 1 / horizon``, so that the
    last ``horizon`` steps weigh about two thirds, and the last three times as many 95%. Weights that are not trained
    are not stored: they stay those of the model. LoRA's matrices are averaged one by one, not their product.

    Attributes:
        decay: The weight of the average so far, in [0, 1).
        tensors: The averages by the names of :meth:`torch.nn.Module.named_parameters` and ``named_buffers``.
    """

    def __init__(self, module: nn.Module, horizon: float) -> None:
        """Starts the average at the module's present weights.

        Args:
            module: The module, with its layers frozen and its adapters added already.
            horizon: The number of steps to average over, at least 1.
        """
        self.decay = 1 - 1 / max(1.0, horizon)
        self.tensors = {name: tensor.detach().clone() for name, tensor in _averaged(module).items()}
        self._average = get_ema_multi_avg_fn(self.decay)

    @torch.no_grad()
    def update(self, module: nn.Module) -> None:
        """Adds the module's weights, after a step."""
        weights = _averaged(module)
        self._average(list(self.tensors.values()), [weights[name].detach() for name in self.tensors], 0)

    @contextmanager
    def applied(self, module: nn.Module) -> Generator[None]:
        """Gives the averaged weights to the module for the time of the block."""
        before = {name: tensor.detach().clone() for name, tensor in _averaged(module).items()}
        _copy(self.tensors, module)
        try:
            yield
        finally:
            _copy(before, module)

    def load(self, tensors: Mapping[str, Tensor]) -> None:
        """Replaces the averages by those of a checkpoint, which has all of them."""
        for name, average in self.tensors.items():
            average.copy_(tensors[name])


def _averaged(module: nn.Module) -> dict[str, Tensor]:
    """The tensors of a module that are averaged, by name; shared weights are there once."""
    tensors: dict[str, Tensor] = {name: p for name, p in module.named_parameters() if p.requires_grad}
    for prefix, part in module.named_modules():
        if isinstance(part, _BatchNorm):
            buffers = part.named_buffers(prefix, recurse=False)
            tensors |= {name: buffer for name, buffer in buffers if buffer.is_floating_point()}
    return tensors


@torch.no_grad()
def _copy(tensors: Mapping[str, Tensor], module: nn.Module) -> None:
    for name, target in _averaged(module).items():
        target.copy_(tensors[name])

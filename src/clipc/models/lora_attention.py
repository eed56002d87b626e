"""peft's adapter of ``nn.MultiheadAttention``, without rounding in what is frozen."""

from contextlib import nullcontext
from typing import Any

import torch
from peft.tuners.lora.layer import MultiheadAttention
from torch.func import functional_call


class AdaptedAttention(MultiheadAttention):
    """Multi-head attention with adapters on its input and output projections.

    peft adds the adapters to the frozen weights before each forward pass and takes them off after it, which
    moves the weights by rounding, in evaluation too: they would drift, and would depend on how often the model was
    used. Here the sum is used without being stored.
    """

    def forward(self, query: torch.Tensor, *args: Any, **kwargs: Any) -> Any:
        """As of ``nn.MultiheadAttention``."""
        attention: Any = self.get_base_layer()
        output = attention.out_proj
        # Under autocast the sum would be rounded, and the merged model would not be the one that was trained.
        # Where operations are only counted ("meta") nothing is rounded, and autocast would raise.
        kind = query.device.type
        with nullcontext() if kind == "meta" else torch.autocast(kind, enabled=False):
            weights = {
                "in_proj_weight": attention.in_proj_weight + self.get_delta_weight(self.active_adapters[0]),
                "out_proj.base_layer.weight": output.base_layer.weight
                + output.get_delta_weight(self.active_adapters[0]),
            }
        return functional_call(attention, weights, (query, *args), kwargs)

    def _restore_weights(self) -> None:
        """Nothing to restore: the parameters were never replaced."""

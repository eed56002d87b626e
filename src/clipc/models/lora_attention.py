"""peft's adapter for ``nn.MultiheadAttention``, without rounding errors in the frozen weights."""

from contextlib import nullcontext
from typing import Any

import torch
from peft.tuners.lora.layer import MultiheadAttention
from torch.func import functional_call


class AdaptedAttention(MultiheadAttention):
    """Multi-head attention with adapters on its input and output projections.

    peft adds the adapters to the frozen weights before each forward pass and subtracts them after it. Rounding would
    then change the frozen weights a little at every use, in evaluation too. Here the sum is used but never stored.
    """

    def forward(self, query: torch.Tensor, *args: Any, **kwargs: Any) -> Any:
        """Takes and returns what ``nn.MultiheadAttention`` does."""
        attention: Any = self.get_base_layer()
        output = attention.out_proj
        # Under autocast the sum would be rounded, and the merged model would differ from the trained one.
        # The device "meta", on which operations are only counted, has no autocast.
        device = query.device.type
        with nullcontext() if device == "meta" else torch.autocast(device, enabled=False):
            weights = {
                "in_proj_weight": attention.in_proj_weight + self.get_delta_weight(self.active_adapters[0]),
                "out_proj.base_layer.weight": output.base_layer.weight
                + output.get_delta_weight(self.active_adapters[0]),
            }
        return functional_call(attention, weights, (query, *args), kwargs)

    def _restore_weights(self) -> None:
        """Nothing to restore: the parameters were never replaced."""

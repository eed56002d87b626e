"""Batch norm, whose result depends on which examples go through a model together."""

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm  # pyright: ignore[reportPrivateUsage]


def learns_batch_norm(model: nn.Module) -> bool:
    """Whether a model has batch norm that learns, and so takes statistics over what it sees at once."""
    norms = [module for module in model.modules() if isinstance(module, _BatchNorm)]
    return any(parameter.requires_grad for norm in norms for parameter in norm.parameters())


def share_statistics(module: nn.Module) -> None:
    """Replaces batch norms by ones that take their statistics over all processes, but for those that are locked.

    A new one would not know that the locked one is held in evaluation mode (:func:`clipc.models.tuning.prepare`).
    """
    from timm.layers.norm_act import convert_sync_batchnorm  # PyTorch's own loses the activation in timm's layers.

    for name, child in list(module.named_children()):
        if not isinstance(child, _BatchNorm):
            share_statistics(child)
        elif not child.affine or learns_batch_norm(child):
            module.add_module(name, convert_sync_batchnorm(child))

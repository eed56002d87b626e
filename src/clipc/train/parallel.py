"""Data parallelism: features gathered over processes for the loss, averaged gradients, synchronised batch norm."""

import warnings
from typing import Any

import torch
from torch import distributed as dist
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm  # pyright: ignore[reportPrivateUsage]
from torch.nn.parallel import DistributedDataParallel

from clipc.errors import UserError
from clipc.train.distributed import World


def gather(tensor: torch.Tensor, world: World) -> torch.Tensor:
    """All-gather: the rows of all processes in rank order, without gradient.

    Args:
        tensor: Any dtype, on the CPU or this process's GPU, shape (b, ...), the same in all processes.
        world: The processes.

    Returns:
        Shape (b * world.size, ...); the tensor itself where there is one process.
    """
    if world.size == 1:
        return tensor
    rows = tensor.detach().contiguous()
    gathered = rows.new_empty((world.size * len(rows), *rows.shape[1:]))
    # As bytes, because backends differ in the dtypes that they can transfer.
    dist.all_gather_into_tensor(gathered.view(torch.uint8), rows.view(torch.uint8))
    return gathered


def gather_with_gradient(features: torch.Tensor, world: World) -> torch.Tensor:
    """All-gather with gradient: the features of all processes in rank order.

    The gradient of a row is the sum of the gradients of every process's loss for that row. Where each process computes
    the loss of its own rows and gradients are averaged over processes (:func:`data_parallel`), the result is exactly
    the gradient of the loss over the global batch.

    Args:
        features: Floating point, shape (b, D), the same in all processes.
        world: The processes.

    Returns:
        Shape (b * world.size, D); the features themselves where there is one process.
    """
    if world.size == 1:
        return features
    gathered: torch.Tensor = _Gather.apply(features, world)  # pyright: ignore
    return gathered


def data_parallel(model: nn.Module, world: World, device: torch.device) -> nn.Module:
    """Wraps a model so that a backward pass leaves the gradient averaged over all processes in each of them.

    The weights of rank 0 are broadcast. On CUDA, trainable batch norm takes its statistics over the global batch.

    Args:
        model: On the device; it must be called through ``forward``, which must use every trainable parameter.
        world: The processes.
        device: Where the model is.

    Returns:
        ``DistributedDataParallel`` around the model, or the model itself where there is one process.

    Raises:
        UserError: The model has trainable batch norm and is not on CUDA, where alone it can be synchronised.
    """
    if world.size == 1:
        return model
    if has_trainable_batch_norm(model):
        if device.type != "cuda":
            raise UserError(
                "this model has batch norm, which several processes can share on CUDA only; "
                "start one process, or set model to one without, such as vit or ViT-B-32."
            )
        synchronise_batch_norm(model)
    with warnings.catch_warnings():
        # Newer versions rename the argument. Buffers are equal already: constants, or synchronised statistics.
        warnings.simplefilter("ignore", FutureWarning)
        return DistributedDataParallel(model, broadcast_buffers=False, gradient_as_bucket_view=True)


def has_trainable_batch_norm(model: nn.Module) -> bool:
    """Whether a model has batch norm with trainable parameters, whose statistics depend on the whole batch."""
    norms = [module for module in model.modules() if isinstance(module, _BatchNorm)]
    return any(parameter.requires_grad for norm in norms for parameter in norm.parameters())


def synchronise_batch_norm(module: nn.Module) -> None:
    """Replaces batch norms by ones that take their statistics over all processes, except for frozen ones.

    A frozen one stays in evaluation mode (:func:`clipc.models.tuning.apply_tuning`), which its replacement would not.
    """
    from timm.layers.norm_act import convert_sync_batchnorm  # PyTorch's own loses the activation in timm's layers.

    for name, child in list(module.named_children()):
        if not isinstance(child, _BatchNorm):
            synchronise_batch_norm(child)
        elif not child.affine or has_trainable_batch_norm(child):
            module.add_module(name, convert_sync_batchnorm(child))


class _Gather(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, features: torch.Tensor, world: World) -> torch.Tensor:  # pyright: ignore
        ctx.world = world
        return gather(features, world)

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor, None]:  # pyright: ignore
        world: World = ctx.world
        total = gradient.to(torch.promote_types(gradient.dtype, torch.float32), copy=True).contiguous()
        size = len(total) // world.size
        if total.is_cuda:
            local = total.new_empty((size, *total.shape[1:]))
            dist.reduce_scatter_tensor(local, total)
        else:
            dist.all_reduce(total)
            local = total[world.rank * size : (world.rank + 1) * size]
        return local.to(gradient.dtype), None

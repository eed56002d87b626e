"""Data parallelism: gathers features for the loss, averages gradients and synchronises batch norm over processes."""

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
        tensor: Shape (b, ...), any dtype, on the CPU or this process's GPU; shape and dtype are equal in all processes.
        world: The processes.

    Returns:
        The rows, shape (b * world.size, ...); with one process the tensor itself.
    """
    if world.size == 1:
        return tensor
    rows = tensor.detach().contiguous()
    gathered = rows.new_empty((world.size * len(rows), *rows.shape[1:]))
    # Transferred as bytes, because backends differ in the dtypes that they support.
    dist.all_gather_into_tensor(gathered.view(torch.uint8), rows.view(torch.uint8))
    return gathered


def gather_with_gradient(features: torch.Tensor, world: World) -> torch.Tensor:
    """All-gather with gradient: the features of all processes in rank order.

    The gradient of a row is summed over the losses of all processes. If each process computes the loss of its own rows
    and gradients are averaged over processes (:func:`data_parallel`), the result is the gradient of the loss over the
    global batch.

    Args:
        features: Floating point, shape (b, D), with equal shapes in all processes.
        world: The processes.

    Returns:
        The features, shape (b * world.size, D); with one process ``features`` itself.
    """
    if world.size == 1:
        return features
    gathered: torch.Tensor = _Gather.apply(features, world)  # pyright: ignore
    return gathered


def data_parallel(model: nn.Module, world: World, device: torch.device) -> nn.Module:
    """Wraps a model so that a backward pass gives every process the gradient averaged over all processes.

    The weights of rank 0 are broadcast. On CUDA, trainable batch norm takes its statistics over the global batch.

    Args:
        model: A model on the device. It must be called through ``forward``, which must use every trainable parameter.
        world: The processes.
        device: The model's device.

    Returns:
        ``DistributedDataParallel`` around the model; with one process the model itself.

    Raises:
        UserError: The model has trainable batch norm and is not on CUDA; only there it can be synchronised.
    """
    if world.size == 1:
        return model
    if has_trainable_batch_norm(model):
        if device.type != "cuda":
            raise UserError(
                "this model has batch norm, which can be synchronised between processes only on CUDA; "
                "start one process, or set model to one without batch norm, such as vit or ViT-B-32."
            )
        synchronise_batch_norm(model)
    with warnings.catch_warnings():
        # Newer versions warn about `broadcast_buffers`. Buffers need no broadcast: they are constants, or statistics
        # that are synchronised.
        warnings.simplefilter("ignore", FutureWarning)
        return DistributedDataParallel(model, broadcast_buffers=False, gradient_as_bucket_view=True)


def has_trainable_batch_norm(model: nn.Module) -> bool:
    """Whether a model has batch norm with trainable parameters; frozen batch norm has fixed statistics."""
    norms = [module for module in model.modules() if isinstance(module, _BatchNorm)]
    return any(parameter.requires_grad for norm in norms for parameter in norm.parameters())


def synchronise_batch_norm(module: nn.Module) -> None:
    """Replaces the batch norm layers of a module by layers that take their statistics over all processes, in place.

    Frozen layers are not replaced: they stay in evaluation mode (:func:`clipc.models.tuning.apply_tuning`), which a
    replacement would leave.
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

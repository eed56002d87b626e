"""What processes compute together: features of all for each one's loss, gradients of all for each one's weights."""

import warnings
from typing import Any

import torch
from torch import distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from clipc.errors import UserError
from clipc.train.batch_norm import learns_batch_norm, share_statistics
from clipc.train.distributed import World


def gather(tensor: torch.Tensor, world: World) -> torch.Tensor:
    """The rows of all processes in the order of their ranks, without gradient.

    Args:
        tensor: Any dtype, on the CPU or this process's GPU, shape (b, ...), the same in all processes.
        world: The processes.

    Returns:
        Shape (b * world.size, ...); the tensor itself where there is one process.
    """
    if world.size == 1:
        return tensor
    rows = tensor.detach().contiguous()
    everyone = rows.new_empty((world.size * len(rows), *rows.shape[1:]))
    # As bytes: which dtypes a backend can move differs, and nothing is computed here.
    dist.all_gather_into_tensor(everyone.view(torch.uint8), rows.view(torch.uint8))
    return everyone


def gather_with_gradient(features: torch.Tensor, world: World) -> torch.Tensor:
    """The features of all processes in the order of their ranks; each process gets its gradient back from all.

    The gradient of a row is the sum of what every process's loss says of it. With a loss that each process
    takes over its own rows, and gradients that are averaged over the processes, that is exactly the gradient of the
    loss over the whole batch.

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
    """The model, set up so that a backward pass leaves the mean of all processes' gradients in each.

    The weights of rank 0 are given to all. On CUDA, batch norm that learns takes its statistics over the whole batch.

    Args:
        model: On the device; its ``forward`` must be what is called, and must use every parameter that learns.
        world: The processes.
        device: Where the model is.

    Returns:
        ``DistributedDataParallel`` around the model, or the model itself where there is one process.

    Raises:
        UserError: The model has batch norm that learns, and the processes compute on CPUs, where its statistics cannot
            be taken over the whole batch.
    """
    if world.size == 1:
        return model
    if learns_batch_norm(model):
        if device.type != "cuda":
            raise UserError(
                "this model has batch norm, which several processes can share on CUDA only; "
                "start one process, or set model to one without, such as vit or ViT-B-32."
            )
        share_statistics(model)
    with warnings.catch_warnings():
        # Newer versions have another name for this. Buffers are alike already: constants, or statistics over all.
        warnings.simplefilter("ignore", FutureWarning)
        return DistributedDataParallel(model, broadcast_buffers=False, gradient_as_bucket_view=True)


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
            own = total.new_empty((size, *total.shape[1:]))
            dist.reduce_scatter_tensor(own, total)
        else:
            dist.all_reduce(total)
            own = total[world.rank * size : (world.rank + 1) * size]
        return own.to(gradient.dtype), None

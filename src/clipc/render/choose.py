"""Chooses the renderer of a run, and gives the reason."""

from typing import Final, Literal, NamedTuple

import torch

from clipc.compose.plan import Plans
from clipc.errors import UserError, unknown_name
from clipc.progress import Progress
from clipc.render.batch import Tokenizer
from clipc.render.crop import Augmentation
from clipc.render.free_memory import free_memory
from clipc.render.pixels import Pixels, resident_bytes
from clipc.render.resident import ResidentRenderer
from clipc.render.worker import WorkerRenderer

RENDERERS: Final = ("auto", "worker", "resident", "features")
"""The values of the recipe's key ``renderer``."""

# The shares of free memory that decoded images may take. The model, its gradients and the batches need the rest.
_RAM_SHARE: Final = 0.4
_GPU_SHARE: Final = 0.25


class Choice(NamedTuple):
    """The renderer of a run, with the reason.

    Attributes:
        renderer: The renderer.
        device: The device on which a resident renderer keeps its images.
        reason: One sentence for the log.
    """

    renderer: Literal["worker", "resident", "features"]
    device: torch.device
    reason: str


def choose_renderer(
    name: str,
    plans: Plans,
    augmentation: Augmentation,
    image_size: int,
    *,
    device: torch.device,
    epochs: float,
    processes: int = 1,
    gpus: int = 1,
) -> Choice:
    """Chooses the renderer from the catalog's image sizes, before anything is decoded.

    ``auto`` keeps images decoded if each is shown more than once on average and all of them fit into a quarter of the
    GPU's free memory or two fifths of the free RAM. The choice depends on the machine's state, and the renderers'
    pixels differ a little, so a resumed run must keep its first renderer.

    Args:
        name: One of :data:`RENDERERS`.
        plans: The plans to render.
        augmentation: How views are cropped.
        image_size: The side S of the images, in pixels.
        device: The model's device.
        epochs: Number of epochs.
        processes: The number of processes on this machine that each hold a copy of the images.
        gpus: The number of GPUs that these processes use together: 1 if they share one, the number of processes if
            each has its own.

    Raises:
        UserError: There is no such renderer, or ``name`` is ``resident`` and the images do not fit into memory.
    """
    if name not in RENDERERS:
        raise unknown_name("renderer", name, RENDERERS)
    ram = torch.device("cpu")
    if name == "features":
        return Choice("features", ram, "no image is rendered: batches are made of kept features, as asked.")
    if name == "worker":
        return Choice("worker", ram, "images are decoded anew whenever they are shown, as asked.")
    if name == "auto" and epochs <= 1:
        return Choice("worker", ram, "images are decoded when they are shown: each is shown once at most.")
    images = f"{len(plans.catalog):,} images"
    needed = resident_bytes(plans, augmentation, image_size)
    gpu = [(device, _GPU_SHARE, "on the GPU", -(-processes // gpus))] if device.type == "cuda" else []
    for memory, share, where, copies in (*gpu, (ram, _RAM_SHARE, "in memory", processes)):
        free = free_memory(memory)
        if free is not None and needed * copies <= share * free:
            reason = f"{images} are kept decoded {where}: {_sizes(copies, needed)} of {_size(free)} free."
            return Choice("resident", memory, reason)
    size = _sizes(processes, needed)
    free = free_memory(ram)
    free_text = "how much memory is free is not known" if free is None else f"{_size(free)} are free"
    if name == "auto":
        reason = f"images are decoded anew whenever they are shown: kept, they would take {size}, and {free_text}."
        return Choice("worker", ram, reason)
    if free is not None and needed * processes > free:
        raise UserError(
            f"renderer resident would keep {images} decoded, which takes {size}, and {free_text}; set "
            "renderer to worker or auto, or image_size to fewer pixels."
        )
    return Choice("resident", ram, f"{images} are kept decoded in memory as asked: {size}, and {free_text}.")


def make_renderer(
    choice: Choice, plans: Plans, augmentation: Augmentation, image_size: int, tokenizer: Tokenizer, progress: Progress
) -> WorkerRenderer | ResidentRenderer:
    """Makes the renderer of images that was chosen; a resident one decodes its images at once.

    Args:
        choice: The choice, ``worker`` or ``resident``.
        plans: The plans to render.
        augmentation: How views are cropped.
        image_size: The side S of the images, in pixels.
        tokenizer: The model's tokenizer.
        progress: Called with the number of decoded images.
    """
    if choice.renderer == "worker":
        return WorkerRenderer(plans, augmentation, image_size, tokenizer)
    pixels = Pixels.decode(plans, augmentation, image_size, choice.device, progress)
    return ResidentRenderer(plans, augmentation, image_size, tokenizer, pixels)


def _sizes(copies: int, size: float) -> str:
    return f"{copies} x {_size(size)}" if copies > 1 else _size(size)


def _size(size: float) -> str:
    return f"{size / 1e9:,.1f} GB" if size >= 1e9 else f"{size / 1e6:,.1f} MB"

"""Which renderer a run uses, and why."""

from typing import Final, Literal, NamedTuple

import torch

from clipc.compose.plan import Plans
from clipc.errors import UserError, unknown_name
from clipc.progress import Progress, silent
from clipc.render.batch import Tokenizer
from clipc.render.crop import Augmentation
from clipc.render.free_memory import free_memory
from clipc.render.pixels import resident_bytes
from clipc.render.resident import ResidentRenderer, shows_strong_views
from clipc.render.worker import WorkerRenderer

RENDERERS: Final = ("auto", "worker", "resident")
"""What may be asked for."""

_SHARE_OF_RAM: Final = 0.4
_SHARE_OF_GPU: Final = 0.25
"""How much of what is free pictures may take: the model, its gradients and the batches need the rest."""


class Choice(NamedTuple):
    """A decision that can be told and kept.

    Attributes:
        renderer: What is used.
        device: Where a resident renderer keeps its pictures.
        reason: One sentence for the screen.
    """

    renderer: Literal["worker", "resident"]
    device: torch.device
    reason: str


def choose_renderer(
    wanted: str,
    plans: Plans,
    augmentation: Augmentation,
    image_size: int,
    *,
    device: torch.device,
    epochs: float,
    sharing: int = 1,
    gpus: int = 1,
) -> Choice:
    """Decides from the table alone, before anything is decoded.

    ``auto`` keeps pictures decoded where they fit well within what is free (a quarter of the GPU's memory, else two
    fifths of RAM) and are shown more than once on average. The answer hangs on the machine's state, and the
    renderers' pixels differ a little: a run that goes on must go on with the renderer that it began with.

    Args:
        wanted: One of :data:`RENDERERS`.
        plans: What will be shown.
        augmentation: How views will be cut.
        image_size: The side S of the pictures, in pixels.
        device: What the model will run on.
        epochs: How often each pair will come first.
        sharing: How many processes of this machine each keep their own copy.
        gpus: How many GPUs these processes are spread over, where the device is one: 1 for trials that share it, as
            many as processes where each has its own.

    Raises:
        UserError: There is no such renderer, or the pictures are to be kept and do not fit.
    """
    if wanted not in RENDERERS:
        raise unknown_name("renderer", wanted, RENDERERS)
    ram = torch.device("cpu")
    if wanted == "worker":
        return Choice("worker", ram, "pictures are decoded anew whenever they are shown, as asked.")
    if wanted == "auto" and epochs <= 1:
        return Choice("worker", ram, "pictures are decoded when they are shown: each is shown once at most.")
    pairs = f"{len(plans.catalog):,} pictures"
    needed = resident_bytes(plans.catalog, augmentation, image_size, strong=shows_strong_views(plans))
    gpu = [(device, _SHARE_OF_GPU, "on the GPU", -(-sharing // gpus))] if device.type == "cuda" else []
    for place, share, where, copies in (*gpu, (ram, _SHARE_OF_RAM, "in memory", sharing)):
        free = free_memory(place)
        if free is not None and needed * copies <= share * free:
            told = f"{pairs} are kept decoded {where}: {_sizes(copies, needed)} of {_size(free)} free."
            return Choice("resident", place, told)
    size = _sizes(sharing, needed)
    free = free_memory(ram)
    room = "how much memory is free is not known" if free is None else f"{_size(free)} are free"
    if wanted == "resident" and (free is None or needed * sharing <= free):
        told = f"{pairs} are kept decoded in memory as asked: {size}, and {room}."
        return Choice("resident", ram, told)
    if wanted == "resident":
        raise UserError(
            f"renderer resident would keep {pairs} decoded, which takes {size}, and {room}; set "
            "renderer to worker or auto, or image_size to fewer pixels."
        )
    told = f"pictures are decoded anew whenever they are shown: kept, they would take {size}, and {room}."
    return Choice("worker", ram, told)


def make_renderer(
    choice: Choice,
    plans: Plans,
    augmentation: Augmentation,
    image_size: int,
    tokenizer: Tokenizer,
    progress: Progress = silent,
) -> WorkerRenderer | ResidentRenderer:
    """The renderer that was chosen; a resident one decodes its pictures now.

    Args:
        choice: The decision.
        plans: What to show.
        augmentation: How views are cut.
        image_size: The side S of the pictures, in pixels.
        tokenizer: The model's.
        progress: Told the number of pictures decoded.
    """
    if choice.renderer == "worker":
        return WorkerRenderer(plans, augmentation, image_size, tokenizer)
    return ResidentRenderer.create(plans, augmentation, image_size, tokenizer, choice.device, progress)


def _sizes(copies: int, count: float) -> str:
    return f"{copies} x {_size(count)}" if copies > 1 else _size(count)


def _size(count: float) -> str:
    return f"{count / 1e9:,.1f} GB" if count >= 1e9 else f"{count / 1e6:,.1f} MB"

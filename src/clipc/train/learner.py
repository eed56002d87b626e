"""One step of learning: features, loss, gradients, update; whole or in parts, alone or with other processes."""

import math
from collections.abc import Generator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, Final

import torch
from torch import nn

from clipc.errors import UserError
from clipc.models.model import ClipModel
from clipc.recipe.recipe import Recipe
from clipc.render.batch import Batch
from clipc.train.batch_norm import learns_batch_norm
from clipc.train.distributed import World
from clipc.train.loss import local_contrastive_loss, shared_sources, siglip_loss
from clipc.train.optimizer import adamw, learning_rate_at
from clipc.train.parallel import data_parallel, gather, gather_with_gradient

MAX_LOG_SCALE: Final = 4.6052
"""ln 100, the largest inverse temperature in CLIP; SigLIP knows no such bound, and its published weights go beyond."""


@dataclass
class Learner:
    """A model and what changes it.

    Attributes:
        recipe: How it learns.
        model: What learns.
        optimizer: AdamW over the parameters that learn.
        steps: The number of steps of the whole run.
        precision: In which the towers compute; losses and weights are ``float32``.
        world: The processes that learn together.
    """

    recipe: Recipe
    model: ClipModel
    optimizer: torch.optim.Optimizer
    steps: int
    precision: torch.dtype
    world: World

    @classmethod
    def create(cls, recipe: Recipe, model: ClipModel, steps: int, precision: torch.dtype, world: World) -> "Learner":
        """A learner at its first step.

        Args:
            recipe: How to learn.
            model: On its device, with what shall not learn locked already.
            steps: The number of steps of the whole run.
            precision: As :func:`~clipc.models.device.choose_precision` gives it.
            world: The processes that learn together.

        Raises:
            UserError: The model cannot be trained in parts, with activations recomputed, or by several processes.
        """
        if recipe.grad_cache_chunks > 1 and learns_batch_norm(model):
            raise UserError(
                f"this model has batch norm, which takes its statistics over what it sees at once, so "
                f"grad_cache_chunks={recipe.grad_cache_chunks} would change the result; "
                "set grad_cache_chunks=1, or model to one without, such as vit."
            )
        if recipe.grad_checkpointing and learns_batch_norm(model):
            raise UserError(
                "this model has batch norm, whose running statistics would count each batch twice with "
                "grad_checkpointing=true; "
                "set grad_checkpointing=false, or model to one without, such as vit."
            )
        for name, parameter in model.clip.named_parameters():
            # What the loss does not read must not learn: processes wait for every gradient.
            if (name == "logit_bias" and recipe.loss != "siglip") or name.startswith("text_decoder."):
                parameter.requires_grad_(False)
        if recipe.temperature is not None:
            with torch.no_grad():
                model.logit_scale.fill_(-math.log(recipe.temperature))
            model.logit_scale.requires_grad_(False)
        if recipe.grad_checkpointing:
            model.clip.set_grad_checkpointing(True)  # pyright: ignore
        optimizer = adamw(
            model, recipe.learning_rate, recipe.weight_decay, recipe.betas, layer_decay=recipe.tune.layer_decay
        )
        learner = cls(recipe, model, optimizer, steps, precision, world)
        learner._parallel = data_parallel(model, world, model.device)
        if recipe.compile:
            for tower in _towers(model.clip):
                tower.compile()
        return learner

    def __post_init__(self) -> None:
        self._parallel: nn.Module = self.model

    def learn(self, batch: Batch, step: int) -> torch.Tensor:
        """One step: gradients of the whole virtual batch, clipped, and an update.

        Args:
            batch: This process's share of the batch.
            step: The number of the step, from 0; all chance in the model (dropout) comes from it.

        Returns:
            The loss of this process's rows, a scalar; its mean over the processes is that of the batch.
        """
        recipe, model = self.recipe, self.model
        model.train()
        rate = learning_rate_at(step, self.steps, recipe.learning_rate, round(recipe.warmup * self.steps))
        for group in self.optimizer.param_groups:
            group["lr"] = rate * group.get("lr_scale", 1.0)
        self.optimizer.zero_grad(set_to_none=True)
        loss = self._whole(batch, step) if recipe.grad_cache_chunks == 1 else self._in_chunks(batch, step)
        torch.nn.utils.clip_grad_norm_(model.parameters(), recipe.clip_norm)
        self.optimizer.step()
        if recipe.loss == "clip":
            with torch.no_grad():
                model.logit_scale.clamp_(max=MAX_LOG_SCALE)
        return loss

    def _whole(self, batch: Batch, step: int) -> torch.Tensor:
        loss = self._loss(*self._features(self._parallel, batch.images, batch.tokens, step, 0), batch)
        loss.backward()
        return loss.detach()

    def _in_chunks(self, batch: Batch, step: int) -> torch.Tensor:
        """Gradient caching (Gao et al., arXiv 2101.06983): memory of a part, negatives of the whole batch.

        The features of all parts come first, without a graph; the loss over them gives each feature's gradient; then
        every part is computed again and passes its share of these on to the weights.
        """
        chunks = self.recipe.grad_cache_chunks
        parts = list(zip(batch.images.chunk(chunks), batch.tokens.chunk(chunks), strict=True))
        with torch.no_grad():
            found = [self._features(self.model, *part, step, i) for i, part in enumerate(parts)]
        images, texts, scorings = zip(*found, strict=True)
        cached = [torch.cat(images).requires_grad_(), torch.cat(texts).requires_grad_(), scorings[0].requires_grad_()]
        loss = self._loss(cached[0], cached[1], cached[2], batch)
        logits_per_image, logits_per_text, by_scoring = torch.autograd.grad(loss, cached)
        for i, (part, to_image, to_text) in enumerate(
            zip(parts, logits_per_image.chunk(chunks), logits_per_text.chunk(chunks), strict=True)
        ):
            last = i == len(parts) - 1
            # Gradients travel between processes once, with the last part.
            with nullcontext() if last else self._unsynchronised():
                image, text, scoring = self._features(self._parallel, *part, step, i)
                passed = (image * to_image).sum() + (text * to_text).sum()
                (passed + (scoring * by_scoring).sum() if last else passed).backward()
        return loss.detach()

    def _features(
        self, model: nn.Module, images: torch.Tensor, tokens: torch.Tensor, step: int, part: int
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        device = self.model.device
        autocast = torch.autocast(device.type, self.precision, enabled=self.precision != torch.float32)
        with autocast, _chance(f"{self.recipe.seed} {step} {self.world.rank} {part}"):
            image, text, *scoring = model(images.to(device, non_blocking=True), tokens)
        return image, text, torch.stack(scoring)

    def _loss(self, image: torch.Tensor, text: torch.Tensor, scoring: torch.Tensor, batch: Batch) -> torch.Tensor:
        world, same = self.world, None
        if self.recipe.mask_false_negatives:
            sources, texts = (ids.to(image.device, non_blocking=True) for ids in (batch.sources, batch.texts))
            same = shared_sources(sources, texts, gather(sources, world), gather(texts, world))
        if self.recipe.loss == "siglip":
            all_text = gather_with_gradient(text, world)
            return siglip_loss(image, all_text, scoring[0], scoring[1], same, offset=world.rank * len(image))
        all_image, all_text = gather_with_gradient(torch.stack([image, text], dim=1), world).unbind(dim=1)
        return local_contrastive_loss(
            image, text, all_image, all_text, scoring[0], offset=world.rank * len(image), same=same
        )

    def _unsynchronised(self) -> AbstractContextManager[None]:
        no_sync: Any = getattr(self._parallel, "no_sync", nullcontext)
        return no_sync()


@contextmanager
def _chance(name: str) -> Generator[None]:
    """Seeds PyTorch's generators for what a model draws (dropout); that of the CPU is put back afterwards."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(int.from_bytes(blake2b(name.encode(), digest_size=7).digest(), "big"))
        yield


def _towers(clip: nn.Module) -> list[nn.Module]:
    """The parts of an open_clip model that hold nearly all of its work."""
    found = (getattr(clip, name, None) for name in ("visual", "text", "transformer"))
    return [tower for tower in found if isinstance(tower, nn.Module)]

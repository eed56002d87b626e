"""One training step: features, loss, gradients and update; optionally with gradient caching and data parallelism."""

import math
from contextlib import nullcontext
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, Final

import torch
from torch import nn

from clipc.errors import UserError
from clipc.models.model import ClipModel
from clipc.recipe.recipe import Recipe
from clipc.render.batch import Batch
from clipc.train.distributed import World
from clipc.train.loss import local_contrastive_loss, shared_sources, siglip_loss
from clipc.train.optimizer import adamw, learning_rate_at
from clipc.train.parallel import data_parallel, gather, gather_with_gradient, has_trainable_batch_norm

MAX_LOG_SCALE: Final = 4.6052
"""ln 100: CLIP limits its inverse temperature to 100. SigLIP has no limit, and its published weights exceed 100."""


@dataclass
class Learner:
    """A model and its optimizer, with the method that trains them for one step.

    Attributes:
        recipe: The configuration of the run.
        model: The model in training.
        optimizer: AdamW over the trainable parameters.
        steps: The number of steps of the whole run.
        precision: The precision of the towers; losses and weights are ``float32``.
        world: The processes that train together.
    """

    recipe: Recipe
    model: ClipModel
    optimizer: torch.optim.Optimizer
    steps: int
    precision: torch.dtype
    world: World

    @classmethod
    def create(cls, recipe: Recipe, model: ClipModel, steps: int, precision: torch.dtype, world: World) -> "Learner":
        """A learner before its first step.

        Args:
            recipe: The configuration of the run.
            model: The model on its device, with its layers frozen already. Parameters that the loss does not use are
                frozen here.
            steps: The number of steps of the whole run.
            precision: From :func:`~clipc.models.device.choose_precision`.
            world: The processes that train together.

        Raises:
            UserError: The model does not support gradient caching, gradient checkpointing or several processes.
        """
        if recipe.grad_cache_chunks > 1 and has_trainable_batch_norm(model):
            raise UserError(
                f"this model has batch norm, which takes its statistics over one chunk at a time, so "
                f"grad_cache_chunks={recipe.grad_cache_chunks} would change the result; "
                "set grad_cache_chunks=1, or model to one without batch norm, such as vit."
            )
        if recipe.grad_checkpointing and has_trainable_batch_norm(model):
            raise UserError(
                "this model has batch norm, whose running statistics would count each batch twice with "
                "grad_checkpointing=true; "
                "set grad_checkpointing=false, or model to one without batch norm, such as vit."
            )
        for name, parameter in model.clip.named_parameters():
            # Data parallelism waits for the gradient of every trainable parameter, so unused ones are frozen.
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
            for tower in (getattr(model.clip, name, None) for name in ("visual", "text", "transformer")):
                if isinstance(tower, nn.Module):
                    tower.compile()
        return learner

    def __post_init__(self) -> None:
        # :meth:`create` replaces it with the model wrapped for data parallelism.
        self._parallel: nn.Module = self.model
        # Walking through all parameters and modules takes as long as a small step.
        self._trained = [parameter for parameter in self.model.parameters() if parameter.requires_grad]

    def learn(self, batch: Batch, step: int) -> torch.Tensor:
        """One step: computes the gradient of the global batch, clips it and updates the weights.

        Args:
            batch: This process's share of the batch.
            step: The number of the step, from 0; it seeds the random numbers of the model (dropout).

        Returns:
            The loss of this process's share, a scalar; its mean over the processes is the loss of the batch.
        """
        recipe, model = self.recipe, self.model
        if not model.training:
            model.train()
        rate = learning_rate_at(step, self.steps, recipe.learning_rate, round(recipe.warmup * self.steps))
        for group in self.optimizer.param_groups:
            group["lr"] = rate * group.get("lr_scale", 1.0)
        self.optimizer.zero_grad(set_to_none=True)
        loss = self._backward(batch, step) if recipe.grad_cache_chunks == 1 else self._backward_in_chunks(batch, step)
        torch.nn.utils.clip_grad_norm_(self._trained, recipe.clip_norm)
        self.optimizer.step()
        if recipe.loss == "clip":
            with torch.no_grad():
                model.logit_scale.clamp_(max=MAX_LOG_SCALE)
        return loss

    def _backward(self, batch: Batch, step: int) -> torch.Tensor:
        loss = self._loss(*self._features(self._parallel, batch.images, batch.tokens, step, 0), batch)
        loss.backward()
        return loss.detach()

    def _backward_in_chunks(self, batch: Batch, step: int) -> torch.Tensor:
        """Gradient caching (Gao et al., arXiv 2101.06983): the memory of one chunk, the negatives of the whole batch.

        First, the features of all chunks are computed without a graph, and the loss over them gives the gradient of
        each feature. Then each chunk is encoded again with a graph, and backpropagates the gradients of its features.
        """
        count = self.recipe.grad_cache_chunks
        chunks = list(zip(batch.images.chunk(count), batch.tokens.chunk(count), strict=True))
        with torch.no_grad():
            features = [self._features(self.model, *chunk, step, i) for i, chunk in enumerate(chunks)]
        images, texts, scales_and_biases = zip(*features, strict=True)
        image, text, scale_and_bias = torch.cat(images), torch.cat(texts), scales_and_biases[0]
        leaves = [tensor.requires_grad_() for tensor in (image, text, scale_and_bias)]
        loss = self._loss(image, text, scale_and_bias, batch)
        image_grad, text_grad, scale_grad = torch.autograd.grad(loss, leaves)
        grads = zip(image_grad.chunk(count), text_grad.chunk(count), strict=True)
        no_sync: Any = getattr(self._parallel, "no_sync", nullcontext)
        for i, (chunk, (image_chunk_grad, text_chunk_grad)) in enumerate(zip(chunks, grads, strict=True)):
            last = i == len(chunks) - 1
            # Gradients are averaged over processes only once, with the last chunk.
            with nullcontext() if last else no_sync():
                image, text, scale_and_bias = self._features(self._parallel, *chunk, step, i)
                # The gradient of this surrogate with respect to the features is the cached one.
                surrogate = (image * image_chunk_grad).sum() + (text * text_chunk_grad).sum()
                if last:  # all chunks share the scale and the bias, whose gradient must be added only once
                    surrogate = surrogate + (scale_and_bias * scale_grad).sum()
                surrogate.backward()
        return loss.detach()

    def _features(
        self, model: nn.Module, images: torch.Tensor, tokens: torch.Tensor, step: int, chunk: int
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Image and text features, (b, D) each, and a vector (inverse temperature[, bias]), shape (1,) or (2,)."""
        # The seed depends on the chunk, not on the pass: both passes of gradient caching draw the same dropout.
        device, seed = self.model.device, f"{self.recipe.seed} {step} {self.world.rank} {chunk}"
        autocast = torch.autocast(device.type, self.precision, enabled=self.precision != torch.float32)
        with autocast, torch.random.fork_rng(devices=[]):
            torch.manual_seed(int.from_bytes(blake2b(seed.encode(), digest_size=7).digest(), "big"))
            image, text, *scale_and_bias = model(images.to(device, non_blocking=True), tokens)
        return image, text, torch.stack(scale_and_bias)

    def _loss(
        self, image: torch.Tensor, text: torch.Tensor, scale_and_bias: torch.Tensor, batch: Batch
    ) -> torch.Tensor:
        """The loss of this process's rows.

        If the recipe says so, false negatives are masked: examples that share a source image or have an equal caption.
        """
        world, same_source, offset = self.world, None, self.world.rank * len(image)
        if self.recipe.mask_false_negatives:
            sources, texts = (ids.to(image.device, non_blocking=True) for ids in (batch.sources, batch.texts))
            same_source = shared_sources(sources, texts, gather(sources, world), gather(texts, world))
        if self.recipe.loss == "siglip":
            scale, bias = scale_and_bias
            return siglip_loss(image, gather_with_gradient(text, world), scale, bias, same_source, offset)
        all_image, all_text = gather_with_gradient(torch.stack([image, text], dim=1), world).unbind(dim=1)
        return local_contrastive_loss(image, text, all_image, all_text, scale_and_bias[0], offset, same_source)

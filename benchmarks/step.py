"""A training step of clipc's against one of open_clip_train's: same weights, pictures, captions and optimizer.

    python benchmarks/step.py [--models ViT-S-16 ViT-B-32] [--source FOLDER] [--batch 32] [--rounds 6] [--steps 1]
                              [--precision fp32] [--device cpu] [--compile] [--rho 0.3] [--threads 1] [--quick]

The captions are a source's (the demo set's by default), composed at the rate rho; the pictures are noise, since a step
costs the same whatever they show. open_clip_train's step is its own ``train_one_epoch``, given pictures that are
normalised already, as its loader makes them; clipc's takes them in uint8 and normalises. In every round both make so
many steps, each in turn first; the first round warms up and is not timed. The loss at the end of each round is shown
for both: in fp32 they have to agree. On a CPU the figures are processor time, so that a busy machine does not matter;
on a GPU the figures of several steps (--steps 20) between two stops of the clock.
"""

import argparse
import logging
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from types import SimpleNamespace
from typing import Any

import numpy as np
import open_clip
import torch
from open_clip_train.scheduler import cosine_lr
from open_clip_train.train import train_one_epoch

from clipc import Policy, open_catalog
from clipc.models.device import choose_device, choose_precision
from clipc.models.model import ClipModel
from clipc.models.text_tower import computed_tokens, token_lengths
from clipc.prepare.plans import make_plans
from clipc.recipe.recipe import Recipe, make_recipe
from clipc.recipe.run import cpu_name
from clipc.render.batch import Batch
from clipc.render.texts import texts
from clipc.train.distributed import World
from clipc.train.learner import Learner
from clipc.train.throughput import StepFlops, peak_flops

BATCHES = 4
"""Different batches, again and again: more would only take memory."""


@dataclass
class Ours:
    """clipc's step."""

    learner: Learner
    batches: list[Batch]
    seconds: list[float] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)
    step: int = 0

    def learn(self, steps: int) -> float:
        """Makes so many steps and returns the loss of the last."""
        loss = torch.zeros(())
        for _ in range(steps):
            loss = self.learner.learn(self.batches[self.step % BATCHES], self.step)
            self.step += 1
        return float(loss)


@dataclass
class Theirs:
    """open_clip_train's step: epochs of so many steps."""

    model: Any
    optimizer: torch.optim.Optimizer
    schedule: Any
    args: SimpleNamespace
    batches: list[tuple[torch.Tensor, torch.Tensor]]
    seconds: list[float] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)
    step: int = 0

    @classmethod
    def create(cls, ours: Learner, batches: list[Batch]) -> "Theirs":
        """With our weights, and optimizer and arguments as ``open_clip_train.main`` makes them of the same recipe."""
        recipe, device = ours.recipe, ours.model.device
        with tempfile.TemporaryDirectory() as folder:
            ours.model.save(Path(folder))
            model: Any = open_clip.create_model(f"local-dir:{folder}", device=device, output_dict=True)
        kept = [p for n, p in model.named_parameters() if p.ndim < 2 or "bn" in n or "ln" in n or "bias" in n]
        known = set(map(id, kept))
        decayed = [p for p in model.parameters() if id(p) not in known]
        groups = [{"params": kept, "weight_decay": 0.0}, {"params": decayed, "weight_decay": recipe.weight_decay}]
        optimizer = torch.optim.AdamW(groups, lr=recipe.learning_rate, betas=recipe.betas, eps=1e-6)
        schedule = cosine_lr(optimizer, recipe.learning_rate, round(recipe.warmup * ours.steps), ours.steps)
        args = SimpleNamespace(
            device=str(device),
            precision="fp32" if ours.precision == torch.float32 else "amp_bf16",
            batch_size=recipe.batch_size,
            grad_clip_norm=recipe.clip_norm,
            accum_freq=1,
            log_every_n_steps=10**9,
            distill=False,
            skip_scheduler=False,
            horovod=False,
            wandb=False,
            rank=0,
            local_rank=0,
            world_size=1,
        )
        mean, std = (torch.tensor(values) * 255 for values in (model.visual.image_mean, model.visual.image_std))
        made = [(((b.images - mean) / std).permute(0, 3, 1, 2).contiguous(), b.tokens) for b in batches]
        if device.type == "cuda":
            made = [(images.pin_memory(), tokens.pin_memory()) for images, tokens in made]
        return cls(torch.compile(model) if recipe.compile else model, optimizer, schedule, args, made)

    def learn(self, steps: int) -> float:
        """Makes so many steps and returns the loss of the last."""
        told: dict[str, float] = {}
        board = SimpleNamespace(add_scalar=lambda name, value, _: told.__setitem__(name, value))
        shown = [self.batches[(self.step + i) % BATCHES] for i in range(steps)]
        loader = _Loader(shown)
        data = {"train": SimpleNamespace(dataloader=loader, set_epoch=lambda _: None)}
        loss = open_clip.ClipLoss(cache_labels=True)
        epoch = self.step // steps
        train_one_epoch(self.model, data, loss, epoch, self.optimizer, None, self.schedule, None, self.args, board)
        self.step += steps
        return told["train/loss"]


class _Loader(list[tuple[torch.Tensor, torch.Tensor]]):
    """Batches, and what ``train_one_epoch`` asks of its loader."""

    @property
    def num_batches(self) -> int:
        return len(self)

    @property
    def num_samples(self) -> int:
        return sum(len(images) for images, _ in self)


def captions_of(source: str, rho: float, count: int, tokenizer: Any) -> list[str]:
    """The captions of the first rows of a source's first epoch."""
    plans = make_plans(Policy(rho=rho), open_catalog(source).split("train"), 0)
    return texts(plans, plans.rows(0, count), tokenizer).captions


def make_batches(recipe: Recipe, model: ClipModel, captions: Sequence[str]) -> list[Batch]:
    """Noise with captions."""
    generator = np.random.Generator(np.random.Philox(0))
    size, rows = model.image_size, recipe.batch_size
    nothing = torch.full((rows, 2), -1)
    batches = []
    for number in range(BATCHES):
        images = torch.from_numpy(generator.integers(0, 256, (rows, size, size, 3), dtype=np.uint8))
        tokens = model.tokenizer(list(captions[number * rows : (number + 1) * rows]))
        batches.append(Batch(images, tokens, nothing, nothing, treated=0, shortened=0))
    return [batch.pin_memory() for batch in batches] if model.device.type == "cuda" else batches


def timed(side: Ours | Theirs, steps: int, device: torch.device) -> None:
    """One round of one side."""
    if device.type == "cuda":
        torch.cuda.synchronize()
    clock = time.process_time if device.type == "cpu" else time.perf_counter
    began = clock()
    side.losses.append(side.learn(steps))  # Reading the loss waits for the device.
    if device.type == "cuda":
        torch.cuda.synchronize()
    side.seconds.append((clock() - began) / steps)


def compare(name: str, asked: argparse.Namespace) -> float:
    """Prints one model's table; returns the largest difference of the losses."""
    device = choose_device(asked.device)
    precision = choose_precision(asked.precision, device)
    recipe = make_recipe(
        {
            "model": name,
            "batch_size": asked.batch,
            "samples": asked.batch * asked.rounds * asked.steps,
            "learning_rate": 5e-4,
            "weight_decay": 0.2,
            "warmup": 0.2,
            "mask": False,
            "compile": asked.compile,
        }
    )
    model = ClipModel.create(name).to(device)
    captions = captions_of(asked.source, asked.rho, BATCHES * asked.batch, model.tokenizer)
    batches = make_batches(recipe, model, captions)
    flops = StepFlops.count(model)
    learner = Learner.create(recipe, model, asked.rounds * asked.steps, precision, World())
    ours, theirs = Ours(learner, batches), Theirs.create(learner, batches)
    for number in range(asked.rounds):
        for side in (ours, theirs) if number % 2 else (theirs, ours):
            timed(side, asked.steps, device)
    lengths = torch.cat([token_lengths(batch.tokens) for batch in batches])
    computed = float(np.mean([computed_tokens(model.clip, batch.tokens) for batch in batches]))
    context = model.tokenizer.context_length
    print(f"\n{name} at {model.image_size} px, batch {asked.batch}, {precision}{', compiled' if asked.compile else ''}")
    print(
        f"captions: {float(lengths.float().mean()):.1f} tokens on average, {int(lengths.max())} at most; "
        f"computed: {computed:.1f} a caption by clipc, {context} by open_clip_train"
    )
    peak, where = peak_flops(device, precision)
    print(f"{'':16s}{'s a step':>10s}{'pairs/s':>10s}{'MFU':>8s}   losses")
    for side, tokens in ((ours, computed), (theirs, context)):
        seconds = median(side.seconds[1:])
        rate = asked.batch / seconds
        share = f"{rate * flops.of_pair(tokens) / peak:7.1%}" if flops and peak else "-"
        losses = " ".join(f"{loss:.6f}" for loss in side.losses)
        print(f"{'clipc' if side is ours else 'open_clip_train':16s}{seconds:10.4f}{rate:10,.1f}{share:>8s}   {losses}")
    ratios = [slow / quick for slow, quick in zip(theirs.seconds[1:], ours.seconds[1:], strict=True)]
    apart = max(abs(a - b) for a, b in zip(ours.losses, theirs.losses, strict=True))
    print(
        f"ratio {median(ratios):.2f} (median of {len(ratios)} rounds, {min(ratios):.2f} to {max(ratios):.2f}); "
        f"losses differ by at most {apart:.1e}; MFU of {where}"
    )
    return apart


def main() -> None:
    """Prints a table for each model."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", nargs="+", default=["ViT-S-16", "ViT-B-32"])
    parser.add_argument("--source", default="demo")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--steps", type=int, default=1, help="steps a round")
    parser.add_argument("--precision", default="fp32", choices=["fp32", "bf16"])
    parser.add_argument("--device", default="auto")
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--rho", type=float, default=0.0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--quick", action="store_true", help="a small model, to see that it runs")
    asked = parser.parse_args()
    if asked.quick:
        asked.models, asked.batch, asked.rounds = ["nano"], 8, 3
    logging.disable(logging.WARNING)  # open_clip tells that fresh weights are fresh.
    torch.set_num_threads(asked.threads)
    device = choose_device(asked.device)
    what = torch.cuda.get_device_name(device) if device.type == "cuda" else f"{cpu_name()}, {asked.threads} thread(s)"
    print(f"{what}; torch {torch.__version__}, open_clip {open_clip.__version__}; captions of {asked.source}")
    for name in asked.models:
        compare(name, asked)


if __name__ == "__main__":
    main()

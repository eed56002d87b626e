"""Training: one loop that can be read in one sitting."""

import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from math import isfinite
from pathlib import Path
from typing import Final

import torch

from clipc.catalog import Catalog
from clipc.compose.plan import Plans
from clipc.errors import UserError
from clipc.evaluate.embed import embed
from clipc.evaluate.retrieval import retrieval
from clipc.progress import Progress, silent
from clipc.render.batch import Batch
from clipc.render.loader import load
from clipc.render.worker import WorkerRenderer
from clipc.train.checkpoint import State, checkpoint_steps, load_checkpoint, save_checkpoint
from clipc.train.device import choose_device, choose_precision
from clipc.train.interrupt import Interrupted, StopFlag, stop_signals
from clipc.train.loss import contrastive_loss, shared_sources
from clipc.train.model import ClipModel
from clipc.train.optimizer import adamw, learning_rate_at
from clipc.train.plans import make_plans
from clipc.train.recipe import Recipe
from clipc.train.run import Run, environment
from clipc.train.vocabulary import tokenizer_for

LOG_EVERY: Final = 10
MAX_LOG_SCALE: Final = 4.6052  # ln 100, the largest inverse temperature in CLIP


def train(recipe: Recipe, folder: Path, *, catalog: Catalog | None = None, progress: Progress = silent) -> Run:
    """Trains one model, or goes on where an earlier call stopped.

    On the CPU a run that was stopped, in whatever way, ends in the same weights to the last bit as one
    that never was: all chance comes from the seed and the step's number, and the thread count is that of
    the run's first start.

    Args:
        recipe: What to do.
        folder: The run folder; a finished run in it is returned as it is.
        catalog: The opened data, to open them once for many runs; otherwise the recipe's source is opened.
        progress: Told the pairs shown so far.

    Raises:
        UserError: Too few pairs for a batch, a loss that is no number, a full disk.
        Interrupted: Ctrl-C or SIGTERM; a checkpoint has been written.
    """
    run = Run(folder)
    if run.finished is not None:
        return run
    catalog = catalog or recipe.data.open(progress)
    device = choose_device(recipe.device)
    trainer = Trainer.create(recipe, run, catalog, device, progress)
    began = run.begin(recipe, environment(device.type, recipe.threads or torch.get_num_threads()))
    with threads(began["threads"]), stop_signals() as stop:
        trainer.resume()
        trainer.fit(progress, stop)
    return run


@dataclass
class Tally:
    """What a run has counted so far; it travels with the checkpoints.

    Attributes:
        seconds: Time in training steps, loading included, validation not.
        core_seconds: Processor time of this process in those steps.
        validation_core_seconds: Processor time of this process in validation.
        treated: Examples that were composed, or strongly augmented in the control.
        shortened: Captions that were cut to fit the context.
        unreadable: Images that could not be read and were shown as grey.
    """

    seconds: float = 0.0
    core_seconds: float = 0.0
    validation_core_seconds: float = 0.0
    treated: int = 0
    shortened: int = 0
    unreadable: int = 0


@dataclass
class Trainer:
    """A run in progress: the model, the optimizer, and how far they are."""

    recipe: Recipe
    run: Run
    plans: Plans
    validation: Catalog | None
    model: ClipModel
    optimizer: torch.optim.Optimizer
    device: torch.device
    precision: torch.dtype
    steps: int
    step: int = 0
    best: dict[str, float] | None = None
    tally: Tally = field(default_factory=Tally)

    @classmethod
    def create(
        cls, recipe: Recipe, run: Run, catalog: Catalog, device: torch.device, progress: Progress = silent
    ) -> "Trainer":
        """A trainer at step 0."""
        pairs = catalog.split("train")
        if len(pairs) < recipe.batch_size:
            raise UserError(
                f"{catalog.about.name} has {len(pairs)} training pairs, fewer than one batch of {recipe.batch_size}; "
                f"set batch_size={max(2, len(pairs) // 4)} (a batch needs 2 pairs at least), or give more pairs."
            )
        tokenizer = tokenizer_for(recipe, catalog)
        model = ClipModel.create(recipe.model, image_size=recipe.image_size, seed=recipe.seed, tokenizer=tokenizer)
        model = model.to(device)
        return cls(
            recipe=recipe,
            run=run,
            plans=make_plans(recipe.policy, pairs, recipe.seed, cache=recipe.data.cache, progress=progress),
            validation=catalog.split("val") if recipe.validations and "val" in catalog.splits else None,
            model=model,
            optimizer=adamw(model, recipe.learning_rate, recipe.weight_decay, recipe.betas),
            device=device,
            precision=choose_precision(recipe.precision, device),
            steps=recipe.steps(len(pairs)),
        )

    def fit(self, progress: Progress, stop: StopFlag) -> None:
        """Trains to the last step, validates on the way, keeps the best and the last model."""
        size = self.recipe.batch_size
        every = -(-self.steps // max(1, self.recipe.validations))
        self.run.write_json("plan-statistics.json", self.plans.rows(0, len(self.plans.catalog)).statistics())
        batches = self._batches()
        saved, logged = time.monotonic(), Lap(self.step)
        progress("training", self.step * size, self.steps * size)
        while self.step < self.steps:
            lap = Lap()
            batch = next(batches)
            waited = lap.seconds
            loss = self._learn(batch)
            self.step += 1
            self.tally.treated += batch.treated
            self.tally.shortened += batch.shortened
            self._tell_unreadable(batch)
            self.tally.seconds += lap.seconds
            self.tally.core_seconds += lap.core_seconds
            if self.step % LOG_EVERY == 0 or self.step == self.steps:
                self._log(float(loss), waited / lap.seconds, logged.rate(self.step) * size)
                progress("training", self.step * size, self.steps * size)
                logged = Lap(self.step)
            if self.validation is not None and (self.step % every == 0 or self.step == self.steps):
                lap = Lap()
                self._validate(self.validation)
                self.tally.validation_core_seconds += lap.core_seconds
                logged = Lap(self.step)
            if stop.asked:
                self._save()
                raise Interrupted(f"stopped at step {self.step} of {self.steps}; the same command goes on from there.")
            if time.monotonic() - saved > self.recipe.checkpoint_seconds and self.step < self.steps:
                self._save()
                saved = time.monotonic()
        self._finish()

    def _batches(self) -> Iterator[Batch]:
        renderer = WorkerRenderer(self.plans, self.recipe.augmentation, self.model.image_size, self.model.tokenizer)
        steps = range(self.step, self.steps)
        pin = self.device.type == "cuda"
        return load(renderer, self.recipe.batch_size, steps, workers=self.recipe.workers, pin=pin)

    def _learn(self, batch: Batch) -> torch.Tensor:
        """One step: forward, backward, update."""
        recipe, model = self.recipe, self.model
        model.train()
        rate = learning_rate_at(self.step, self.steps, recipe.learning_rate, round(recipe.warmup * self.steps))
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        with torch.autocast(self.device.type, self.precision, enabled=self.precision != torch.float32):
            image_features = model.encode_image(batch.images.to(self.device, non_blocking=True))
            text_features = model.encode_tokens(batch.tokens)
        same = shared_sources(batch.sources, batch.texts).to(self.device) if recipe.mask else None
        loss = contrastive_loss(image_features, text_features, model.logit_scale.exp(), same)
        if self.device.type == "cpu" and not torch.isfinite(loss):  # On a GPU the log reads it, without a stall.
            raise self._diverged()
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), recipe.clip_norm)
        self.optimizer.step()
        with torch.no_grad():
            model.logit_scale.clamp_(max=MAX_LOG_SCALE)
        return loss.detach()

    def _log(self, loss: float, loader_wait: float, pairs_per_second: float) -> None:
        if not isfinite(loss):
            raise self._diverged()
        self.run.log(
            {
                "step": self.step,
                "loss": loss,
                "learning_rate": self.optimizer.param_groups[0]["lr"],
                "logit_scale": float(self.model.logit_scale.detach().exp()),
                "pairs_per_second": pairs_per_second,
                "loader_wait": loader_wait,
            }
        )

    def _validate(self, validation: Catalog) -> None:
        found = validate(self.model, validation, self.precision)
        self.run.log({"step": self.step, "validation": found})
        if self.best is None or found["mean_recall"] > self.best["mean_recall"]:
            self.best = {"step": self.step, **found}
            self.model.save(self.run.model)

    def _tell_unreadable(self, batch: Batch) -> None:
        catalog = self.plans.catalog
        for row in batch.unreadable:
            self.run.log({"step": self.step, "unreadable": catalog.keys[row]})
        self.tally.unreadable += len(batch.unreadable)
        shown = self.step * self.recipe.batch_size
        if self.tally.unreadable > max(100, shown // 100):
            raise UserError(
                f"{self.tally.unreadable} of {shown} images could not be read below {catalog.root}, "
                f"such as {catalog.keys[batch.unreadable[-1]]!r}; have the data moved or changed?"
            )

    def _diverged(self) -> UserError:
        steps = checkpoint_steps(self.run.checkpoints)
        last = f"the last good checkpoint is step {steps[-1]}" if steps else "there is no checkpoint yet"
        return UserError(
            f"the loss is not a number at step {self.step} of {self.run.folder} ({last}); "
            f"start a new run with a learning_rate below {self.recipe.learning_rate:g}, or with precision=fp32."
        )

    def pace(self, seconds: float) -> float:
        """Trains for about so long and returns the pairs shown a second; the first steps are not counted."""
        batches = self._batches()
        for _ in range(3):
            self._learn(next(batches))
        lap, steps = Lap(), 0
        while lap.seconds < seconds:
            self._learn(next(batches))
            steps += 1
        return steps * self.recipe.batch_size / lap.seconds

    def resume(self) -> None:
        """Goes to the newest checkpoint, if there is one."""
        state = load_checkpoint(self.run.checkpoints)
        if state is not None:
            self.model.clip.load_state_dict(state.model)
            self.optimizer.load_state_dict(state.optimizer)
            self.step = state.step
            self.best = state.progress["best"]
            self.tally = Tally(**state.progress["tally"])
        self.run.forget_after(self.step)

    def _save(self) -> None:
        progress = {"best": self.best, "tally": asdict(self.tally)}
        state = State(self.step, self.model.clip.state_dict(), self.optimizer.state_dict(), progress)
        save_checkpoint(self.run.checkpoints, state)

    def _finish(self) -> None:
        self.model.save(self.run.last_model)
        if self.best is None:
            self.model.save(self.run.model)
        shown = self.steps * self.recipe.batch_size
        self.run.write_json(
            "finished.json",
            {
                "steps": self.steps,
                "samples": shown,
                "epochs": shown / len(self.plans.catalog),
                "parameters": self.model.parameter_count,
                "image_size": self.model.image_size,
                "best": self.best,
                "composite_share": self.tally.treated / shown,
                "pairs_per_second": shown / self.tally.seconds,
                **asdict(self.tally),
            },
        )


def validate(model: ClipModel, catalog: Catalog, precision: torch.dtype) -> dict[str, float]:
    """The recalls of a model on a catalog, and their mean, by which checkpoints are chosen."""
    model.eval()
    with torch.autocast(model.device.type, precision, enabled=precision != torch.float32):
        found = embed(model, catalog)
    metrics = retrieval(found.image, found.text, found.owner).metrics()
    return {name: value for name, value in metrics.items() if "recall" in name}


class Lap:
    """Time since it was made, and since a step."""

    def __init__(self, step: int = 0) -> None:
        self._step, self._wall, self._cpu = step, time.perf_counter(), time.process_time()

    def rate(self, step: int) -> float:
        """Steps a second since it was made."""
        return (step - self._step) / max(self.seconds, 1e-9)

    @property
    def seconds(self) -> float:
        """Wall-clock seconds."""
        return time.perf_counter() - self._wall

    @property
    def core_seconds(self) -> float:
        """Processor seconds of this process, over all its threads."""
        return time.process_time() - self._cpu


@contextmanager
def threads(count: int) -> Generator[None]:
    """Runs the block with so many CPU threads: the result of a sum hangs on how it is divided."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)

"""Training: one loop that can be read in one sitting."""

import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import asdict, dataclass, field
from functools import partial
from math import isfinite
from pathlib import Path
from typing import Final

import torch

from clipc.catalog import Catalog
from clipc.compose.batches import Batches
from clipc.errors import UserError
from clipc.progress import Progress, silent
from clipc.render.batch import Batch
from clipc.render.choose import choose_renderer, make_renderer
from clipc.render.loader import load
from clipc.render.resident import ResidentRenderer
from clipc.render.worker import WorkerRenderer
from clipc.train.checkpoint import State, checkpoint_steps, load_checkpoint, save_checkpoint, set_aside_after
from clipc.train.device import choose_device, choose_precision
from clipc.train.distributed import World, joined, share
from clipc.train.ending import measure_later, new_model, write_models
from clipc.train.interrupt import Interrupted, StopFlag, stop_signals
from clipc.train.journal import Journal
from clipc.train.learner import Learner
from clipc.train.lora import merged_state_dict
from clipc.train.model import ClipModel
from clipc.train.plans import make_plans
from clipc.train.recipe import Recipe
from clipc.train.run import Run, environment
from clipc.train.tally import Tally
from clipc.train.text_tower import computed_tokens
from clipc.train.throughput import Meter, StepFlops
from clipc.train.timing import Lap, threads
from clipc.train.trackers import make_trackers
from clipc.train.tuning import prepare
from clipc.train.validation import CHOSEN_BY, Validation, validate
from clipc.train.vocabulary import tokenizer_for
from clipc.train.whole_folder import settle

LOG_EVERY: Final = 10
"""Steps between two lines of the log. Several processes meet only here: to count, and to hear whether to stop."""


class Diverged(UserError):
    """The loss is not a number."""


def train(
    recipe: Recipe,
    folder: Path,
    *,
    catalog: Catalog | None = None,
    world: World | None = None,
    renderer: str | None = None,
    progress: Progress = silent,
    tell: Callable[[str], None] = lambda _: None,
) -> Run:
    """Trains one model, or goes on where an earlier call stopped.

    On the CPU a run that was stopped, in whatever way, ends in the same weights to the last bit as one
    that never was: all chance comes from the seed and the step's number, and the thread count is that of
    the run's first start.

    Args:
        recipe: What to do.
        folder: The run folder; a finished run in it is returned as it is, but for a ``forgetting`` that was not
            measured. Several processes share it.
        catalog: The opened data, to open them once for many runs; otherwise the recipe's source is opened.
        world: The processes that train together; by default those that torchrun or srun started.
        renderer: One that was chosen for a run and those beside it; by default the choice is made here.
        progress: Told the pairs shown so far.
        tell: Told what was decided, in sentences for people.

    Raises:
        UserError: The folder holds another run, too few pairs for a batch, a loss that is no number, a full disk.
        ProcessLost: Another process of the job ended.
        Interrupted: Ctrl-C or SIGTERM; a checkpoint has been written.
    """
    if world is None:
        with joined(recipe.device) as world:
            return train(recipe, folder, catalog=catalog, world=world, renderer=renderer, progress=progress, tell=tell)
    run = Run(folder, world.rank)
    with world.main_first():  # The others find in the cache what it made.
        catalog = catalog or recipe.data.open(progress)
    if world.main:
        run.check_same(recipe, catalog)
    if world.broadcast(run.finished is not None):
        if world.main and recipe.forgetting is not None:
            with run.held():
                measure_later(recipe, run, catalog, progress, tell)
        return run
    before = world.broadcast(run.read_json("environment.json")) or {}
    # What was asked for by name goes before what an earlier start chose.
    kind = recipe.renderer if recipe.renderer != "auto" else before.get("renderer") or renderer
    with (
        run.held(),
        threads(before.get("threads") or recipe.threads or torch.get_num_threads()),
        stop_signals() as stop,
    ):
        trainer = Trainer.create(recipe, run, catalog, world, progress, renderer=kind, tell=tell)
        began = environment(trainer.model.device.type, torch.get_num_threads(), world.size)
        precision = str(trainer.learner.precision).removeprefix("torch.")
        run.begin(recipe, {**began, "renderer": trainer.kind, "precision": precision}, catalog)
        trainer.resume(tell)
        tell(trainer.described())
        trainer.fit(progress, stop, tell)
    return run


@dataclass
class Trainer:
    """A run in progress: what it shows, what learns, and how far it is."""

    recipe: Recipe
    run: Run
    world: World
    renderer: WorkerRenderer | ResidentRenderer
    validation: Validation | None
    learner: Learner
    steps: int
    step: int = 0
    best: dict[str, float] | None = None
    tally: Tally = field(default_factory=Tally)

    @classmethod
    def create(
        cls,
        recipe: Recipe,
        run: Run,
        catalog: Catalog,
        world: World | None = None,
        progress: Progress = silent,
        *,
        renderer: str | None = None,
        tell: Callable[[str], None] = lambda _: None,
    ) -> "Trainer":
        """A trainer at step 0.

        Args:
            recipe: What to do.
            run: Where to write.
            catalog: The opened data.
            world: The processes that train together; None for this one alone.
            progress: Told what takes long.
            renderer: One that was chosen before; None leaves the choice to the recipe.
            tell: Told what was decided.
        """
        world = world or World()
        device = choose_device(recipe.device)
        share(recipe.batch_size, world)
        with world.main_first():
            pairs = catalog.split("train")
            check_batch(recipe, catalog.about.name, len(pairs))
            tokenizer = tokenizer_for(recipe, catalog)
            model = new_model(recipe, tokenizer).to(device)
            prepare(model.clip, recipe.tune, recipe.seed)
            batches = Batches(recipe.batches, recipe.batch_size)
            cache = recipe.data.cache
            plans = make_plans(recipe.policy, pairs, recipe.seed, cache=cache, progress=progress, batches=batches)
            if world.main and recipe.forgetting is not None:
                recipe.forgetting.open(progress)  # A mistake in it is told now, not after days of training.
        steps = recipe.steps(len(pairs))
        choose = partial(
            choose_renderer,
            plans=plans,
            augmentation=recipe.augmentation,
            image_size=model.image_size,
            device=device,
            sharing=world.local_size,
            gpus=world.local_size,
        )
        choice = choose(renderer or recipe.renderer, epochs=steps * recipe.batch_size / len(pairs))
        # What is free differs between processes, and from one moment to the next: the first process decides.
        if (kind := world.broadcast(choice.renderer)) != choice.renderer:
            choice = choose(kind, epochs=1)
        tell(choice.reason)
        return cls(
            recipe=recipe,
            run=run,
            world=world,
            renderer=make_renderer(choice, plans, recipe.augmentation, model.image_size, model.tokenizer, progress),
            validation=Validation(catalog.split("val")) if recipe.validations and "val" in catalog.splits else None,
            learner=Learner.create(recipe, model, steps, choose_precision(recipe.precision, device), world),
            steps=steps,
        )

    @property
    def model(self) -> ClipModel:
        """What learns."""
        return self.learner.model

    @property
    def kind(self) -> str:
        """Which renderer is used."""
        return "worker" if isinstance(self.renderer, WorkerRenderer) else "resident"

    def described(self) -> str:
        """What is about to happen, in one sentence."""
        recipe, model = self.recipe, self.model
        learnt = sum(p.numel() for p in model.parameters() if p.requires_grad)
        count = f"{learnt / 1e6:.1f} million" if learnt >= 1e5 else f"{learnt / 1e3:.1f} thousand"
        precision = str(self.learner.precision).removeprefix("torch.")
        composed = f"{recipe.policy.rho:.0%} of them composed" if recipe.policy.rho else "none composed"
        begun = f"going on after {self.step:,} of " if self.step else ""
        return (
            f"{recipe.model}: {count} parameters learn on {model.device.type} in {precision}; "
            f"{begun}{self.steps:,} steps of {recipe.batch_size} pairs, {composed}; all goes into {self.run.folder}."
        )

    def fit(self, progress: Progress, stop: StopFlag, tell: Callable[[str], None] = lambda _: None) -> None:
        """Trains to the last step, validates on the way, keeps the best and the last model.

        Args:
            progress: Told the pairs shown so far.
            stop: Read between steps.
            tell: Told what each validation finds.
        """
        pairs = self.renderer.plans.catalog
        self.run.write_json("plan-statistics.json", self.renderer.plans.rows(0, len(pairs)).statistics())
        with closing(self._journal()) as journal:
            self._go_on(journal, progress, stop, tell)
        if self.world.main:
            self._finish()

    def _go_on(self, journal: Journal, progress: Progress, stop: StopFlag, tell: Callable[[str], None]) -> None:
        size, world = self.recipe.batch_size, self.world
        every = -(-self.steps // max(1, self.recipe.validations))
        batches = self._batches()
        saved, since = time.monotonic(), Tally()
        progress("training", self.step * size, self.steps * size)
        while self.step < self.steps:
            lap = Lap()
            batch = next(batches)
            waited = lap.seconds
            loss = self.learner.learn(batch, self.step)
            self.step += 1
            if loss.device.type == "cpu" and not torch.isfinite(loss):  # On a GPU the log looks, without a stall.
                raise self._diverged()
            since.count(batch, lap)
            self._tell_unreadable(batch, journal)
            journal.meter.tick(len(batch), waited, computed_tokens(batch.tokens))
            meeting = self.step % LOG_EVERY == 0 or self.step == self.steps
            if meeting:
                self._log(float(loss), journal)
                progress("training", self.step * size, self.steps * size)
            if self.validation is not None and world.main and (self.step % every == 0 or self.step == self.steps):
                found = self._validate(self.validation, journal)
                tell(f"step {self.step:,}: loss {float(loss):.3f}, mean recall {found:.1%} on validation.")
            if meeting or world.size == 1:
                self.tally.add(since, world)
                since = Tally()
                self._check_unreadable()
                if world.any(stop.asked):
                    self._save()
                    world.barrier()  # Nobody ends while the first one writes: a launcher would end that one too.
                    raise Interrupted(
                        f"stopped at step {self.step} of {self.steps}; the same command goes on from there."
                    )
                if time.monotonic() - saved > self.recipe.checkpoint_seconds and self.step < self.steps:
                    self._save()
                    saved = time.monotonic()

    def _batches(self) -> Iterator[Batch]:
        return load(
            self.renderer,
            self.recipe.batch_size,
            range(self.step, self.steps),
            workers=self.recipe.workers if self.kind == "worker" else 0,
            rank=self.world.rank,
            ranks=self.world.size,
            pin=self.model.device.type == "cuda",
        )

    def _journal(self) -> Journal:
        model, config = self.model, self.recipe.model_dump(mode="json")
        meter = Meter(model.device, self.learner.precision, StepFlops.count(model), ranks=self.world.size)
        names = self.recipe.track if self.world.main else ()
        return Journal(self.run, meter, make_trackers(names, self.run.folder, self.run.folder.name, config, self.step))

    def _log(self, loss: float, journal: Journal) -> None:
        loss = self.world.sum([loss])[0] / self.world.size
        if not isfinite(loss):
            raise self._diverged()
        if self.world.main:
            scale = float(self.model.logit_scale.detach().exp())
            rate = max(group["lr"] for group in self.learner.optimizer.param_groups)
            figures = {"loss": loss, "learning_rate": rate, "logit_scale": scale, **journal.meter.line()}
            journal.write(self.step, figures)

    def _validate(self, validation: Validation, journal: Journal) -> float:
        lap = Lap()
        found = validate(self.model, validation, self.learner.precision)
        journal.write(self.step, {"validation": found})
        if self.best is None or found[CHOSEN_BY] > self.best[CHOSEN_BY]:
            self.best = {"step": self.step, **found}
            self.model.save(self.run.model, merged_state_dict(self.model.clip))
        self.tally.validation_core_seconds += lap.core_seconds
        journal.meter.restart()
        return found[CHOSEN_BY]

    def _tell_unreadable(self, batch: Batch, journal: Journal) -> None:
        for row in batch.unreadable:
            journal.write(self.step, {"unreadable": self.renderer.plans.catalog.keys[row]})

    def _check_unreadable(self) -> None:
        shown, unreadable = self.step * self.recipe.batch_size, self.tally.unreadable
        if unreadable > max(100, shown // 100):
            raise UserError(
                f"{unreadable} of {shown} images could not be read below {self.renderer.plans.catalog.root}; "
                f"{self.run.folder / 'metrics.jsonl'} names them; have the data moved or changed?"
            )

    def _diverged(self) -> Diverged:
        steps = checkpoint_steps(self.run.checkpoints)
        last = f"the last good checkpoint is step {steps[-1]}" if steps else "there is no checkpoint yet"
        return Diverged(
            f"the loss is not a number at step {self.step} of {self.run.folder} ({last}); "
            f"start a new run with a learning_rate below {self.recipe.learning_rate:g}, or with precision=fp32."
        )

    def pace(self, seconds: float) -> float:
        """Trains for about so long and returns the pairs shown a second; the first steps are not counted."""
        batches = self._batches()
        for step in range(3):
            self.learner.learn(next(batches), step)
        lap, steps = Lap(), 0
        while lap.seconds < seconds:
            self.learner.learn(next(batches), steps)
            steps += 1
        return steps * self.recipe.batch_size / lap.seconds

    def resume(self, tell: Callable[[str], None] = lambda _: None) -> None:
        """Goes to the newest checkpoint that can be read, if there is one.

        Args:
            tell: Told of one that is damaged.
        """
        state = load_checkpoint(self.run.checkpoints, tell)
        if self.world.any((state.step if state else 0) != self.world.broadcast(state.step if state else 0)):
            raise UserError(
                f"the processes of this job see different checkpoints in {self.run.checkpoints}; "
                "put the run folder on a disk that all machines share."
            )
        if state is not None:
            self.model.clip.load_state_dict(state.model)
            self.learner.optimizer.load_state_dict(state.optimizer)
            self.step = state.step
            self.best = state.progress["best"]
            self.tally = Tally(**state.progress["tally"])
        self.run.forget_after(self.step)
        if self.world.main:
            set_aside_after(self.run.checkpoints, self.step)
            settle(self.run.model)
            settle(self.run.last_model)

    def _save(self) -> None:
        if self.world.main:
            # The loss of this step may have been fine, and on a GPU it is looked at only now and then.
            if not all(bool(tensor.isfinite().all()) for tensor in self.model.parameters()):
                raise self._diverged()
            progress = {"best": self.best, "tally": asdict(self.tally)}
            state = State(self.step, self.model.clip.state_dict(), self.learner.optimizer.state_dict(), progress)
            save_checkpoint(self.run.checkpoints, state)

    def _finish(self) -> None:
        facts = write_models(
            self.recipe, self.run, self.model, self.validation, self.learner.precision, chosen=self.best is not None
        )
        shown = self.steps * self.recipe.batch_size
        self.run.write_json(
            "finished.json",
            {
                "steps": self.steps,
                "samples": shown,
                "epochs": shown / len(self.renderer.plans.catalog),
                "parameters": self.model.parameter_count,
                "image_size": self.model.image_size,
                "best": self.best,
                "composite_share": self.tally.treated / shown,
                "pairs_per_second": shown / self.tally.seconds,
                **facts,
                **asdict(self.tally),
            },
        )
        shutil.rmtree(self.run.checkpoints, ignore_errors=True)  # Nothing goes on from a finished run but its models.


def check_batch(recipe: Recipe, name: str, pairs: int) -> None:
    """Refuses a batch that so many training pairs of a set cannot fill.

    Raises:
        UserError: There are fewer pairs than one batch has.
    """
    if pairs < recipe.batch_size:
        raise UserError(
            f"{name} has {pairs} training pairs, fewer than one batch of {recipe.batch_size}; "
            f"set batch_size={max(2, pairs // 4)} (a batch needs 2 pairs at least), or give more pairs."
        )

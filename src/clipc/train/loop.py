"""The training loop, which can be read in one sitting."""

import logging
import shutil
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import asdict, dataclass, field
from math import isfinite
from typing import Final

import torch

from clipc.errors import UserError
from clipc.files import settle
from clipc.models.lora import merged_state_dict
from clipc.models.model import ClipModel
from clipc.models.text_tower import computed_tokens
from clipc.progress import Progress
from clipc.recipe.recipe import Recipe
from clipc.recipe.run import Run
from clipc.render.batch import Batch
from clipc.render.loader import choose_num_workers, load
from clipc.render.resident import ResidentRenderer
from clipc.render.worker import WorkerRenderer
from clipc.train.checkpoint import State, checkpoint_steps, load_checkpoint, save_checkpoint, settle_checkpoints
from clipc.train.counters import RunCounters
from clipc.train.distributed import World
from clipc.train.ending import write_models
from clipc.train.interrupt import Interrupted, StopFlag
from clipc.train.learner import Learner
from clipc.train.metrics_logger import MetricsLogger
from clipc.train.throughput import Meter, StepFlops
from clipc.train.timing import Timer
from clipc.train.trackers import make_trackers
from clipc.train.validation import CHOSEN_BY, Validation, validate

logger = logging.getLogger(__name__)

LOG_EVERY: Final = 10
"""Steps between two lines of the log. Several processes meet only here, and where one of them validates: to count, and
to hear whether to stop."""


class Diverged(UserError):
    """The loss is not a number.

    Attributes:
        step: After which step.
    """

    def __init__(self, message: str, step: int) -> None:
        """What is told, and the step."""
        super().__init__(message, step)  # Both, so that it comes whole from another process.
        self.step = step

    def __str__(self) -> str:
        """What is told."""
        return str(self.args[0])


@dataclass
class Trainer:
    """A run in progress: what it shows, what learns, and how far it is.

    Attributes:
        recipe: What is done.
        run: Where it is written.
        world: The processes that train together.
        renderer: What makes batches.
        validation: The pairs that models are chosen on, if there are any.
        learner: The model and what changes it.
        steps: How many there are in all.
        step: How many are done.
        best: The step that did best on validation so far, and its figures.
        tally: What was counted so far.
    """

    recipe: Recipe
    run: Run
    world: World
    renderer: WorkerRenderer | ResidentRenderer
    validation: Validation | None
    learner: Learner
    steps: int
    step: int = 0
    best: dict[str, float] | None = None
    tally: RunCounters = field(default_factory=RunCounters)

    @property
    def model(self) -> ClipModel:
        """What learns."""
        return self.learner.model

    @property
    def kind(self) -> str:
        """Which renderer is used."""
        return "worker" if isinstance(self.renderer, WorkerRenderer) else "resident"

    @property
    def precision(self) -> str:
        """In which the towers compute."""
        return str(self.learner.precision).removeprefix("torch.")

    def described(self) -> str:
        """What is about to happen, in one sentence."""
        recipe, model = self.recipe, self.model
        learnt = sum(p.numel() for p in model.parameters() if p.requires_grad)
        count = f"{learnt / 1e6:.1f} million" if learnt >= 1e5 else f"{learnt / 1e3:.1f} thousand"
        composed = f"{recipe.policy.rho:.0%} of them composed" if recipe.policy.rho else "none composed"
        begun = f"going on after {self.step:,} of " if self.step else ""
        return (
            f"{recipe.model}: {count} parameters learn on {model.device.type} in {self.precision}; "
            f"{begun}{self.steps:,} steps of {recipe.batch_size} pairs, {composed}; all goes into {self.run.folder}."
        )

    def batches(self) -> Iterator[Batch]:
        """The batches from this step on, this process's share of each."""
        pictures = self.renderer.pixels.values.device if isinstance(self.renderer, ResidentRenderer) else None
        device, recipe = self.model.device, self.recipe
        return load(
            self.renderer,
            recipe.batch_size,
            range(self.step, self.steps),
            workers=choose_num_workers(
                recipe.num_workers, device, pictures, sharing=self.world.local_size, threads=recipe.threads
            ),
            rank=self.world.rank,
            ranks=self.world.size,
            pin=device.type == "cuda",
        )

    def fit(self, progress: Progress, stop: StopFlag) -> None:
        """Trains to the last step, validates on the way, keeps the best and the last model.

        Args:
            progress: Told the pairs shown so far.
            stop: Read between steps.
        """
        plans = self.renderer.plans
        statistics = {**plans.rows(0, len(plans.catalog)).statistics(), "inputs": plans.inputs.fingerprints}
        self.run.write_json("plan-statistics.json", statistics)
        with closing(self._journal()) as journal:
            self._go_on(journal, progress, stop)
        stopped = None
        if self.world.main:
            try:
                self._finish(stop)
            except Interrupted as interrupted:
                stopped = str(interrupted)
        if (said := self.world.broadcast(stopped)) is not None:
            raise Interrupted(said)

    def _go_on(self, journal: MetricsLogger, progress: Progress, stop: StopFlag) -> None:
        size, world = self.recipe.batch_size, self.world
        every = -(-self.steps // max(1, self.recipe.validations))
        batches = self.batches()
        saved, since = time.monotonic(), RunCounters()
        progress("training", self.step * size, self.steps * size)
        while self.step < self.steps:
            lap = Timer()
            batch = next(batches)
            waited = lap.seconds
            loss = self.learner.learn(batch, self.step)
            self.step += 1
            if loss.device.type == "cpu" and not torch.isfinite(loss):  # On a GPU the log looks, without a stall.
                raise self._diverged()
            self._tell_unreadable(batch, journal)
            journal.meter.tick(
                len(batch), waited, computed_tokens(self.model.clip, batch.tokens, self.recipe.grad_cache_chunks)
            )
            due = self.validation is not None and (self.step % every == 0 or self.step == self.steps)
            meeting = due or self.step % LOG_EVERY == 0 or self.step == self.steps
            if meeting:
                self._log(float(loss), journal)
                progress("training", self.step * size, self.steps * size)
            since.count(batch, lap)  # After the log, which waits for the GPU: its work is that of these steps.
            better = due and world.main and self._validate(float(loss), journal)
            if meeting or world.size == 1:
                self.tally.add(since, world)
                since = RunCounters()
                self._check_unreadable()
                if world.any(stop.asked):
                    self._save()
                    world.barrier()  # Nobody ends while the first one writes: a launcher would end that one too.
                    raise Interrupted(
                        f"stopped at step {self.step} of {self.steps}; the same command goes on from there."
                    )
                late = time.monotonic() - saved > self.recipe.checkpoint_seconds and self.step < self.steps
                if late or (better and not self._repeats_to_the_bit):
                    self._save()
                    saved = time.monotonic()

    @property
    def _repeats_to_the_bit(self) -> bool:
        """Whether steps done again find the same: elsewhere what was chosen on validation must not be found anew."""
        return self.model.device.type == "cpu" and self.world.size == 1

    def _journal(self) -> MetricsLogger:
        model, config = self.model, self.recipe.model_dump(mode="json")
        meter = Meter(model.device, self.learner.precision, StepFlops.count(model), ranks=self.world.size)
        names = self.recipe.track if self.world.main else ()
        return MetricsLogger(
            self.run, meter, make_trackers(names, self.run.folder, self.run.folder.name, config, self.step)
        )

    def _log(self, loss: float, journal: MetricsLogger) -> None:
        loss = self.world.sum([loss])[0] / self.world.size
        if not isfinite(loss):
            raise self._diverged()
        if self.world.main:
            scale = float(self.model.logit_scale.detach().exp())
            rate = max(group["lr"] for group in self.learner.optimizer.param_groups)
            figures = {"loss": loss, "learning_rate": rate, "logit_scale": scale, **journal.meter.line()}
            journal.write(self.step, figures)

    def _validate(self, loss: float, journal: MetricsLogger) -> bool:
        """Measures the model, keeps it if it is the best so far, and says whether it is."""
        assert self.validation is not None
        lap = Timer()
        found = validate(self.model, self.validation, self.learner.precision)
        journal.write(self.step, {"validation": found})
        better = self.best is None or found[CHOSEN_BY] > self.best[CHOSEN_BY]
        if better:
            self.best = {"step": self.step, **found}
            self.model.save(self.run.model, merged_state_dict(self.model.clip))
        self.tally.validation_core_seconds += lap.core_seconds
        journal.meter.restart()
        recall = f"{found[CHOSEN_BY]:.1%}"
        logger.info("step %s: loss %.3f, mean recall %s on validation.", f"{self.step:,}", loss, recall)
        return better

    def _tell_unreadable(self, batch: Batch, journal: MetricsLogger) -> None:
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
            f"start a new run with a learning_rate below {self.recipe.learning_rate:g}, or with precision=fp32.",
            self.step,
        )

    def resume(self) -> None:
        """Goes to the newest checkpoint that can be read, if there is one."""
        state = load_checkpoint(self.run.checkpoints)
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
            self.tally = RunCounters(**state.progress["tally"])
        self.run.forget_after(self.step)
        if self.world.main:
            settle_checkpoints(self.run.checkpoints, self.step)
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

    def _finish(self, stop: StopFlag) -> None:
        if self.recipe.wise_ft and checkpoint_steps(self.run.checkpoints)[-1:] != [self.step]:
            self._save()  # So that a stop in the middle of it costs no steps.
        best, facts = write_models(
            self.recipe, self.run, self.model, self.validation, self.learner.precision, self.best, stop
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
                "best": best and {"step": self.steps, **best},
                "composite_share": self.tally.treated / shown,
                "pairs_per_second": shown / self.tally.seconds,
                **facts,
                **asdict(self.tally),
            },
        )
        shutil.rmtree(self.run.checkpoints, ignore_errors=True)  # Nothing goes on from a finished run but its models.

"""The training loop."""

import logging
import shutil
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import asdict, dataclass, field
from math import isfinite
from typing import Final

import torch

from clipc.errors import UserError, first_names
from clipc.files import restore_folder
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
from clipc.train.checkpoint import State, checkpoint_steps, clean_checkpoints, load_checkpoint, save_checkpoint
from clipc.train.distributed import World
from clipc.train.interrupt import Interrupted, StopFlag
from clipc.train.learner import Learner
from clipc.train.metrics_logger import MetricsLogger, RunCounters
from clipc.train.throughput import Meter, StepFlops
from clipc.train.timing import Timer
from clipc.train.trackers import make_trackers
from clipc.train.validation import SELECTION_METRIC, Validation, validate
from clipc.train.wise_ft import write_models

logger = logging.getLogger(__name__)

LOG_EVERY: Final = 10
"""Steps between two lines of the log. Several processes synchronise only at these steps and at validation, to sum their
counts and to agree whether to stop."""


class Diverged(UserError):
    """The loss or a weight is not finite.

    Attributes:
        step: The number of steps done.
    """

    def __init__(self, message: str, step: int) -> None:
        """Stores the message and the step."""
        super().__init__(message, step)  # Unpickling passes these arguments to __init__ again.
        self.step = step

    def __str__(self) -> str:
        """The message."""
        return str(self.args[0])


@dataclass
class Trainer:
    """A run in progress: its batches, its model and optimizer, and the state of the loop.

    Attributes:
        recipe: The configuration of the run.
        run: The run folder.
        world: The processes that train together.
        renderer: The renderer of the batches.
        validation: The pairs on which models are selected; None without validation.
        learner: The model and its optimizer.
        steps: The number of steps of the whole run.
        step: The number of steps done.
        best: The metrics of the best step on validation so far, with its number as ``step``. None before the
            first validation.
        counters: The counts of the run so far.
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
    counters: RunCounters = field(default_factory=RunCounters)

    @property
    def model(self) -> ClipModel:
        """The model in training."""
        return self.learner.model

    @property
    def renderer_name(self) -> str:
        """The renderer's name in a recipe."""
        return "worker" if isinstance(self.renderer, WorkerRenderer) else "resident"

    @property
    def precision(self) -> str:
        """The precision of the towers, such as ``bfloat16``."""
        return str(self.learner.precision).removeprefix("torch.")

    def summary(self) -> str:
        """Model, device, steps and folder, in one sentence."""
        recipe, model = self.recipe, self.model
        trainable = sum(p.numel() for p in model.parameters() if p.requires_grad)
        count = f"{trainable / 1e6:.1f} million" if trainable >= 1e5 else f"{trainable / 1e3:.1f} thousand"
        policy = recipe.policy
        until = f" until {policy.until:.0%} of the run" if policy.until < 1 else ""
        treated = "composed" if policy.composes else "treated as a control"
        composites = f"{policy.rho:.0%} of them {treated}{until}" if policy.rho else "none composed"
        start = f"resumes after {self.step:,} of " if self.step else ""
        return (
            f"{recipe.model}: training {count} parameters on {model.device.type} in {self.precision}; "
            f"{start}{self.steps:,} steps of {recipe.batch_size} pairs, {composites}; the folder is {self.run.folder}."
        )

    def batches(self) -> Iterator[Batch]:
        """This process's share of each batch, from the current step on."""
        pixels_device = self.renderer.pixels.values.device if isinstance(self.renderer, ResidentRenderer) else None
        device, recipe = self.model.device, self.recipe
        return load(
            self.renderer,
            recipe.batch_size,
            range(self.step, self.steps),
            workers=choose_num_workers(
                recipe.num_workers, device, pixels_device, processes=self.world.local_size, threads=recipe.threads
            ),
            rank=self.world.rank,
            ranks=self.world.size,
            pin=device.type == "cuda",
        )

    def fit(self, progress: Progress, stop: StopFlag) -> None:
        """Trains to the last step, validates at regular steps, and writes the best and the last model.

        Args:
            progress: Called with the number of training examples seen.
            stop: The flag that requests an early stop, read between steps.

        Raises:
            Diverged: The loss or a weight is not finite.
            Interrupted: A stop was requested; a checkpoint has been written.
        """
        plans = self.renderer.plans
        statistics = {**plans.rows(0, len(plans.catalog)).statistics(), "inputs": plans.inputs.fingerprints}
        if (compiled_rules := plans.inputs.compiled_rules) is not None:
            statistics["rules_without_effect"] = idle = compiled_rules.without_effect()
            if idle:
                texts = first_names([f"`{rule['text']}`" for rule in idle])
                logger.info("rules that can have no effect on these data: %s; clipc compose shows why.", texts)
        self.run.write_json("plan-statistics.json", statistics)
        with closing(self._metrics_logger()) as metrics_logger:
            self._train(metrics_logger, progress, stop)
        message = None
        if self.world.main:
            try:
                self._finish(stop)
            except Interrupted as interrupted:
                message = str(interrupted)
        if (message := self.world.broadcast(message)) is not None:
            raise Interrupted(message)

    def _train(self, metrics_logger: MetricsLogger, progress: Progress, stop: StopFlag) -> None:
        size, world = self.recipe.batch_size, self.world
        validation_interval = -(-self.steps // max(1, self.recipe.validations))
        batches = self.batches()
        last_save, recent = time.monotonic(), RunCounters()
        progress("training", self.step * size, self.steps * size)
        while self.step < self.steps:
            timer = Timer()
            batch = next(batches)
            loading_seconds = timer.seconds
            loss = self.learner.learn(batch, self.step)
            self.step += 1
            # On a GPU this test would wait for the step to end, so there only `_log` tests the loss.
            if loss.device.type == "cpu" and not torch.isfinite(loss):
                raise self._diverged()
            for row in batch.unreadable:
                metrics_logger.write(self.step, {"unreadable": self.renderer.plans.catalog.keys[row]})
            captions = batch.all_tokens
            tokens = computed_tokens(self.model.clip, captions, self.recipe.grad_cache_chunks)
            tokens *= len(captions) / len(batch)
            metrics_logger.meter.tick(len(batch), loading_seconds, tokens)
            last = self.step == self.steps
            validating = self.validation is not None and (self.step % validation_interval == 0 or last)
            synchronising = validating or self.step % LOG_EVERY == 0 or last
            if synchronising:
                self._log(float(loss), metrics_logger)
                progress("training", self.step * size, self.steps * size)
            recent.count(batch, timer)  # After `_log`, which waits for the GPU to finish these steps.
            improved = validating and world.main and self._validate(float(loss), metrics_logger)
            if synchronising or world.size == 1:
                self.counters.add(recent, world)
                recent = RunCounters()
                self._check_unreadable()
                if world.any(stop.requested):
                    self._save()
                    world.barrier()  # If another process ended during the write, the launcher would kill rank 0.
                    raise Interrupted(
                        f"stopped at step {self.step} of {self.steps}; the same command resumes from there."
                    )
                overdue = time.monotonic() - last_save > self.recipe.checkpoint_seconds and not last
                if overdue or (improved and not self._deterministic):
                    self._save()
                    last_save = time.monotonic()

    @property
    def _deterministic(self) -> bool:
        """Whether repeated steps give the same weights.

        If not, every improvement needs a checkpoint; otherwise a resumed run might not reproduce the best model
        already saved.
        """
        return self.model.device.type == "cpu" and self.world.size == 1

    def _metrics_logger(self) -> MetricsLogger:
        folder, config = self.run.folder, self.recipe.model_dump(mode="json")
        flops = StepFlops.count(self.model)
        meter = Meter(self.model.device, self.learner.precision, flops, ranks=self.world.size)
        names = self.recipe.track if self.world.main else ()
        return MetricsLogger(self.run, meter, make_trackers(names, folder, folder.name, config, self.step))

    def _log(self, loss: float, metrics_logger: MetricsLogger) -> None:
        loss = self.world.sum([loss])[0] / self.world.size
        if not isfinite(loss):
            raise self._diverged()
        if self.world.main:
            scale = float(self.model.logit_scale.detach().exp())
            rate = max(group["lr"] for group in self.learner.optimizer.param_groups)
            metrics = {"loss": loss, "learning_rate": rate, "logit_scale": scale, **metrics_logger.meter.metrics()}
            metrics_logger.write(self.step, metrics)

    def _validate(self, loss: float, metrics_logger: MetricsLogger) -> bool:
        """Validates the model, saves it if it is the best so far, and returns whether it is."""
        assert self.validation is not None
        timer = Timer()
        metrics = validate(self.model, self.validation, self.learner.precision)
        metrics_logger.write(self.step, {"validation": metrics})
        improved = self.best is None or metrics[SELECTION_METRIC] > self.best[SELECTION_METRIC]
        if improved:
            self.best = {"step": self.step, **metrics}
            self.model.save(self.run.model, merged_state_dict(self.model.clip))
        self.counters.validation_core_seconds += timer.core_seconds
        metrics_logger.meter.restart()
        recall = f"{metrics[SELECTION_METRIC]:.1%}"
        logger.info("step %s: loss %.3f, mean recall %s on validation.", f"{self.step:,}", loss, recall)
        return improved

    def _check_unreadable(self) -> None:
        examples, unreadable = self.step * self.recipe.batch_size, self.counters.unreadable
        if unreadable > max(100, examples // 100):
            raise UserError(
                f"{unreadable} images under {self.renderer.plans.catalog.root} could not be read "
                f"in {examples} training examples; "
                f"{self.run.folder / 'metrics.jsonl'} lists them; check whether the data were moved or changed."
            )

    def _diverged(self) -> Diverged:
        steps = checkpoint_steps(self.run.checkpoints)
        last = f"the last good checkpoint is step {steps[-1]}" if steps else "there is no checkpoint yet"
        return Diverged(
            f"the loss or a weight is not finite at step {self.step} (run folder {self.run.folder}; {last}); "
            f"start a new run with a learning_rate below {self.recipe.learning_rate:g}, or with precision=fp32.",
            self.step,
        )

    def resume(self) -> None:
        """Loads the newest checkpoint that can be read, if there is one, and removes the traces of later steps.

        Raises:
            UserError: The processes see different checkpoints, or no checkpoint can be read.
        """
        state = load_checkpoint(self.run.checkpoints)
        step = state.step if state else 0
        if self.world.any(step != self.world.broadcast(step)):
            raise UserError(
                f"the processes of this job see different checkpoints in {self.run.checkpoints}; "
                "put the run folder on a disk that all machines share."
            )
        if state is not None:
            self.model.clip.load_state_dict(state.model)
            self.learner.optimizer.load_state_dict(state.optimizer)
            self.step = state.step
            self.best = state.loop_state["best"]
            self.counters = RunCounters(**state.loop_state["tally"])
        self.run.drop_metrics_after(self.step)
        if self.world.main:
            clean_checkpoints(self.run.checkpoints, self.step)
            restore_folder(self.run.model)
            restore_folder(self.run.last_model)

    def _save(self) -> None:
        if self.world.main:
            # A finite loss does not prove finite weights, and on a GPU the loss is checked only when it is logged.
            if not all(bool(tensor.isfinite().all()) for tensor in self.model.parameters()):
                raise self._diverged()
            # "tally" is the counters' key in checkpoints that exist.
            loop_state = {"best": self.best, "tally": asdict(self.counters)}
            state = State(self.step, self.model.clip.state_dict(), self.learner.optimizer.state_dict(), loop_state)
            save_checkpoint(self.run.checkpoints, state)

    def _finish(self, stop: StopFlag) -> None:
        if self.recipe.wise_ft and checkpoint_steps(self.run.checkpoints)[-1:] != [self.step]:
            self._save()  # If the interpolation is interrupted, no step is lost.
        best, facts = write_models(
            self.recipe, self.run, self.model, self.validation, self.learner.precision, self.best, stop
        )
        examples = self.steps * self.recipe.batch_size
        self.run.write_json(
            "finished.json",
            {
                "steps": self.steps,
                "samples": examples,
                "epochs": examples / len(self.renderer.plans.catalog),
                "parameters": self.model.parameter_count,
                "image_size": self.model.image_size,
                # An interpolated model has no step; use the last.
                "best": best and {"step": self.steps, **best},
                "composite_share": self.counters.treated / examples,
                "pairs_per_second": examples / self.counters.seconds,
                **facts,
                **asdict(self.counters),
            },
        )
        shutil.rmtree(self.run.checkpoints, ignore_errors=True)  # A finished run needs only its models.
